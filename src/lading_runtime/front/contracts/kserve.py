"""KServe's first protocol: rows under `instances` in, `{"predictions": […]}` out; CloudEvents both ways."""

from __future__ import annotations

from lading_runtime.front import answers, bodies, events, names
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
    event = events.find(request)
    if event is not None:
        answer = await model.predict(await bodies.read(model, event.request, else_json=True))
        return events.respond(event, str(name), wrapped(answer))
    wanted = await bodies.read(model, request, else_json=True)
    return await answers.respond(model, request, wanted, wrapped)


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
