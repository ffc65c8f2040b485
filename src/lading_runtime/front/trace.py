"""A request's headers in, what it is known by out: an id, and its place in a trace (W3C Trace Context)."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from itertools import count
from typing import NamedTuple

MAX_ID = 100
"""Characters of an `x-request-id`: Azure's server refuses longer ones."""
_ID = re.compile(rb"[!-~]{1,100}")
# version 00 is exactly this long; a later one may have more behind another hyphen
_PARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_MEMBER = re.compile(
    rb"([a-z][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13})"
    rb"=[ -+\--<>-~]{0,255}[!-+\--<>-~]"
)
_MAX_MEMBERS = 32
_NO_TRACE, _NO_SPAN = b"0" * 32, b"0" * 16
SAMPLED = 1

_prefix = os.urandom(6).hex() + "-"
_numbers = count(1)


class Parent:
    """Where a client says that its request belongs."""

    __slots__ = ("flags", "span_id", "state", "trace_id")

    def __init__(self, trace_id: str, span_id: str, flags: int, state: str) -> None:
        """Keep the parts; ids are lower-case hexadecimal."""
        self.trace_id = trace_id
        self.span_id = span_id
        self.flags = flags
        self.state = state


class Asked(NamedTuple):
    """What is told of a request beside its names."""

    method: str
    path: str
    headers: Mapping[bytes, bytes]
    received: int
    """Bytes of its body."""
    started: float
    """By `perf_counter`."""


class Prediction(NamedTuple):
    """What one prediction took; times are by `perf_counter`."""

    started: float
    ended: float
    queue_s: float
    model_s: float
    error: str


class Seen:
    """A request: what it is known by, and what is measured of it for those who watch."""

    __slots__ = ("request_id", "route")

    parent: Parent | None = None
    trace_id = ""
    span_id = ""
    """Of its own span, where there is a tracer."""
    is_sampled = False
    predictions: list[Prediction] | None = None

    def __init__(self, request_id: str, route: str) -> None:
        """Begin to watch it."""
        self.request_id = request_id
        self.route = route


class Traced(Seen):
    """A request that belongs to a trace. Most do not, and need no room for it."""

    __slots__ = ("is_sampled", "parent", "predictions", "span_id", "trace_id")

    def __init__(self, request_id: str, route: str, parent: Parent | None) -> None:
        """Begin to watch it."""
        super().__init__(request_id, route)
        self.parent = parent
        self.trace_id = "" if parent is None else parent.trace_id
        self.span_id = ""
        self.is_sampled = False
        self.predictions = None


def see(headers: Mapping[bytes, bytes], route: str) -> Seen:
    """Name a request: as its client does, else by its trace, else by a number."""
    if b"traceparent" in headers:
        parent = parse(headers[b"traceparent"], headers.get(b"tracestate", b""))
        if parent is not None:
            return Traced(_given(headers) or parent.trace_id, route, parent)
    name = _given(headers) if b"x-request-id" in headers else ""
    return Seen(name or f"{_prefix}{next(_numbers):x}", route)


def _given(headers: Mapping[bytes, bytes]) -> str:
    given = headers.get(b"x-request-id", b"")
    return given.decode() if _ID.fullmatch(given) else ""


def names_of(headers: Mapping[bytes, bytes]) -> dict[str, str]:
    """Return the headers by which an answer that is no model's is known."""
    seen = see(headers, "")
    names = {"x-request-id": seen.request_id}
    if seen.parent is not None:
        names["traceparent"] = traceparent(seen.trace_id, seen.parent.span_id, seen.parent.flags)
    return names


def parse(traceparent: bytes, tracestate: bytes = b"") -> Parent | None:
    """Read `traceparent` strictly; None for what is invalid, whose `tracestate` is worth nothing either."""
    match = _PARENT.fullmatch(traceparent)
    if match is None:
        return None
    version, trace_id, span_id, flags, more = match.groups()
    if version == b"ff" or trace_id == _NO_TRACE or span_id == _NO_SPAN or (version == b"00" and more):
        return None
    return Parent(trace_id.decode(), span_id.decode(), int(flags, 16) & SAMPLED, parse_state(tracestate))


def parse_state(tracestate: bytes) -> str:
    """Return a valid `tracestate` without its empty members; else nothing, as the standard has it."""
    members = [one for one in (raw.strip(b" \t") for raw in tracestate.split(b",")) if one]
    keys = {one.partition(b"=")[0] for one in members}
    if len(members) > _MAX_MEMBERS or len(keys) != len(members) or not all(map(_MEMBER.fullmatch, members)):
        return ""
    return b",".join(members).decode()


def traceparent(trace_id: str, span_id: str, flags: int) -> str:
    """Print a `traceparent`."""
    return f"00-{trace_id}-{span_id}-{flags:02x}"


def new_trace_id() -> str:
    """Make a trace's id."""
    return os.urandom(16).hex()


def new_span_id() -> str:
    """Make a span's id; all zeros, which is none, comes up once in 10^19."""
    return os.urandom(8).hex()
