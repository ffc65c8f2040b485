"""A request's headers in, how long its client waits out; what it asked for is cancelled at that time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import TypeVar

from lading_runtime.front.messages import Refusal

# header → how many of its units are a second: a client's own, and what Envoy (so Istio and Knative) passes on
_HEADERS = ((b"x-request-timeout-seconds", 1), (b"x-envoy-expected-rq-timeout-ms", 1000))
_MAX_S = 86_400.0
_T = TypeVar("_T")


def left_s(headers: Mapping[bytes, bytes]) -> float | None:
    """Return how long the client waits; None where it does not say, or what makes no sense."""
    for name, unit in _HEADERS:
        text = headers.get(name)
        if text is not None:
            try:
                seconds = float(text) / unit
            except ValueError:
                continue
            if 0 < seconds < _MAX_S:  # 0 is Envoy's way to say: for ever
                return seconds
    return None


async def within(work: Awaitable[_T], limit_s: float) -> _T:
    """Await an answer; refuse with 504 when its client does not wait for it any more."""
    try:
        return await asyncio.wait_for(work, limit_s)
    except asyncio.TimeoutError:
        message = f"the {limit_s:g} s that the client gave this request are over"
        raise Refusal(504, message, reason="client_timeout") from None
