"""Azure ML's `/score`: `input_data`, `data` or bare rows in, bare predictions out, its headers with them."""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import json
from time import perf_counter
from typing import Any

import msgspec

from lading_runtime.front import answers, bodies, routines
from lading_runtime.front.messages import Refusal, Request, Response, encode
from lading_runtime.front.model import Model
from lading_runtime.front.render import bare
from lading_runtime.front.routes import Table
from lading_runtime.front.swagger import NEWEST, document

_MAX_ID = 100
_IDS = (b"x-request-id", b"x-ms-request-id", b"x-ms-client-request-id")
_FAILED = "x-ms-run-function-failed"
# what is asked for → how the document says it
_VERSIONS = {"2": "2.0", "2.0": "2.0", "3": "3.0.3", "3.0": "3.0.3", "3.1": NEWEST}


async def score(model: Model, request: Request) -> Response:
    """Answer `POST /score`, whatever the body is said to be, and `GET /score?name=value`."""
    headers = {_FAILED: "False", **_ids(request)}
    try:
        if request.method == "POST":
            wanted = await bodies.read(model, request, else_json=True, lists=True)
        elif model.routine is not None and model.routine.is_typed:
            wanted = routines.read(model.routine, request._replace(body=b""), "application/json")
        else:
            wanted = bodies.of_json(model, _of_query(request.query), lists=True)
        started = perf_counter()
        response = await answers.respond(model, request, wanted, bare, streams=True)
    except Refusal as refusal:
        headers[_FAILED] = str(refusal.status == 500)
        refusal.headers = {**headers, **(refusal.headers or {})}
        raise
    headers["x-ms-run-fn-exec-ms"] = f"{(perf_counter() - started) * 1000:.3f}"
    return response._replace(headers={**headers, **(response.headers or {})})


async def options(_: Model, __: Request) -> Response:
    """Answer `OPTIONS /score`."""
    return Response(b"", headers={"allow": "GET, POST, OPTIONS, HEAD"})


async def swagger(model: Model, request: Request) -> Response:
    """Answer `GET /swagger.json?version=2|3|3.1`."""
    from urllib.parse import parse_qs

    asked = parse_qs(request.query.decode("latin-1")).get("version", ["2"])[-1]
    if asked not in _VERSIONS:
        raise Refusal(404, f"Swagger version [{asked[:20]}] is not valid. Supported versions: [2, 3, 3.1].")
    return encode(document(model, _VERSIONS[asked]))


def _ids(request: Request) -> dict[str, str]:
    """Return the ids that go back: each as it came, and where one was sent, under its older name too."""
    sent = {}
    for name in _IDS:
        value = request.headers.get(name)
        if value is None:
            continue
        if len(value) > _MAX_ID:
            raise Refusal(431, f"{name.decode()} must not exceed {_MAX_ID} characters")
        sent[name.decode()] = value.decode("latin-1")
    request_id, older, client = (sent.get(name.decode()) for name in _IDS)
    back = {"x-ms-request-id": older or client or request_id, "x-ms-client-request-id": client or older}
    if b"traceid" in request.headers:
        back["traceid"] = request.headers[b"traceid"].decode("latin-1")
    return {name: value for name, value in back.items() if value}


def _of_query(query: bytes) -> bytes:
    """Make a JSON object of a query, as Azure's server does: values are JSON where they can be."""
    from urllib.parse import parse_qs

    given = parse_qs(query.decode("latin-1"), keep_blank_values=True)
    values = {name: [_value(one) for one in texts] for name, texts in given.items()}
    return msgspec.json.encode({name: one[0] if len(one) == 1 else one for name, one in values.items()})


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


ROUTES: Table = {
    "/score": {"GET": score, "POST": score, "OPTIONS": options},
    "/swagger.json": {"GET": swagger},
}
