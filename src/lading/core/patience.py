"""What is waited for goes in; a line every so often goes out, so that nobody takes it for a hang."""

from __future__ import annotations

import time
from collections.abc import Callable

from lading.core.ports import Event, Events

_FIRST_S, _EVERY_S = 10.0, 30.0


class Patience:
    """Tells of a wait: after ten seconds, then every thirty."""

    def __init__(
        self,
        events: Events,
        stage: str,
        what: str,
        most_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin to wait for `what`, for `most_s` at most."""
        self._events = events
        self._stage = stage
        self._what = what
        self._most = f" of at most {most_s:.0f}" if most_s is not None else ""
        self._clock = clock
        self._begun_s = clock()
        self._next_s = _FIRST_S

    def tell(self, last: str = "") -> None:
        """Say so where it is time to; `last` is what was seen last."""
        waited_s = self._clock() - self._begun_s
        if waited_s < self._next_s:
            return
        self._next_s = (waited_s // _EVERY_S + 1) * _EVERY_S
        text = f"waiting for {self._what}, for {waited_s:.0f}{self._most} s"
        self._events(Event(self._stage, "stage", f"{text}: {last}" if last else text))
