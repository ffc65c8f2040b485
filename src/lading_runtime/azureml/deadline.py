"""`SCORING_TIMEOUT_MS`: longest that one call of `run` may take, as Azure's server has it.

The alarm interrupts Python, not a library's C code; what it cannot end, the front does.
"""

# a user's own functions may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import functools
import os
import signal
from typing import Any

VARIABLE = "SCORING_TIMEOUT_MS"


class ScoringTimeoutError(TimeoutError):
    """`run` took too long."""


def limited(function: Any) -> Any:
    """Return a function that is interrupted where the variable asks for it.

    Raises ValueError where that is no number.
    """
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return function
    if not text.isdecimal():
        message = f"{VARIABLE}: got {text!r}, expected a whole number of milliseconds"
        raise ValueError(message)

    def ring(*_: Any) -> None:
        message = f"Scoring timeout after {text} ms"
        raise ScoringTimeoutError(message)

    @functools.wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        before = signal.signal(signal.SIGALRM, ring)
        signal.setitimer(signal.ITIMER_REAL, int(text) / 1000)
        try:
            return function(*arguments, **named)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

    return call
