"""Recorded and given answers in; where they differ, and by how much, out.

Numbers are close when `|got - expected| <= tolerance * (1 + |expected|)`; NaN and null are equal, as JSON has
no NaN; text and truth values are equal or not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_SHOWN_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that is not what was recorded. `row` is None where the answers as a whole differ."""

    row: int | None
    column: str
    got: str
    expected: str
    by: float | None = None

    def __str__(self) -> str:
        """Print `row 3, column 'age': got 1.5, expected 1.0, off by 0.5`."""
        place = "the answer" if self.row is None else f"row {self.row}"
        place += f", column {self.column!r}" if self.column else ""
        off = "" if self.by is None else f", off by {self.by:.3g}"
        return f"{place}: got {self.got}, expected {self.expected}{off}"


def predictions(answer: object) -> Any:  # noqa: ANN401 - any JSON value
    """Take the predictions out of MLflow's `{"predictions": …}`; other answers are predictions themselves."""
    return answer["predictions"] if isinstance(answer, Mapping) and set(answer) == {"predictions"} else answer


def rows(answer: object) -> Sequence[Any]:
    """Return the rows of an answer; one that is no list is one row."""
    return answer if isinstance(answer, list) else [answer]


def differences(got: object, expected: object, tolerance: float) -> list[Difference]:
    """Compare row by row; one difference, the first, for each row that differs. Empty: they match."""
    if isinstance(got, list) and isinstance(expected, list) and len(got) != len(expected):
        return [Difference(None, "", f"{len(got)} rows", f"{len(expected)} rows")]
    if isinstance(got, list) != isinstance(expected, list):
        return [Difference(None, "", _shown(got), _shown(expected))]
    found = []
    for row, (one, other) in enumerate(zip(rows(got), rows(expected), strict=True)):
        for column, left, right, by in _unequal(one, other, tolerance, ""):
            found.append(Difference(row, column, _shown(left), _shown(right), by))
            break
    return found


def _unequal(
    got: Any,  # noqa: ANN401 - any JSON value
    expected: Any,  # noqa: ANN401 - any JSON value
    tolerance: float,
    at: str,
) -> Iterator[tuple[str, Any, Any, float | None]]:
    """Yield place, both values and the distance of what differs inside one row."""
    if isinstance(got, Mapping) and isinstance(expected, Mapping) and set(got) == set(expected):
        for key in expected:
            yield from _unequal(got[key], expected[key], tolerance, f"{at}.{key}" if at else str(key))
    elif isinstance(got, list) and isinstance(expected, list) and len(got) == len(expected):
        for index, (one, other) in enumerate(zip(got, expected, strict=True)):
            yield from _unequal(one, other, tolerance, f"{at}[{index}]")
    elif _is_number(got) and _is_number(expected):
        if not _close(got, expected, tolerance):
            yield at, got, expected, _distance(got, expected)
    elif not (_is_missing(got) and _is_missing(expected)) and (
        type(got) is not type(expected) or got != expected
    ):
        yield at, got, expected, None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and not _is_missing(value)


def _is_missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _close(got: float, expected: float, tolerance: float) -> bool:
    if got == expected:
        return True
    distance = _distance(got, expected)
    return distance is not None and distance <= tolerance * (1 + abs(expected))


def _distance(got: float, expected: float) -> float | None:
    """Return how far apart two numbers are; None where that is no number (infinities, huge integers)."""
    try:
        distance = float(abs(got - expected))
        return distance if math.isfinite(distance) else None
    except OverflowError:
        return None


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
