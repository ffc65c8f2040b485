"""Azure ML's `/score`: `input_data`, `data` or bare rows in, bare predictions out, its headers with them.

Statuses, bodies and headers are those of azureml-inference-server-http 1.5.1 (server/routes.py).
"""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from time import perf_counter
from typing import Any

from lading_runtime import log
from lading_runtime.front import answers, bodies, cors, forms, routines
from lading_runtime.front.decode import LARGE_BYTES, is_json, media_type
from lading_runtime.front.encode import Input
from lading_runtime.front.messages import Refusal, Request, Response, encode
from lading_runtime.front.model import FORMLESS, SCORING_TIMEOUT, Model
from lading_runtime.front.render import bare
from lading_runtime.front.routes import Table
from lading_runtime.front.swagger import NEWEST, documents

_MAX_ID = 100
_IDS = (b"x-request-id", b"x-ms-request-id", b"x-ms-client-request-id")
_FAILED, _VERSION = "x-ms-run-function-failed", "x-ms-server-version"
_ORIGINS = cors.read(os.environ)
_TELLS_VERSION = os.environ.get("SERVER_VERSION_LOG_RESPONSE_ENABLED", "true").lower() == "true"
_HTML = b"text/html; charset=utf-8"
_RAISED = "An unexpected error occurred in scoring script. Check the logs for more info."
_BROKE = "An unexpected internal error occurred. Check the logs for more info."
_NO_ROUTE = (
    "The requested URL was not found on the server. If you entered the URL manually please check your "
    "spelling and try again."
)
_NO_METHOD = "The method is not allowed for the requested URL."
# what is asked for → how the document says it
_VERSIONS = {"2": "2.0", "2.0": "2.0", "3": "3.0.3", "3.0": "3.0.3", "3.1": NEWEST}


class Told(Refusal):
    """A refusal in the words of Azure's server."""

    def response(self) -> Response:
        """Make its body, which has one key."""
        return Response(json.dumps({"message": self.message}).encode(), self.status, headers=self.headers)


async def score(model: Model, request: Request) -> Response:
    """Answer `POST /score`, whatever the body is said to be, and `GET /score?name=value`."""
    headers = {_FAILED: "False", **_common(model, request)}
    try:
        headers |= _ids(request)
        wanted = await _wanted(model, request)
        started = perf_counter()
        response = await answers.respond(model, request, wanted, bare, streams=True)
    except Refusal as refusal:
        raise _told(model, refusal, headers) from refusal
    own = dict(response.headers or {})
    if response.status >= 500:
        own[_FAILED] = "True"
    headers["x-ms-run-fn-exec-ms"] = f"{(perf_counter() - started) * 1000:.3f}"
    body = response.body
    if body == b"null" and model.routine is not None and not model.routine.is_typed:
        body = b"{}"  # what Azure's server makes of nothing
    return response._replace(body=body, headers={**headers, **own})


async def _wanted(model: Model, request: Request) -> Input:
    """Read a request's body, or its query."""
    routine = model.routine
    if routine is not None and routine.takes_request:
        return routines.read(routine, request, "")
    if request.method == "HEAD" and model.is_azures:
        raise Refusal(405, "Method not allowed")
    if request.method == "POST":
        if routine is not None and routine.by_name:
            if not is_json(request.headers.get(b"content-type", b"").partition(b";")[0].decode("latin-1")):
                raise Refusal(415, "Expects Content-Type to be application/json")
            return routines.read(routine, request, "")
        try:
            return await bodies.read(model, request, else_json=True, lists=True)
        except Refusal as refusal:
            if routine is None and refusal.status == 400:
                refusal.said = _said(request)
            raise
    if routine is not None and routine.is_typed:
        return routines.read(routine, request._replace(body=b""), "application/json")
    given = _of_query(request.query)
    if routine is not None and (routine.by_name or routine.is_raw):
        return routines.read(routine, request._replace(body=given), "application/json")
    return bodies.of_json(model, given, lists=True)


def _told(model: Model, refusal: Refusal, headers: Mapping[str, str]) -> Refusal:
    """Say a refusal in the words of Azure's server, where it has some."""
    status, message, has_failed = refusal.status, refusal.message, refusal.status == 500
    routine = model.routine
    if refusal.reason == SCORING_TIMEOUT:
        status, message, has_failed = 500, refusal.said, True
    elif refusal.reason == FORMLESS:
        message, has_failed = _BROKE, False
    elif refusal.reason == "model_failed":
        message = _RAISED
    elif refusal.said and (routine is None or routine.is_raw or routine.by_name):
        message = refusal.said
    more = {**headers, _FAILED: str(has_failed), **(refusal.headers or {})}
    return Told(status, message, code=refusal.code, headers=more, reason=refusal.reason)


