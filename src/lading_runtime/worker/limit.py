"""`LADING_WORKER_MEMORY_BYTES`: how much memory a worker may take; what it asks for beyond is a MemoryError.

A limit of what it may still write to, above what it has when it begins: address space that is only reserved,
as numerical libraries and GPUs do, costs nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import suppress

STATUS = 12
"""Exit status of a worker that has reached its limit: errno's ENOMEM."""
NAME = "LADING_WORKER_MEMORY_BYTES"
_state = {"limited": False, "reached": False}


def resident_bytes() -> int:
    """Return the memory that this process has in use."""
    return _status("VmRSS:")


def apply(environ: Mapping[str, str]) -> str | None:
    """Set the limit, if there is one; return why the model cannot be served within it."""
    text = environ.get("LADING_WORKER_MEMORY_BYTES", "").strip()
    if not text.isdecimal() or not int(text):
        return None
    import resource

    used = resident_bytes()
    if used >= int(text):
        return f"it takes {used} bytes, more than LADING_WORKER_MEMORY_BYTES={text}"
    most = _status("VmData:") + int(text) - used
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (most, hard))
    _state["limited"] = True
    return None


def note(error: BaseException) -> str:
    """Remember that the limit was reached: the worker answers, and makes way for another.

    Return what is to be said of it, and say so in the log; nothing where it was not.
    """
    if not _state["limited"] or not isinstance(error, MemoryError):
        return ""
    _state["reached"] = True
    with suppress(OSError, ValueError):  # a user's model may have closed it
        sys.stderr.write(
            f"lading: warning: a request needs more memory than {NAME} allows: this worker ends\n"
        )
    return f" (the worker may not have more than {NAME})"


def is_reached() -> bool:
    """Tell whether it was."""
    return _state["reached"]


def _status(name: str) -> int:
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as stream:  # noqa: PTH123
            for line in stream:
                if line.startswith(name):
                    return int(line.split()[1]) << 10
    except OSError:
        pass  # no Linux
    return 0
