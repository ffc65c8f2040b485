"""A worker's answer in, the response out that a contract and the request's `Accept` ask for."""

from __future__ import annotations

from collections.abc import Callable

from lading_runtime import wire
from lading_runtime.front.channel import Answer
from lading_runtime.front.encode import Input
from lading_runtime.front.messages import Request, Response
from lading_runtime.front.model import Model


async def respond(
    model: Model,
    request: Request,
    wanted: Input,
    render: Callable[[Answer], bytes],
    content_type: str = "application/json",
) -> Response:
    """Predict, and answer with what `render` makes of it; a routine may answer with a picture or a file."""
    del request
    answer = await model.predict(wanted)
    if model.routine is not None and answer.header["parameters"]["content"] == "media":
        return _file(answer)
    return Response(render(answer), content_type=content_type.encode())


def _file(answer: Answer) -> Response:
    """Send a file as it is; its media type is the routine's word, so no browser may guess another."""
    ((entry, data),) = wire.split(answer.header["outputs"], answer.body)
    kind = str(entry["parameters"].get("type") or "application/octet-stream")
    return Response(
        bytes(data),
        content_type=kind.encode("latin-1", "replace"),
        headers={"x-content-type-options": "nosniff"},
    )
