"""Bytes of the worker's socket in, whole messages out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import msgspec

from lading_runtime import wire

_decode = msgspec.json.Decoder().decode


class Answer(NamedTuple):
    """One message of the worker: its header, and the bytes of its tensors."""

    header: dict[str, Any]
    body: memoryview
    queue_s: float = 0.0
    """How long the request waited for its turn."""
    model_s: float = 0.0
    """How long the worker had it."""


class Channel(asyncio.Protocol):
    """Messages over one worker's socket, in order."""

    def __init__(self, on_answer: Callable[[Answer], None], on_end: Callable[[], None]) -> None:
        """Call `on_answer` for each message, `on_end` once when no more can come."""
        self._on_answer = on_answer
        self._on_end = on_end
        self._transport: asyncio.WriteTransport | None = None
        self._chunks: list[bytes] = []
        self._length = 0
        self._awaited = wire.PREFIX.size

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to write."""
        # uvloop's transports are none of asyncio's classes
        self._transport = cast("asyncio.WriteTransport", transport)

    def connection_lost(self, _: Exception | None) -> None:
        """The worker is gone, or `close` was called."""
        self._transport = None  # uvloop's raise where one is written to that has ended
        self._on_end()

    def send(self, parts: Sequence[wire.Buffer]) -> None:
        """Write one message, to nobody where the worker is gone."""
        if self._transport is not None:
            self._transport.writelines(parts)

    def close(self) -> None:
        """Close our end; the worker sees its input end."""
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Collect chunks, to be joined once per message."""
        self._chunks.append(data)
        self._length += len(data)
        try:
            while self._length >= self._awaited:
                self._read()
        except (wire.WireError, msgspec.DecodeError):
            self.close()

    def _read(self) -> None:
        """Read one message, if all of it is there; else learn how much is awaited."""
        whole = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks = [whole]
        start = wire.PREFIX.size
        header_bytes, body_bytes = wire.lengths(whole[:start])
        end = start + header_bytes + body_bytes
        self._awaited = end
        if len(whole) < end:
            return
        header = _decode(whole[start : start + header_bytes])
        answer = Answer(header, memoryview(whole)[start + header_bytes : end])
        self._chunks = [whole[end:]] if len(whole) > end else []
        self._length = len(whole) - end
        self._awaited = wire.PREFIX.size
        self._on_answer(answer)
