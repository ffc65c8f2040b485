"""KServe's first protocol: rows under `instances` in, `{"predictions": […]}` out; CloudEvents both ways."""

from __future__ import annotations

from functools import partial

from lading_runtime.front import answers, bodies, events, names
from lading_runtime.front.apart import apart
from lading_runtime.front.encode import Input
from lading_runtime.front.messages import Refusal, Request, Response, encode
from lading_runtime.front.model import Model
from lading_runtime.front.render import wrapped
from lading_runtime.front.routes import Table

_STATES = {True: "AVAILABLE", False: "LOADING"}


async def models(model: Model, _: Request) -> Response:
    """Answer `GET /v1/models`, for KServe's clients and for OpenAI's."""
    entry = {"id": model.bill.name, "object": "model", "created": 0, "owned_by": "lading"}
    return encode({"models": [model.bill.name], "object": "list", "data": [entry]})


async def ready(model: Model, request: Request) -> Response:
    """Answer `GET /v1/models/{name}[/versions/{version}]`: KServe's, TensorFlow's and OpenAI's keys."""
    name, version = (*request.arguments, None)[:2]
    names.check(model, str(name), version)
    state = {
        "version": model.bill.version,
        "state": _STATES[model.is_ready],
        "status": {"error_code": "OK", "error_message": ""},
    }
    document = {
        "name": name,
        "ready": model.is_ready,
        "model_version_status": [state],
        "id": name,
        "object": "model",
        "created": 0,
        "owned_by": "lading",
    }
    if model.is_ready:
        return encode(document)
    return encode({"error": model.why_not_ready, **document}, 503)


async def predict(model: Model, request: Request) -> Response:
    """Answer `POST /v1/models/{name}[/versions/{version}]:predict`; what it is said to be does not matter."""
    name, version = (*request.arguments, None)[:2]
    names.check(model, str(name), version)
    if events.is_one(request):
        event, asked = await apart(model, len(request.body), partial(_of_event, model, request))
        if asked is None:
            asked = await bodies.read(model, event.request)
        body = await answers.printed(model, wrapped, await model.predict(asked))
        return events.respond(event, str(name), body)
    wanted = await bodies.read(model, request, else_json=True)
    return await answers.respond(model, request, wanted, wrapped)


def _of_event(model: Model, request: Request) -> tuple[events.Event, Input | None]:
    """Read an event, and the request that is its data, unless the worker has to read that."""
    event = events.read(request)
    if bodies.is_parquet(model, event.request):
        return event, None
    asked = bodies.parsed(model, event.request, else_json=True)
    return event._replace(request=request._replace(body=b"")), asked


async def explain(model: Model, request: Request) -> Response:
    """Answer `POST /v1/models/{name}:explain`: no package has an explainer."""
    names.check(model, request.arguments[0])
    raise Refusal(501, f"model {model.bill.name!r} has no explainer")


ROUTES: Table = {
    "/v1/models": {"GET": models},
    "/v1/models/{name}": {"GET": ready},
    "/v1/models/{name}/versions/{version}": {"GET": ready},
    "/v1/models/{name}:predict": {"POST": predict},
    "/v1/models/{name}/versions/{version}:predict": {"POST": predict},
    "/v1/models/{name}:explain": {"POST": explain},
}
