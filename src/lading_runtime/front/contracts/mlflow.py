"""MLflow's and SageMaker's `POST /invocations`: tables of any form in, predictions in any form out."""

from __future__ import annotations

from functools import partial
from typing import Any

from lading_runtime.front import answers, bodies, forms, media
from lading_runtime.front.apart import apart
from lading_runtime.front.channel import Answer
from lading_runtime.front.decode import is_json, media_type, parse_json
from lading_runtime.front.encode import Input
from lading_runtime.front.messages import Refusal, Request, Response
from lading_runtime.front.model import Model
from lading_runtime.front.render import bare, predictions
from lading_runtime.front.routes import Table

_PARAMETERS = {"charset", "header", "boundary"}


async def invocations(model: Model, request: Request) -> Response:
    """Answer one request."""
    if model.shortcut is not None and (body := model.shortcut(request)) is not None:
        return Response(body)
    _check_parameters(request)
    kind = media.choose(request.headers, model.settings.default_accept)
    if kind is None and model.routine is None:
        raise _unacceptable(request)
    if bodies.is_parquet(model, request):
        is_unified, wanted = False, await bodies.read(model, request)
    else:
        is_unified, wanted = await apart(model, bodies.weight(request), partial(_read, model, request))
    if is_unified:
        return await answers.respond(model, request, wanted, bare, streams=True)
    if kind is None:
        refused = partial(_refuse, request)
        return await answers.respond(model, request, wanted, refused, streams=True)
    if kind == media.JSON:
        return await answers.respond(model, request, wanted, predictions, streams=True)
    render = partial(media.render, kind=str(kind), schema=model.schema)
    return await answers.respond(model, request, wanted, render, str(kind), streams=True)


def _read(model: Model, request: Request) -> tuple[bool, Input]:
    """Read a body; tell whether it is one for a language model."""
    unified = _unified(request)
    if unified is not None and model.routine is None:
        return True, forms.read_unified(model.schema, unified)
    return unified is not None and model.takes_json, bodies.parsed(model, request)


def _refuse(request: Request, _: Answer) -> bytes:
    raise _unacceptable(request)


def _unacceptable(request: Request) -> Refusal:
    accept = request.headers[b"accept"].decode("latin-1")[:200]
    return Refusal(406, f"accept: got {accept!r}, expected one of {', '.join(media.TYPES)}")


async def version(model: Model, _: Request) -> Response:
    """Answer `GET /version`: a bare string, as MLflow's server gives its own."""
    return Response(model.bill.lading.encode())


def _check_parameters(request: Request) -> None:
    """Refuse parameters of a media type that would change what the body is, as `format=pandas-split`."""
    if b";" not in request.headers.get(b"content-type", b""):
        return
    kind, parameters = media_type(request.headers)
    unknown = sorted(parameters.keys() - _PARAMETERS)
    if unknown and (is_json(kind) or kind == "text/csv"):
        raise Refusal(415, f"content-type: got the parameters {unknown}, expected none but 'charset'")


def _unified(request: Request) -> dict[str, Any] | None:
    """Return a body for a language model, which has one of three keys; None for any other."""
    body = request.body
    if not (b'"messages"' in body or b'"prompt"' in body or b'"input"' in body):
        return None
    if not is_json(media_type(request.headers)[0]):
        return None
    document = parse_json(body)
    return document if isinstance(document, dict) and not document.keys().isdisjoint(forms.UNIFIED) else None


ROUTES: Table = {
    "/invocations": {"POST": invocations},
    "/predict": {"POST": invocations},
    "/version": {"GET": version},
}
