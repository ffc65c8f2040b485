"""A server's name in, what that server needs of a package out."""

from __future__ import annotations

import difflib

from lading.core.errors import Issue, SpecError
from lading.core.server import ServerNeeds
from lading.servers import native

_SERVERS = {server.name: server for server in (native.NEEDS,)}

__all__ = ["find"]


def find(name: str) -> ServerNeeds:
    """Return what a server needs; raise SpecError, which lists the known ones, for another name."""
    try:
        return _SERVERS[name]
    except KeyError:
        near = difflib.get_close_matches(name, _SERVERS, 1)
        expected = " or ".join(map(repr, sorted(_SERVERS)))
        fix = f"did you mean {near[0]!r}?" if near else None
        raise SpecError(Issue("server", f"got {name!r}, expected {expected}", fix)) from None
