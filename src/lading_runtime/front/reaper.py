"""SIGCHLD in, ended processes out: each to who waits for it."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress

_REMEMBERED = 256


class Reaper:
    """Collects every child of this process, and the orphans that it inherits.

    A child's number may become known only after its end: the last ones are remembered.
    """

    def __init__(self) -> None:
        """Wait for nobody yet."""
        self._watched: dict[int, Callable[[int], None]] = {}
        self._unknown: OrderedDict[int, int] = OrderedDict()

    def watch(self, pid: int, on_end: Callable[[int], None]) -> None:
        """Call `on_end` with the exit status (negative: the signal) once the process has ended."""
        status = self._unknown.pop(pid, None)
        if status is None:
            self._watched[pid] = on_end
        else:
            on_end(status)

    def collect(self) -> None:
        """Take leave of all that have ended."""
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return
                code = os.waitstatus_to_exitcode(status)
                on_end = self._watched.pop(pid, None)
                if on_end is not None:
                    on_end(code)
                    continue
                self._unknown[pid] = code
                if len(self._unknown) > _REMEMBERED:
                    self._unknown.popitem(last=False)
