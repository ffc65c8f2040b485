"""What predicts behind a model's front: workers of its own, or a compiled form that needs none."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol

from lading_runtime.front.channel import Answer
from lading_runtime.front.encode import Input
from lading_runtime.front.metrics import Value

FULL = "too many requests are waiting for the model"
"""The `state` of a backend that could answer, had it room for one more request."""


class Backend(Protocol):
    """Encoded inputs in, answers out."""

    load_s: float

    @property
    def is_ready(self) -> bool:
        """Tell whether a request sent now would be answered."""
        ...

    @property
    def state(self) -> str:
        """Say, for people, what is waited for."""
        ...

    @property
    def facts(self) -> Mapping[str, Any]:
        """Return what loading told of the model: `names`, `width`."""
        ...

    async def predict(self, wanted: Input) -> Answer:
        """Return the answer; raise a Refusal when there is none, or no room to wait."""
        ...

    def stream(self, wanted: Input) -> AsyncIterator[Answer]:
        """Give the parts of an answer as they come; raise a Refusal as `predict` does, or midway."""
        ...

    def gauges(self) -> Mapping[str, tuple[str, str, Value]]:
        """Return what metrics say of it: name → (type, help, value)."""
        ...

    def processes(self) -> Mapping[str, int]:
        """Return the processes that it runs now: name, which a successor takes over, → id."""
        ...

    def abandon(self, why: str) -> None:
        """Refuse what waits and what runs, and whatever else comes."""
        ...

    async def close(self, timeout_s: float) -> None:
        """End what it started."""
        ...
