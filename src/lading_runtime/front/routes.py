"""A path in, what answers it out: every contract's table of routes in one."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import NamedTuple

from lading_runtime.front.messages import Refusal, Request, Response
from lading_runtime.front.model import Model

Endpoint = Callable[[Model, Request], Awaitable[Response]]
Table = Mapping[str, Mapping[str, Endpoint]]
"""Pattern → method → what answers it. `{name}` stands for one or more characters but `/`."""

_REMEMBERED = 1024
_PLACE = re.compile(r"\\\{\w+\\\}")


class Found(NamedTuple):
    """A route: its pattern (a label of few values), what answers it, and what the pattern left open."""

    pattern: str
    methods: Mapping[str, Endpoint]
    arguments: tuple[str, ...] = ()


class Routes:
    """Every contract's routes."""

    def __init__(self, tables: Iterable[Table], first: Table | None = None) -> None:
        """Take the tables; raise ValueError where two of them answer the same method of a route.

        `first` comes before them: its paths are those that a platform asks for at start.
        """
        self.table: dict[str, dict[str, Endpoint]] = {}
        for table in tables:
            for pattern, methods in table.items():
                taken = self.table.setdefault(pattern, {})
                if taken.keys() & methods.keys():
                    message = f"two contracts answer {sorted(methods)} of {pattern!r}"
                    raise ValueError(message)
                taken.update(methods)
        for path, methods in (first or {}).items():
            self.table.setdefault(path, {}).update(methods)
        self._found = {path: Found(path, methods) for path, methods in self.table.items() if "{" not in path}
        # `/{name}:predict` is tried before `/{name}`
        open_ones = sorted((one for one in self.table if "{" in one), key=len, reverse=True)
        self._patterns = [(re.compile(_PLACE.sub("([^/]+)", re.escape(one))), one) for one in open_ones]
        self._left = _REMEMBERED

    def find(self, path: str) -> Found:
        """Return what answers a path; refuse with 404."""
        found = self._found.get(path)
        if found is not None:
            return found
        for expression, pattern in self._patterns:
            match = expression.fullmatch(path)
            if match:
                found = Found(pattern, self.table[pattern], match.groups())
                # clients ask for few paths, again and again; one that makes up others cannot fill the memory
                if self._left:
                    self._left -= 1
                    self._found[path] = found
                return found
        raise Refusal(404, f"no such route: {path[:200]!r}")