def _said(request: Request) -> str:
    """Say in Azure's words why a body is none for a model without a script; nothing where it has none."""
    body = request.body
    if len(body) > LARGE_BYTES or not is_json(media_type(request.headers)[0]):
        return ""
    try:
        given = json.loads(body)
    except (ValueError, RecursionError) as error:
        empty = "is empty. Expecting a JSON dictionary."
        return f"POST body could not be decoded as JSON: {error}" if body else f"POST body {empty}"
    if not isinstance(given, dict):
        return "POST body should be a JSON dictionary."
    return "" if given.keys() & set(forms.KEYS) else "A value is not provided for the 'input_data' parameter."


async def options(model: Model, request: Request) -> Response:
    """Answer `OPTIONS /score`: where the script takes requests as they are, it does."""
    if model.routine is not None and model.routine.takes_request:
        return await score(model, request)
    found = _with_names(model, request, Response(b"", content_type=_HTML))
    return found._replace(
        headers={**(found.headers or {}), _FAILED: "False", "allow": "GET, HEAD, OPTIONS, POST"}
    )


async def others_options(model: Model, request: Request) -> Response:
    """Answer `OPTIONS /` and `/swagger.json`."""
    found = _with_names(model, request, Response(b"", content_type=_HTML))
    return found._replace(headers={**(found.headers or {}), "allow": "GET, HEAD, OPTIONS"})


async def healthy(model: Model, request: Request) -> Response:
    """Answer `GET /` as Azure's server does."""
    return _with_names(model, request, Response(b"Healthy", content_type=_HTML))


def _with_names(model: Model, request: Request, response: Response) -> Response:
    """Add what every answer bears."""
    common = _common(model, request)
    try:
        return response._replace(headers={**common, **_ids(request)})
    except Told as refusal:
        refusal.headers = {_FAILED: "False", **common}
        raise


def unanswered(refusal: Refusal) -> Refusal:
    """Say in Azure's words that there is no such route or method; return any other refusal as it is."""
    words = {404: _NO_ROUTE, 405: _NO_METHOD}
    if refusal.status not in words:
        return refusal
    headers = {**(refusal.headers or {}), _FAILED: "False"}
    return Told(refusal.status, words[refusal.status], headers=headers, reason=refusal.reason)


async def swagger(model: Model, request: Request) -> Response:
    """Answer `GET /swagger.json?version=2|3|3.1`."""
    from urllib.parse import parse_qs

    bare_one = _with_names(model, request, Response(b""))
    headers = {**(bare_one.headers or {}), _FAILED: "False"}
    asked = parse_qs(request.query.decode("latin-1"), keep_blank_values=True).get("version", ["2"])[0]
    own = documents(model)
    known = ", ".join(one for one in ("2", "3", "3.1") if _VERSIONS[one] in own)
    if asked not in _VERSIONS:
        message = f"Swagger version [{asked[:20]}] is not valid. Supported versions: [{known}]."
        raise Told(404, message, headers=headers)
    if _VERSIONS[asked] not in own:
        message = f"Swagger version [{asked}] is not supported for the scoring script."
        raise Told(404, f"{message} Supported swagger versions: [{known}].", headers=headers)
    return encode(own[_VERSIONS[asked]]())._replace(headers=headers)


def _common(model: Model, request: Request) -> dict[str, str]:
    """Return what every answer bears."""
    headers = {_VERSION: f"lading/{model.bill.lading}"} if _TELLS_VERSION else {}
    return headers if _ORIGINS is None else {**headers, **_ORIGINS.headers(request)}


def _ids(request: Request) -> dict[str, str]:
    """Return the ids that go back: each as it came, or for an older name what stands for it."""
    sent = {
        name.decode(): request.headers[name].decode("latin-1") for name in _IDS if name in request.headers
    }
    request_id, older, client = (sent.get(name.decode(), "") for name in _IDS)
    if len(request_id) > _MAX_ID:
        raise Told(431, f"x-request-id must not exceed {_MAX_ID} characters")
    if max(len(older), len(client)) > _MAX_ID:
        what = "x-ms-request-id and x-ms-client-request-id"
        raise Told(431, f"{what} must not exceed {_MAX_ID} characters")
    seen = log.REQUEST.get()
    back = {"x-ms-request-id": older or client or request_id or (seen.request_id if seen else "")}
    back["x-ms-client-request-id"] = client or older
    if b"traceid" in request.headers:
        back["traceid"] = request.headers[b"traceid"].decode("latin-1")
    return {name: value for name, value in back.items() if value}


def _of_query(query: bytes) -> bytes:
    """Make a JSON object of a query, as Azure's server does: values are JSON where they can be."""
    from urllib.parse import parse_qs

    given = parse_qs(query.decode("latin-1"), keep_blank_values=True)
    values = {name: [_value(one) for one in texts] for name, texts in given.items()}
    return json.dumps({name: one[0] if len(one) == 1 else one for name, one in values.items()}).encode()


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


ROUTES: Table = {
    "/": {"OPTIONS": others_options},
    "/score": {"GET": score, "POST": score, "OPTIONS": options},
    "/swagger.json": {"GET": swagger, "OPTIONS": others_options},
}
