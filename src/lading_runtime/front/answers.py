"""A worker's answer in, the response out that a contract and the request's `Accept` ask for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial

from lading_runtime import log, wire
from lading_runtime.front import media, render, routines
from lading_runtime.front.apart import apart
from lading_runtime.front.channel import Answer
from lading_runtime.front.encode import Input
from lading_runtime.front.messages import Refusal, Request, Response
from lading_runtime.front.model import Model

# a stream begins with its first part, so that what fails at once has a status; at the latest after this
_PATIENCE_S = 5.0
# proxies close what says nothing for a minute, some for half of that
_KEEP_ALIVE_S = 15.0
_COPYING = (render.bare, render.predictions)
_BYTES = "application/octet-stream"
_KEEP_ALIVE = b": keep-alive\n\n"
_NO_CACHE = {"cache-control": "no-cache", "x-accel-buffering": "no"}


async def respond(
    model: Model,
    request: Request,
    wanted: Input,
    rendered: Callable[[Answer], bytes],
    content_type: str = "application/json",
    *,
    streams: bool = False,
) -> Response:
    """Predict, and answer with what `rendered` makes of it.

    A routine may answer with a picture or a file as it is, or by server-sent events: those of a generator are
    what a route that `streams` answers with, unless `Accept` names JSON; other routes where it names events.
    """
    routine = model.routine
    if routine is None:
        body = await printed(model, rendered, await model.predict(wanted))
        return Response(body, content_type=content_type.encode())
    if routines.wants_events(routine, request, by_default=streams):
        return await _events(model, routines.in_parts(wanted))
    answer = await model.predict(wanted)
    if answer.header["parameters"]["content"] == "media":
        return _file(answer, request.headers.get(b"accept", b""))
    body = await printed(model, rendered, answer)
    return Response(body, content_type=content_type.encode())


async def printed(model: Model, rendered: Callable[[Answer], bytes], answer: Answer) -> bytes:
    """Print an answer, which may be large; what is JSON already is only copied."""
    is_json = rendered in _COPYING and answer.header["parameters"]["content"] == "json"
    return await apart(model, 0 if is_json else len(answer.body), partial(rendered, answer))


def _file(answer: Answer, accept: bytes) -> Response:
    """Send a file as it is; its media type is the routine's word, so no browser may guess another.

    A response that the routine has made is sent as it made it. Bytes of no type that is known may be any
    but a table.
    """
    ((entry, data),) = wire.split(answer.header["outputs"], answer.body)
    about = entry["parameters"]
    kind = str(about.get("type") or _BYTES)
    if "status" in about:
        coded = kind.encode("latin-1", "replace")
        return Response(bytes(data), about["status"], coded, about["headers"])
    is_open = kind == _BYTES and not any(one.encode() in accept for one in media.TABLES)
    if not is_open and not routines.admits(accept, kind.partition(";")[0]):
        got = accept.decode("latin-1")[:200]
        raise Refusal(406, f"accept: got {got!r}, expected {kind!r} or {media.JSON!r}")
    safe = {"x-content-type-options": "nosniff"}
    return Response(bytes(data), content_type=kind.encode("latin-1", "replace"), headers=safe)


async def _events(model: Model, wanted: Input) -> Response:
    """Begin a stream of events."""
    parts = model.stream(wanted)
    first = asyncio.ensure_future(_next(parts))
    try:
        done, _ = await asyncio.wait({first}, timeout=_PATIENCE_S)
        if done:
            first.result()
    except BaseException:
        first.cancel()
        await parts.aclose()  # type: ignore[attr-defined]
        raise
    stream = _stream(parts, first)
    return Response(b"", content_type=b"text/event-stream", headers=_NO_CACHE, stream=stream)


async def _next(parts: AsyncIterator[Answer]) -> Answer | None:
    async for part in parts:
        return part
    return None


async def _stream(parts: AsyncIterator[Answer], first: asyncio.Future[Answer | None]) -> AsyncIterator[bytes]:
    """Write an event for each part, comments while there is none, an `error` where they fail."""
    awaited = first
    try:
        while True:
            done, _ = await asyncio.wait({awaited}, timeout=_KEEP_ALIVE_S)
            if not done:
                yield _KEEP_ALIVE
                continue
            part = awaited.result()
            if part is None:
                return
            yield b"data: %s\n\n" % render.bare(part)
            awaited = asyncio.ensure_future(_next(parts))
    except Refusal as refusal:
        log.write("warning", f"a stream broke off: {refusal.message}")
        yield b"event: error\ndata: %s\n\n" % refusal.response().body
    finally:
        awaited.cancel()
        await asyncio.gather(awaited, return_exceptions=True)
        await parts.aclose()  # type: ignore[attr-defined]
