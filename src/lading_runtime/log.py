"""One line per event on stderr; `LADING_LOG_LEVEL` chooses from which level on."""

from __future__ import annotations

import os
import sys

LEVELS = ("debug", "info", "warning", "error")
_asked = os.environ.get("LADING_LOG_LEVEL", "info").strip().lower()
_THRESHOLD = LEVELS.index(_asked) if _asked in LEVELS else LEVELS.index("info")


def write(level: str, text: str) -> None:
    """Write a line, at once and whole; a closed stderr stops nothing."""
    if LEVELS.index(level) >= _THRESHOLD:
        try:
            sys.stderr.write(f"lading: {level}: {text}\n")
            sys.stderr.flush()
        except (OSError, ValueError):
            return
