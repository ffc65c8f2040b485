"""What a model raised in, what a client and the log are told of it out."""

from __future__ import annotations

import traceback
from typing import Any

from lading_runtime.azureml.deadline import ScoringTimeoutError
from lading_runtime.worker import console, inputs, limit, results


def told(error: BaseException) -> dict[str, Any]:
    """Return a message's `error`: `refused` is the client's to mend; of others the log has the traceback.

    `timeout`: it was stopped; `formless`: it answered what has no JSON form; else it `failed`.

    What says by `status_code` that it is the client's fault, as web frameworks' exceptions do, is refused so.
    """
    if isinstance(error, inputs.RefusedError):
        return {"kind": error.kind, "message": str(error)}
    status = getattr(error, "status_code", None)
    if type(status) is int and 400 <= status < 500:  # as web frameworks' HTTPException has it
        return {"kind": "refused", "status": status, "message": str(getattr(error, "detail", error))[:2000]}
    console.failure()
    if isinstance(error, ScoringTimeoutError):
        return {"kind": "timeout", "message": str(error)}
    kind = "formless" if isinstance(error, results.FormlessError) else "failed"
    return {"kind": kind, "message": last_line(error) + limit.note(error)}


def last_line(error: BaseException) -> str:
    """Return what a traceback ends with."""
    return "".join(traceback.format_exception_only(type(error), error)).strip()[-2000:]
