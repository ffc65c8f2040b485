"""`AML_CORS_ORIGINS` and a request in, what a browser of another origin is told out, as flask-cors has it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from lading_runtime.front.messages import Request

_METHODS = "GET, POST"
_OF_A_PATTERN = frozenset("*\\]?$^[]()")


class Origins(NamedTuple):
    """Who may ask from a browser: `*`, origins, and regular expressions of them."""

    literal: Sequence[str]
    patterns: Sequence[re.Pattern[str]]
    is_open: bool

    def headers(self, request: Request) -> dict[str, str]:
        """Return the headers of the answer; none where the origin is another."""
        origin = request.headers.get(b"origin", b"").decode("latin-1")
        if origin and not self._has(origin):
            return {}
        found = {}
        if self.patterns or len(self.literal) > 1:
            found["vary"] = "Origin"
        if not origin:  # no browser asks
            if self.is_open:
                return {"access-control-allow-origin": "*"}
            first = min(self.literal, default="")
            return {**found, "access-control-allow-origin": first} if first else {}
        found["access-control-allow-origin"] = origin
        asked = request.headers.get(b"access-control-request-method", b"").decode("latin-1").upper()
        if request.method == "OPTIONS" and asked and asked in _METHODS:
            found["access-control-allow-methods"] = _METHODS
            wanted = request.headers.get(b"access-control-request-headers", b"").decode("latin-1")
            if wanted:
                names = sorted(one.strip() for one in wanted.split(","))
                found["access-control-allow-headers"] = ", ".join(names)
        return found

    def _has(self, origin: str) -> bool:
        known = {one.casefold() for one in self.literal}
        return origin.casefold() in known or any(one.match(origin) for one in self.patterns)


def read(environ: Mapping[str, str]) -> Origins | None:
    """Read the variable; None where there is none."""
    given = [one.strip() for one in environ.get("AML_CORS_ORIGINS", "").split(",")]
    given = [".*" if one == "*" else one for one in given if one]
    if not given:
        return None
    literal = [one for one in given if _OF_A_PATTERN.isdisjoint(one)]
    patterns = [re.compile(one, re.IGNORECASE) for one in given if one not in literal]
    return Origins(literal, patterns, ".*" in given)
