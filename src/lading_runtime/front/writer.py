"""Responses in, their bytes out; a client that does not read them is not waited for without end."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from lading_runtime.front import heads
from lading_runtime.front.messages import Response

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

# what is written at once; a larger body is not copied to stand behind its head
_JOINED_BYTES = 64 << 10
# a client takes so much of an answer in each LADING_BODY_TIMEOUT_S, or all that is left of it
_LEAST_BYTES = 8 << 10
_BODILESS = {204, 304}


class Writer:
    """The sending side of one connection."""

    def __init__(self, transport: asyncio.Transport, made: heads.Heads, now: float) -> None:
        """Write heads as `made` has them."""
        self._transport = transport
        self._heads = made
        self._written = 0
        self._since = now
        self._sent = 0
        self._wakes: asyncio.Future[None] | None = None
        self.is_blocked = False
        """Whether the client has to read before more is written."""

    def answer(self, response: Response, *, is_head: bool, is_last: bool, is_old: bool) -> None:
        """Write a response, or the head and the beginning of one that has a stream."""
        body = response.body
        further = b""
        if response.headers:
            further = heads.lines(response.headers)
        if is_last:
            further += b"connection: close\r\n"
        elif is_old:
            further += b"connection: keep-alive\r\n"
        start = self._heads.start(response.status, response.content_type)
        if response.stream is not None:
            coding = b"" if is_old else b"transfer-encoding: chunked\r\n"
            self._write(b"%s%s%s\r\n" % (start, further, coding))
            if body and not is_head:
                self.piece(body, is_old=is_old)
        elif response.status in _BODILESS:
            self._write(b"%s%s\r\n" % (start, further))
        elif is_head:
            self._write(b"%s%scontent-length: %d\r\n\r\n" % (start, further, len(body)))
        elif len(body) <= _JOINED_BYTES:
            self._write(b"%s%scontent-length: %d\r\n\r\n%s" % (start, further, len(body), body))
        else:
            self._write(b"%s%scontent-length: %d\r\n\r\n" % (start, further, len(body)))
            self._write(body)

    def piece(self, data: bytes, *, is_old: bool) -> None:
        """Write a piece of a stream; HTTP/1.0 has no chunks, and the connection's end for their last."""
        self._write(data if is_old else b"%x\r\n%s\r\n" % (len(data), data))

    async def stream(self, pieces: AsyncIterator[bytes], *, is_old: bool) -> None:
        """Write a stream's pieces, no faster than the client reads them."""
        try:
            async for one in pieces:
                if one:
                    self.piece(one, is_old=is_old)
                if self.is_blocked:
                    self._wakes = asyncio.get_running_loop().create_future()
                    await self._wakes
        finally:
            close = getattr(pieces, "aclose", None)
            if close is not None:
                with suppress(Exception):  # it is the user's, and has been told of if it failed before
                    await close()
        if not is_old:
            self._write(b"0\r\n\r\n")

    def go_on(self) -> None:
        """Tell a client that waits for it to send its body."""
        self._write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def unblock(self) -> None:
        """The client has read most of it."""
        self.is_blocked = False
        if self._wakes is not None and not self._wakes.done():
            self._wakes.set_result(None)

    @property
    def unread_bytes(self) -> int:
        """Return how much has been written that the client has not taken."""
        return self._transport.get_write_buffer_size()

    def stuck_s(self, now: float) -> float:
        """Return for how long the client has read next to nothing of what is there."""
        pending = self.unread_bytes
        sent = self._written - pending
        if not pending or sent - self._sent >= _LEAST_BYTES:
            self._since = now
            self._sent = sent
        return now - self._since

    def _write(self, data: bytes) -> None:
        self._written += len(data)
        self._transport.write(data)
