"""A package's server: requests in, its responses out, over connections that are kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, cast

from lading_runtime.front.messages import RETRY_AFTER, Refusal, Response
from lading_runtime.router.link import Link, LostError

_MOST_KEPT = 64
TOLD_S = 5.0
"""What a server may take to answer a question about its model."""
# what is about one connection alone (RFC 9110, 7.6.1), and what is written anew
_OWN = {
    b"connection",
    b"content-length",
    b"expect",
    b"keep-alive",
    b"proxy-authorization",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
}


class Upstream:
    """One package, served on a Unix socket."""

    def __init__(self, facts: Mapping[str, str]) -> None:
        """`facts`: `reference`, `name`, `version`, `own_name`, `own_version`, `socket`, `grpc_socket`."""
        self.reference = facts["reference"]
        self.name = facts["name"]
        self.version = facts["version"]
        self.own_name = facts["own_name"]
        self.own_version = facts["own_version"]
        self.socket = facts["socket"]
        self.grpc_socket = facts["grpc_socket"]
        self.channel: Any = None
        """What calls go through, where gRPC is spoken; whoever makes it knows its type."""
        self.in_flight = 0
        self._free: list[Link] = []
        self._idle: asyncio.Event | None = None

    async def ask(self, method: str, url: bytes, headers: Mapping[bytes, bytes], body: bytes) -> Response:
        """Hand a request on; raise a Refusal where no answer can be had.

        A connection that was kept, and that the server has closed before it read the request, is replaced.
        Whether it has begun to answer one that it has read nobody can tell: that is asked again only where
        asking changes nothing.
        """
        request = head("GET" if method == "HEAD" else method, url, headers, len(body))
        self.enter()
        response = None
        try:
            response = await self._ask(request, body, is_safe=method in {"GET", "HEAD"})
        except OSError:
            reason = f"the server of {self.reference!r} cannot be reached"
            raise Refusal(503, reason, headers=RETRY_AFTER) from None
        except LostError:
            raise Refusal(500, f"the server of {self.reference!r} ended while it answered this") from None
        finally:
            if response is None or response.stream is None:
                self.leave()
        if response.stream is not None:
            return response._replace(stream=self._counted(_generator(response)))
        return response

    async def told(self, method: str, url: bytes, headers: Mapping[bytes, bytes]) -> Response:
        """Hand on a question about a model, which its server answers at once unless it hangs."""
        try:
            return await asyncio.wait_for(self.ask(method, url, headers, b""), TOLD_S)
        except asyncio.TimeoutError:
            raise self.hangs() from None

    def hangs(self) -> Refusal:
        """Say that it does not answer."""
        what = f"the server of {self.reference!r} did not answer within {TOLD_S:g} s"
        return Refusal(503, what, headers=RETRY_AFTER)

    async def is_ready(self, timeout_s: float = 2.0) -> bool:
        """Tell whether it would answer a request."""
        try:
            answer = await asyncio.wait_for(self.ask("GET", b"/v2/health/ready", {}, b""), timeout_s)
        except (Refusal, asyncio.TimeoutError):
            return False
        return answer.status == 200

    async def drain(self, timeout_s: float) -> None:
        """Wait until nothing is being asked of it any more."""
        if self.in_flight:
            self._idle = asyncio.Event()
            try:
                await asyncio.wait_for(self._idle.wait(), timeout_s)
            except asyncio.TimeoutError:
                return

    async def close(self) -> None:
        """Close what is kept."""
        while self._free:
            self._free.pop().close()
        if self.channel is not None:
            await self.channel.close()

    async def _ask(self, request: bytes, body: bytes, *, is_safe: bool) -> Response:
        while True:
            link, is_new = await self._link()
            try:
                response = await link.ask(request, body)
            except LostError as lost:
                if is_new or not (lost.unread or (is_safe and lost.unanswered)):
                    raise
                continue
            if response.stream is None and link.is_free and len(self._free) < _MOST_KEPT:
                self._free.append(link)
            elif response.stream is None:
                link.close()
            else:
                response = response._replace(stream=self._kept(link, _generator(response)))
            return response

    async def _kept(self, link: Link, stream: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        async with aclosing(stream) as pieces:
            async for piece in pieces:
                yield piece
        if link.is_free and link.is_open and len(self._free) < _MOST_KEPT:
            self._free.append(link)
        else:
            link.close()

    async def _counted(self, stream: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        try:
            async with aclosing(stream) as pieces:
                async for piece in pieces:
                    yield piece
        finally:
            self.leave()

    async def _link(self) -> tuple[Link, bool]:
        while self._free:
            link = self._free.pop()
            if link.is_open:
                return link, False
        return await self.connect(), True

    async def connect(self) -> Link:
        """Open a connection."""
        _, link = await asyncio.get_running_loop().create_unix_connection(Link, self.socket)
        return link

    def enter(self) -> None:
        """Count a request that is on its way: until it is answered, its server is not ended."""
        self.in_flight += 1

    def leave(self) -> None:
        """Count one that is answered."""
        self.in_flight -= 1
        if not self.in_flight and self._idle is not None:
            self._idle.set()


def head(method: str, url: bytes, headers: Mapping[bytes, bytes], length: int) -> bytes:
    """Write a request's head, without what is about the client's connection alone."""
    lines = [b"%s %s HTTP/1.1" % (method.encode(), url)]
    lines += [b"%s: %s" % (name, value) for name, value in headers.items() if name not in _OWN]
    if b"host" not in headers:
        lines.append(b"host: model")
    if length or method in {"POST", "PUT", "PATCH"}:
        lines.append(b"content-length: %d" % length)
    return b"\r\n".join([*lines, b"", b""])


def _generator(response: Response) -> AsyncGenerator[bytes, None]:
    return cast("AsyncGenerator[bytes, None]", response.stream)  # a link makes no other
