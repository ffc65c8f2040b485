"""What a connection's two sides share: a request on its way, and what stops the parser."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from lading_runtime.front.messages import Refusal


class Exchange:
    """A request on its way, or its refusal."""

    __slots__ = (
        "body",
        "expects",
        "headers",
        "held_bytes",
        "is_last",
        "is_old",
        "method",
        "refusal",
        "started",
        "target",
    )

    def __init__(self, method: str, headers: dict[bytes, bytes]) -> None:
        self.method = method
        self.headers = headers
        self.target: Any = None
        self.refusal: Refusal | None = None
        self.body: bytes | bytearray = b""
        self.held_bytes = 0
        self.started = perf_counter()
        # no answer follows this one's; the request is HTTP/1.0; the client waits to be told to go on
        self.is_last = self.is_old = self.expects = False


class Stop(Exception):  # noqa: N818 - a refusal on its way through the parser
    """Stops the parser at a request that is refused, and its connection with it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.refusal = Refusal(status, message)
