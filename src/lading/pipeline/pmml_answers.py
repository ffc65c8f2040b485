"""Answers of a model in PMML and of what it was written from in; the same values of both, to compare, out.

PMML answers a row with names: `predicted_y`, `cluster`, and `probability(a)` of each class that it lists.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from lading.core.errors import Issue, VerifyError
from lading.pipeline.leaves import leaves

_PROBABILITY = re.compile(r"probability\(.*\)\Z", re.DOTALL)
_PREDICTED = re.compile(r"predicted_|predict\(|cluster\Z")


def pairs(
    scored: Any,  # noqa: ANN401 - JSON values
    original: Any,  # noqa: ANN401
    probabilities: Sequence[Sequence[float]] | None,
) -> tuple[list[Any], list[Any]]:
    """Return what PMML says and what the original says, side by side; VerifyError where they are no pairs."""
    rows, expected = _rows(scored), _rows(original)
    if len(rows) != len(expected):
        raise VerifyError(Issue("the converted model", f"answers {len(rows)} rows of {len(expected)}"))
    ours: list[Any] = []
    theirs: list[Any] = []
    for place, (row, wanted) in enumerate(zip(rows, expected, strict=True)):
        said = row if isinstance(row, Mapping) else {"predicted_y": row}
        listed = [value for name, value in said.items() if _PROBABILITY.match(name)]
        found = _like(wanted, said, listed)
        ours += found
        theirs += list(leaves(wanted))
        if probabilities and len(listed) == len(probabilities[place]):
            ours += listed
            theirs += probabilities[place]
    return list(map(_plain, ours)), list(map(_plain, theirs))


def _rows(answer: Any) -> Sequence[Any]:  # noqa: ANN401
    found = answer.get("predictions", answer) if isinstance(answer, Mapping) else answer
    return found if isinstance(found, list) else [found]


def _like(wanted: Any, said: Mapping[str, Any], listed: list[Any]) -> list[Any]:  # noqa: ANN401
    """Take from a row what the original answers: probabilities, one of two of them, or a prediction."""
    if isinstance(wanted, list) and len(wanted) > 1:
        return listed if len(listed) == len(wanted) else _predictions(said)
    predictions = _predictions(said)
    is_label = not isinstance(wanted, float) or not listed
    return predictions[:1] if is_label or len(listed) != 2 else [listed[1]]


def _predictions(said: Mapping[str, Any]) -> list[Any]:
    found = [value for name, value in said.items() if _PREDICTED.match(name)]
    return found or list(said.values())[:1]


def _plain(value: Any) -> Any:  # noqa: ANN401
    """Return a number where a text or a truth is one: clusters are texts in PMML."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return int(value) if isinstance(value, bool) else value
