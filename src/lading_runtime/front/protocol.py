"""One client's connection: its requests answered in order, and given up on where the client is too slow.

A request that is answered without waiting costs no task and no timer; while one waits, a client that goes
away takes its request with it.
"""

from __future__ import annotations

import asyncio
import traceback
from typing import Any, cast

from lading_runtime import log
from lading_runtime.front.application import Application
from lading_runtime.front.decode import LARGE_BYTES
from lading_runtime.front.eager import begin
from lading_runtime.front.exchange import Exchange
from lading_runtime.front.listener import Listener
from lading_runtime.front.messages import RETRY_AFTER, Refusal, Response
from lading_runtime.front.reader import BODY, HEAD, MOST_WAITING, NOTHING, REST, SLICE_BYTES, Reader
from lading_runtime.front.writer import Writer

# a body brings so much in each LADING_BODY_TIMEOUT_S, or all that is left of it
_LEAST_BYTES = 8 << 10
_LINGER_S = 2.0
# of connections beyond the limit, so many per one within it are told why they are closed
_TOLD = 1.25


class Connection(Reader, asyncio.Protocol):
    """One client's connection."""

    def __init__(self, app: Application, listener: Listener) -> None:
        """Wait for `connection_made`."""
        super().__init__(app, listener)
        self._task: asyncio.Task[Any] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a connection, unless there are too many."""
        # uvloop's transports are none of asyncio's classes
        self._transport = cast("asyncio.Transport", transport)
        listener = self._listener
        self._writer = Writer(self._transport, listener.heads, listener.now)
        listener.connections.add(self)
        limit = listener.settings.connection_limit
        if len(listener.connections) > limit:
            if len(listener.connections) > limit * _TOLD + 1:
                self._transport.abort()
            else:
                self._refuse(Refusal(503, "too many connections are open", headers=RETRY_AFTER))

    def connection_lost(self, _: Exception | None) -> None:
        """Drop what the client no longer waits for."""
        self._is_over = True
        if self._task is not None:
            self._task.cancel()
        for exchange in (*self._waiting, self._running, self._incoming):
            if exchange is not None:
                self._release(exchange)
        self._waiting.clear()
        self._incoming = self._running = None
        self._listener.discard(self)

    def eof_received(self) -> bool:
        """Close: a client that has gone and one that will only ask no more look the same from here."""
        return False

    def pause_writing(self) -> None:
        """Begin no more answers until the client has read those that it has."""
        self._writer.is_blocked = True
        self._listener.block(self, self._writer)

    def resume_writing(self) -> None:
        """Go on answering."""
        self._listener.unblock(self)
        self._writer.unblock()
        self._advance()

    def data_received(self, data: bytes) -> None:
        """Parse what has come."""
        if self._is_over:
            return
        if len(data) <= SLICE_BYTES and not self._is_paused:
            self._parse(data)
            if not self._declined and len(self._waiting) < MOST_WAITING:
                return
            data = b""
        self._unread += data
        if not self._is_paused:
            self._pump()

    def check(self, now: float) -> None:
        """Give up on a client that is too slow."""
        settings = self._listener.settings
        if self._writer.stuck_s(now) > settings.body_timeout_s:
            self._transport.abort()
            return
        waited = now - self._since
        if self._reads == REST:
            if waited > _LINGER_S:
                self._transport.abort()
        elif self._reads == HEAD:
            if waited > settings.head_timeout_s and not self._is_paused:
                self._refuse(Refusal(408, "the head did not arrive in time"))
        elif self._reads == BODY:
            if waited > settings.body_timeout_s and not self._is_paused:
                if self._progress < _LEAST_BYTES:
                    self._refuse(Refusal(408, "the body did not arrive in time"))
                self._since = now
                self._progress = 0
        elif waited > settings.keep_alive_s and self._is_idle:
            self._transport.close()

    def shut(self, *, is_new_too: bool) -> None:
        """Close, unless something is being answered or sent, whose answer will be the last."""
        if self._is_idle and self._reads == NOTHING and (is_new_too or self._url):
            self._transport.close()

    def abort(self) -> None:
        """Close now."""
        self._transport.abort()

    def _run(self, exchange: Exchange) -> None:
        self._running = exchange
        if exchange.refusal is not None:
            refused = self._app.refused(
                exchange.target,
                exchange.refusal,
                method=exchange.method,
                headers=exchange.headers,
                started=exchange.started,
            )
            self._finish(refused)
            return
        assert exchange.target is not None
        body = cast("bytes", exchange.body)
        if type(body) is not bytes and len(body) <= LARGE_BYTES:  # a copy of more would hold up others
            body = bytes(body)
        exchange.body = b""
        answer = self._app.answer(exchange.target, exchange.method, exchange.headers, body, exchange.started)
        task = begin(self._loop, answer, self._finish)
        if task is not None:
            self._task = task

    def _finish(self, response: Response) -> None:
        """Write an answer, and go on with what follows it."""
        exchange = self._running
        if exchange is None:  # the client has gone
            return
        is_last = exchange.is_last or (self._listener.is_draining and not self._waiting)
        is_last = is_last or (exchange.is_old and response.stream is not None)
        is_head = exchange.method == "HEAD"
        self._writer.answer(response, is_head=is_head, is_last=is_last, is_old=exchange.is_old)
        if response.stream is None:
            self._end(exchange, is_last)
        else:
            self._task = self._loop.create_task(self._stream(exchange, response, is_last))

    async def _stream(self, exchange: Exchange, response: Response, is_last: bool) -> None:  # noqa: FBT001
        assert response.stream is not None
        try:
            if exchange.method != "HEAD":
                await self._writer.stream(response.stream, is_old=exchange.is_old)
        except Exception:  # noqa: BLE001 - the model's; a status has been sent, so the end tells of it
            log.write("error", f"an answer broke off: {traceback.format_exc()}")
            self._transport.abort()
            return
        self._end(exchange, is_last)

    def _end(self, exchange: Exchange, is_last: bool) -> None:  # noqa: FBT001
        self._running = self._task = None
        self._since = self._listener.now
        if exchange.held_bytes:
            self._release(exchange)
        if not is_last:
            if self._waiting or self._incoming is not None or self._is_paused:
                self._advance()
            return
        self._is_over = True
        self._waiting.clear()
        if (self._lingers or self._reads != NOTHING) and self._transport.can_write_eof():
            # to close with bytes unread would take the answer from a client that is still sending
            self._reads = REST
            self._transport.write_eof()
        else:
            self._transport.close()

    def _advance(self) -> None:
        """Answer what waits, one after the other; read on when few do."""
        if self._is_advancing:
            return
        self._is_advancing = True
        while self._waiting and self._running is None and not self._writer.is_blocked:
            self._run(self._waiting.popleft())
        self._is_advancing = False
        if self._is_paused and len(self._waiting) < MOST_WAITING and not self._is_over:
            self._is_paused = False
            self._pump()
            if not self._is_paused:
                self._transport.resume_reading()
        incoming = self._incoming
        if incoming is not None and incoming.expects and self._is_idle and incoming.refusal is None:
            incoming.expects = False
            self._writer.go_on()
