"""What of each of several files has come, at once, goes in; how much of all of them, as events, comes out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection

from lading.core.assets import AssetFile
from lading.core.ports import Event, Events


class Tally:
    """Adds up what threads have moved."""

    def __init__(self, stage: str, files: Collection[AssetFile], events: Events) -> None:
        """Name what is moved."""
        self._stage, self._events = stage, events
        self._total = sum(one.size_bytes for one in files)
        self._done: dict[str, int] = {}
        self._lock = threading.Lock()

    def of(self, file: AssetFile) -> Callable[[int], None]:
        """Return what hears how much of a file has come."""

        def told(done: int) -> None:
            with self._lock:
                self._done[file.path] = done
                self._events(Event(self._stage, "progress", file.path, sum(self._done.values()), self._total))

        return told
