"""One connection to a package's server: a request's bytes in, its response out."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import cast

import httptools

from lading_runtime.front.messages import Response

# pieces of a stream that wait for a client to read them, before the server is asked to wait too
_MOST_PIECES = 64
# they belong to one connection, and the writer makes its own
_OWN = {b"connection", b"keep-alive", b"transfer-encoding", b"content-length", b"date", b"content-type"}


class LostError(Exception):
    """The server's end was closed."""

    def __init__(self, *, unanswered: bool, unread: bool = False) -> None:
        """Remember whether it has not said a word of the answer, and has not read all of the request."""
        super().__init__("the connection was lost")
        self.unanswered = unanswered
        self.unread = unread


class Link(asyncio.Protocol):
    """A connection that is asked one thing at a time, and kept for the next."""

    def __init__(self) -> None:
        """Wait for `connection_made`."""
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Response] | None = None
        self._begin()
        self.is_open = True
        self.is_free = True
        """Whether it may be asked something, or put by to be asked later."""

    def _begin(self) -> None:
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._pieces: deque[bytes] | None = None
        self._wakes: asyncio.Event | None = None
        self._has_begun = self._is_whole = self._is_paused = False

    async def ask(self, request: bytes, body: bytes) -> Response:
        """Send a request and return its answer, whose stream may still be coming; raise LostError."""
        assert self._transport is not None
        self.is_free = False
        self._begin()
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        if body:
            self._transport.write(body)
        try:
            return await self._answer
        except asyncio.CancelledError:
            self.close()  # the server sees its client go
            raise

    def close(self) -> None:
        """Close."""
        self.is_open = False
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to write."""
        # uvloop's transports are none of asyncio's classes
        self._transport = cast("asyncio.Transport", transport)

    def eof_received(self) -> None:
        """Be asked nothing more: what is written from now on is dropped without an error."""
        self.is_open = False

    def connection_lost(self, error: Exception | None) -> None:
        """Tell whoever waits; of a Unix socket, an error says that what was written was not read."""
        self.is_open = False
        if self._answer is not None and not self._answer.done():
            unanswered = not self._has_begun
            unread = unanswered and isinstance(error, OSError)
            self._answer.set_exception(LostError(unanswered=unanswered, unread=unread))
        if self._wakes is not None:
            self._wakes.set()

    def data_received(self, data: bytes) -> None:
        """Parse what has come."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.close()

    def on_message_begin(self) -> None:
        """Begin an answer."""
        self._has_begun = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header."""
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Hand on at once what comes as a stream."""
        if self._parser.get_status_code() < 200:
            return
        if any(name == b"transfer-encoding" for name, _ in self._headers):
            self._pieces = deque()
            self._wakes = asyncio.Event()
            self._resolve(b"", self._stream())

    def on_body(self, body: bytes) -> None:
        """Collect a piece."""
        if self._pieces is None:
            self._body.append(body)
            return
        self._pieces.append(body)
        if len(self._pieces) > _MOST_PIECES and not self._is_paused and self._transport is not None:
            self._is_paused = True
            self._transport.pause_reading()
        assert self._wakes is not None
        self._wakes.set()

    def on_message_complete(self) -> None:
        """Hand on the whole, and be free for the next request."""
        if self._parser.get_status_code() < 200:
            self._headers = []
            return
        self._is_whole = True
        self.is_free = self._parser.should_keep_alive()
        if self._pieces is None:
            self._resolve(b"".join(self._body), None)
        else:
            assert self._wakes is not None
            self._wakes.set()

    def _resolve(self, body: bytes, stream: AsyncIterator[bytes] | None) -> None:
        if self._answer is None or self._answer.done():
            return
        kind = next((value for name, value in self._headers if name == b"content-type"), b"")
        further = {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in self._headers
            if name not in _OWN
        }
        status = self._parser.get_status_code()
        self._answer.set_result(Response(body, status, kind, further, stream))

    async def _stream(self) -> AsyncIterator[bytes]:
        """Yield pieces as they come; left early, the server is told by a closed connection."""
        assert self._pieces is not None
        assert self._wakes is not None
        try:
            while True:
                while self._pieces:
                    yield self._pieces.popleft()
                if self._is_paused and self._transport is not None:
                    self._is_paused = False
                    self._transport.resume_reading()
                if self._is_whole:
                    return
                if not self.is_open:
                    raise LostError(unanswered=False)
                self._wakes.clear()
                await self._wakes.wait()
        finally:
            if not self._is_whole:
                self.close()
