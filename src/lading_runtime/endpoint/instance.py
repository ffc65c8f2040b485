"""One instance of a deployment: requests in, its server's responses out."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from lading_runtime.front.messages import Response
from lading_runtime.router.link import Link, LostError
from lading_runtime.router.upstream import Upstream

_REST_S = 0.1


class UnreachedError(Exception):
    """A request has not come to be read: another instance may be asked."""


class Instance(Upstream):
    """A server on a Unix socket, or on a port of this machine."""

    def __init__(self, facts: Mapping[str, Any]) -> None:
        """`facts`: `id`, and `socket` or `host` and `port`."""
        names = dict.fromkeys(("reference", "name", "own_name"), str(facts["id"]))
        versions = {"version": "", "own_version": "", "grpc_socket": ""}
        super().__init__({**names, **versions, "socket": str(facts.get("socket") or "")})
        self.id = str(facts["id"])
        self._place = (str(facts.get("host") or ""), int(facts.get("port") or 0))
        self._rests_until = 0.0

    @property
    def rests(self) -> bool:
        """Tell whether it has just been found unreachable."""
        return asyncio.get_running_loop().time() < self._rests_until

    async def connect(self) -> Link:
        """Open a connection."""
        if self.socket:
            return await super().connect()
        _, link = await asyncio.get_running_loop().create_connection(Link, *self._place)
        return link

    async def score(self, request: bytes, body: bytes, *, is_safe: bool) -> Response:
        """Hand a request on; raise UnreachedError where it was not read, LostError where it may have been."""
        try:
            return await self._ask(request, body, is_safe=is_safe)
        except OSError:
            self._rest()
            raise UnreachedError from None
        except LostError as lost:
            self._rest()
            if lost.unread or (is_safe and lost.unanswered):
                raise UnreachedError from None
            raise

    def forget(self) -> None:
        """Close what is kept: it is asked nothing any more."""
        while self._free:
            self._free.pop().close()

    def _rest(self) -> None:
        """Be asked nothing for a moment: it may be on its way back."""
        self._rests_until = asyncio.get_running_loop().time() + _REST_S
