"""A column's cells, a few at a time, in; its type and whether it may be missing, as pandas has it, out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from lading.core.signature import Field
from lading.signature.values import Json, is_missing, joined, type_of

LARGEST, LARGEST_UNSIGNED = (1 << 63) - 1, (1 << 64) - 1
MISSING = frozenset(
    {
        *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN"),
        *("<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"),
    }
)
"""What `pandas.read_csv` takes for a value that is missing."""
_WHOLE = re.compile(r"\s*[+-]?\d+\s*", re.ASCII)
_NUMBER = re.compile(
    r"\s*[+-]?(?:\d+\.?\d*(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?|inf(?:inity)?)\s*", re.ASCII | re.IGNORECASE
)
_TRUTH = frozenset({"True", "TRUE", "true", "False", "FALSE", "false"})


def column(typed: Json, name: str | None, *, required: bool) -> Field:
    """Make the field of a column."""
    nested = {key: value for key, value in typed.items() if key != "type"}
    return Field(typed["type"], name, required=required, nested=nested)


@dataclass(slots=True)
class Texts:
    """What a column of a CSV file may still be; its cells are not kept."""

    some: bool = False
    missing: bool = False
    whole: bool = True
    number: bool = True
    truth: bool = True
    low: int = 0
    high: int = 0

    def take(self, cell: str) -> None:
        """Look at a cell."""
        if cell in MISSING:
            self.missing = True
            return
        self.some = True
        if self.truth and cell not in _TRUTH:
            self.truth = False
        if self.whole and _WHOLE.fullmatch(cell):
            # of longer ones it is enough that they are too long
            value = int(cell) if len(cell) < 40 else LARGEST_UNSIGNED + 1
            self.low, self.high = min(self.low, value), max(self.high, value)
            return
        self.whole = False
        if self.number and not _NUMBER.fullmatch(cell):
            self.number = False

    def field(self, name: str) -> Field:
        """Return the column; raise ValueError for what has no type in a signature."""
        kind = "string"
        if not self.some:
            kind = "double" if self.missing else "string"  # NaN, or a column without any rows
        elif self.truth:
            kind = "boolean"
        elif self.whole:
            kind = self._whole()
        elif self.number:
            kind = "double"
        return Field(kind, name, required=not self.missing)

    def _whole(self) -> str:
        fits = self.low >= -LARGEST - 1 and self.high <= LARGEST_UNSIGNED
        if self.missing and fits:
            return "double"  # pandas has no whole numbers with holes among them
        if self.low >= 0 and LARGEST < self.high <= LARGEST_UNSIGNED:
            raise ValueError("uint64 has no type in a signature")
        return "long"  # longer ones stay Python's own, which have no end


@dataclass(slots=True)
class Values:
    """What the values of a column have in common so far."""

    typed: Json | None = None
    missing: bool = False
    some: bool = False

    def take(self, values: Iterable[Any]) -> None:
        """Look at values; raise ValueError where they are of no one type."""
        for value in values:
            self.some = True
            self.missing = self.missing or is_missing(value)
            self.typed = joined(self.typed, type_of(value))

    def field(self, name: str) -> Field:
        """Return the column; raise ValueError where no value told its type."""
        if self.typed is None:
            if self.some:
                raise ValueError("there is no value that is not empty")
            return Field("string", name)
        return column(self.typed, name, required=not self.missing)


def of_frame(name: str, values: Sequence[Any]) -> Field:
    """Return a column of JSON values; raise ValueError for what has no type in a signature."""
    present = [one for one in values if one is not None]
    kinds = set(map(type, present))
    missing = any(map(is_missing, values))
    if kinds and kinds <= {int, float}:
        if kinds == {int} and len(present) == len(values):
            if max(present) <= LARGEST and min(present) >= -LARGEST - 1:
                return Field("long", name)
            if min(present) >= 0 and max(present) <= LARGEST_UNSIGNED:
                raise ValueError("uint64 has no type in a signature")
            return Field("long", name)  # Python's own whole numbers, which have no end
        return Field("double", name, required=not missing)
    seen = Values()
    seen.take(values)
    return seen.field(name)
