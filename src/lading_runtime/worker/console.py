"""What the model's Python prints in, the same out with a mark in front of each line (`output.py` reads it).

Only what Python's own `print`, `logging` and `sys.stderr` write is marked. A library's C code, and a process
that the model starts, write to the same pipe without.
"""

from __future__ import annotations

import io
import os
import sys
import traceback
from contextvars import ContextVar
from typing import Any

# what `output.py` takes for a mark
_MAX_NAMES = 4096
_state = {"request": "", "key": ""}
_own: ContextVar[str] = ContextVar("own", default="")


class _Marked(io.FileIO):
    """A descriptor whose lines begin with who wrote them, and for which request."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._is_at_start = True

    def write(self, data: Any) -> int:  # noqa: ANN401 - whatever is a buffer
        """Write whole lines at once, as far as they come so: a short write to a pipe is never torn."""
        whole = bytes(data)
        if not whole:
            return 0
        mark = _mark("info")
        text = whole.replace(b"\n", b"\n" + mark)
        if whole.endswith(b"\n"):
            text = text[: -len(mark)]
        view = memoryview(mark + text if self._is_at_start else text)
        self._is_at_start = whole.endswith(b"\n")
        while view:
            view = view[super().write(view) or 0 :]
        return len(whole)


def mark(key: str) -> None:
    """Mark what is printed from now on, with what no text that is printed can know."""
    _state["key"] = key
    sys.stdout = io.TextIOWrapper(_Marked(1), "utf-8", "backslashreplace", write_through=True)
    sys.stderr = io.TextIOWrapper(_Marked(2), "utf-8", "backslashreplace", write_through=True)


def begin(request_id: str, *, is_alone: bool = True) -> None:
    """Say which request the next lines are about; of a batch, its requests with commas between them.

    Where it is not alone, what is printed in its own task is about it, and other threads' lines about none.
    """
    _own.set(request_id[:_MAX_NAMES])
    _state["request"] = _own.get() if is_alone else ""


def failure() -> None:
    """Print the exception that is being handled: as one line where lines are marked."""
    if not _state["key"]:
        traceback.print_exc()
        return
    text = traceback.format_exc().rstrip("\n").replace("\n", "\x1d").encode("utf-8", "backslashreplace")
    view = memoryview(_mark("error") + text + b"\n")
    while view:
        view = view[os.write(2, view) :]


def _mark(level: str) -> bytes:
    return f"\x1e{_state['key']}\x1f{os.getpid()}\x1f{level}\x1f{_own.get() or _state['request']}\x1e".encode(
        "utf-8", "backslashreplace"
    )
