"""Sockets in, their connections out: how many, how slow, how much they may hold, and how they end."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Protocol

from lading_runtime.front.access import Access
from lading_runtime.front.heads import Heads
from lading_runtime.front.settings import Settings
from lading_runtime.front.sockets import BACKLOG
from lading_runtime.front.writer import Writer

_LONGEST_TICK_S = 1.0
_TICKS = 8
# how long the first request of a connection may take to come, where the server has been told to end
_NEW_S = 1.0
# and to send what those are told whose time is over
_LAST_WORDS_S = 0.25


class Watched(Protocol):
    """What a listener knows of a connection."""

    def check(self, now: float) -> None:
        """Give up on a client that is too slow."""
        ...

    def shut(self, *, is_new_too: bool) -> None:
        """Close as soon as nothing is being answered; a new connection's first request may be on its way."""
        ...

    def abort(self) -> None:
        """Close now."""
        ...


class Listener:
    """The connections of one server, watched from one timer: none of them needs its own."""

    def __init__(
        self, settings: Settings, loop: asyncio.AbstractEventLoop, access: Access | None = None
    ) -> None:
        """Listen to nothing yet."""
        self.access = access
        self.settings = settings
        self.loop = loop
        self.heads = Heads()
        self.connections: set[Watched] = set()
        self.now = loop.time()
        """The time of the last tick: how long something has waited is known to a tick."""
        self.held_bytes = 0
        """What incomplete and unanswered requests hold in memory beyond their first piece."""
        self.unread_bytes = 0
        """What answers hold that their clients have not read, at most."""
        self._blocked: dict[Watched, tuple[Writer, int]] = {}
        self.is_draining = False
        """Whether every answer is a connection's last."""
        self.refused = 0
        self._servers: list[asyncio.AbstractServer] = []
        self._sockets: list[socket.socket] = []
        self._connect: Callable[[], asyncio.Protocol] = asyncio.Protocol
        self._options: dict[str, Any] = {}
        timeouts = (settings.keep_alive_s, settings.head_timeout_s, settings.body_timeout_s)
        self._tick_s = min(_LONGEST_TICK_S, max(0.01, min(timeouts) / _TICKS))
        self._timer = loop.call_later(self._tick_s, self._tick)
        self._empty: asyncio.Event | None = None

    async def listen(
        self,
        connect: Callable[[], asyncio.Protocol],
        sockets: Iterable[socket.socket],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Accept connections, each a `connect()`."""
        options: dict[str, Any] = {"ssl": tls}
        if tls is not None:
            options["ssl_handshake_timeout"] = self.settings.head_timeout_s
        self._connect, self._options = connect, options
        for one in sockets:
            self._sockets.append(one.dup())
            self._servers.append(await self.loop.create_server(connect, sock=one, backlog=BACKLOG, **options))

    async def close(self, timeout_s: float, abandon: Callable[[], None] | None = None) -> None:
        """Accept no more, wait for what is being answered, then abandon it and cut off what is left."""
        self.is_draining = True
        for server in self._servers:
            server.close()
        for one in self._sockets:
            await self._accept_rest(one)
        self._shut(is_new_too=False)
        self._empty = asyncio.Event()
        if self.connections:
            patience = self.loop.call_later(_NEW_S, lambda: self._shut(is_new_too=True))
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._empty.wait(), timeout_s)
            if self.connections and abandon is not None:
                abandon()
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._empty.wait(), _LAST_WORDS_S)
            self.abort()
            await asyncio.sleep(0)
            patience.cancel()
        self._timer.cancel()

    async def _accept_rest(self, listening: socket.socket) -> None:
        """Accept those who wait to be accepted, whom closing would cut off."""
        with listening:
            listening.settimeout(0)
            rest = []
            with suppress(OSError):
                while True:
                    rest.append(listening.accept()[0])
        for one in rest:
            one.settimeout(0)
            with suppress(OSError):
                await self.loop.connect_accepted_socket(self._connect, one, **self._options)

    def block(self, connection: Watched, writer: Writer) -> None:
        """Note what a client has to read before it is told more; give up those that hold too much unread.

        Those go first that have read nothing for the longest time.
        """
        self.unblock(connection)
        size = writer.unread_bytes
        self._blocked[connection] = writer, size
        self.unread_bytes += size
        if not self.is_full():
            return
        self._blocked = {one: (its, its.unread_bytes) for one, (its, _) in self._blocked.items()}
        self.unread_bytes = sum(size for _, size in self._blocked.values())
        now = self.loop.time()
        order = sorted(self._blocked.items(), key=lambda one: (-one[1][0].stuck_s(now), -one[1][1]))
        for one, _ in order:
            if not self.is_full():
                return
            self.unblock(one)
            one.abort()

    def unblock(self, connection: Watched) -> None:
        """Forget what a client had to read."""
        _, size = self._blocked.pop(connection, (None, 0))
        self.unread_bytes -= size

    def is_full(self) -> bool:
        """Tell whether more is held in memory than the settings allow."""
        return self.held_bytes + self.unread_bytes > self.settings.buffer_limit_bytes

    def _shut(self, *, is_new_too: bool) -> None:
        for connection in list(self.connections):
            connection.shut(is_new_too=is_new_too)

    def abort(self) -> None:
        """Cut off all of them."""
        for connection in list(self.connections):
            connection.abort()

    def discard(self, connection: Watched) -> None:
        """Forget a connection that is closed."""
        self.connections.discard(connection)
        self.unblock(connection)
        if self._empty is not None and not self.connections:
            self._empty.set()

    def _tick(self) -> None:
        now = self.now = self.loop.time()
        self._timer = self.loop.call_later(self._tick_s, self._tick)
        self.heads.turn()
        for connection in list(self.connections):
            connection.check(now)
