"""What a model raised in, what a client and the log are told of it out."""

from __future__ import annotations

import traceback

from lading_runtime.worker import console, inputs, limit


def told(error: BaseException) -> dict[str, str]:
    """Return a message's `error`: `refused` is the client's to mend; `failed` has a traceback in the log."""
    if isinstance(error, inputs.RefusedError):
        return {"kind": error.kind, "message": str(error)}
    console.failure()
    why = limit.note(error)
    return {"kind": "failed", "message": last_line(error) + why}


def last_line(error: BaseException) -> str:
    """Return what a traceback ends with."""
    return "".join(traceback.format_exception_only(type(error), error)).strip()[-2000:]
