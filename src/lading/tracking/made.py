"""Metrics, parameters and a commit, as a store has them → what is kept of them: little, nothing secret."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from lading.core.errors import without_secrets
from lading.tracking.kept import Made

_MOST, _MOST_LETTERS = 50, 100
_COMMIT = re.compile(r"[0-9a-f]{7,64}\Z")
_SECRET = re.compile(r"pass|secret|token|credential|api.?key|access.?key|private|auth", re.IGNORECASE)


def made(
    commit: str | None, metrics: Iterable[tuple[str, object]], params: Iterable[tuple[str, object]]
) -> Made:
    """Keep the first fifty of each by name, without what is long, called like a secret, or no number.

    >>> made("0a1b2c3", [("loss", math.nan), ("r2", 0.9)], [("C", "1.0"), ("db_password", "x")])
    Made(commit='0a1b2c3', metrics={'r2': 0.9}, params={'C': '1.0'})
    """
    numbers = {
        name: float(value)
        for name, value in metrics
        if isinstance(value, int | float) and math.isfinite(value) and _is_short(name)
    }
    texts = {
        name: without_secrets(str(value))
        for name, value in params
        if _is_short(name) and _is_short(str(value)) and not _SECRET.search(name) and "/" not in str(value)
    }
    return Made(
        commit if commit and _COMMIT.match(commit) else None,
        dict(sorted(numbers.items())[:_MOST]),
        dict(sorted(texts.items())[:_MOST]),
    )


def _is_short(text: str) -> bool:
    return len(text) <= _MOST_LETTERS and text.isprintable()
