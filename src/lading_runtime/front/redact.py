"""A record in, the same without the values that nobody may keep out."""

# JSON values may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any

from lading_runtime.front import decode
from lading_runtime.front.messages import Refusal

REDACTED = "[redacted]"
_ROOTS = ("inputs", "params", "outputs")
_OF_TENSORS = {"name", "datatype", "shape"}
_DEPTH = 100
"""What is deeper is hidden whatever it is."""


class Redactor:
    """Knows names, which count at any depth, and JSON pointers into a record (RFC 6901; `*` is any step)."""

    def __init__(self, text: str) -> None:
        """Read `name,name,/inputs/*/2`; without anything nothing is hidden."""
        asked = [one.strip() for one in text.split(",") if one.strip()]
        self._names = {one for one in asked if not one.startswith("/")}
        self._pointers = [_steps(one) for one in asked if one.startswith("/")]
        self.is_on = bool(asked)

    def record(self, record: dict[str, Any]) -> dict[str, Any]:
        """Hide values in `inputs`, `params` and `outputs`."""
        if not self.is_on:
            return record
        return {
            key: self._hide(value, [one[1:] for one in self._pointers if one and one[0] in {key, "*"}])
            if key in _ROOTS
            else value
            for key, value in record.items()
        }

    def text(self, reason: str, message: str) -> str:
        """Return what may be kept of an error: its words may quote what is hidden."""
        return reason if self.is_on else message

    def _hide(self, value: Any, pointers: Sequence[Sequence[str]], depth: int = 0) -> Any:
        if depth > _DEPTH or any(not one for one in pointers):
            return REDACTED
        if isinstance(value, dict):
            return self._hide_object(value, pointers, depth)
        if isinstance(value, list):
            # numbers in long lists are what most records are made of
            if not pointers and not any(isinstance(one, (dict, list, str)) for one in value):
                return value
            return [
                self._hide(one, _below(pointers, str(index)), depth + 1) for index, one in enumerate(value)
            ]
        return self._hide_text(value, pointers, depth) if isinstance(value, str) else value

    def _hide_object(self, value: dict[str, Any], pointers: Sequence[Sequence[str]], depth: int) -> Any:
        """Hide what is below a name, and what a text beside it gives one: a tensor, a table's column."""
        kept = {
            key: REDACTED if key in self._names else self._hide(one, _below(pointers, str(key)), depth + 1)
            for key, one in value.items()
        }
        name, columns = value.get("name"), value.get("columns")
        if isinstance(name, str) and name in self._names:
            return {key: one if key in _OF_TENSORS else REDACTED for key, one in kept.items()}
        if isinstance(columns, list) and "data" in kept:
            hidden = {index for index, one in enumerate(columns) if self._is_named(one)}
            if hidden:
                kept["data"] = _without(kept["data"], hidden, len(columns))
        return kept

    def _is_named(self, column: Any) -> bool:
        """Tell whether a column has a name that is hidden, or one of its levels has."""
        levels = column if isinstance(column, list) else [column]
        return any(isinstance(one, str) and one in self._names for one in levels)

    def _hide_text(self, text: str, pointers: Sequence[Sequence[str]], depth: int) -> str:
        """Look into a text that is JSON itself; one that seems to be and cannot be read is hidden whole."""
        start = text.lstrip("\ufeff \t\r\n")
        if not start.startswith(("{", "[", '"')) or ("{" not in start and "\\" not in start and not pointers):
            return text
        try:
            value = decode.parse_json(start.encode())
        except (Refusal, UnicodeEncodeError):
            return REDACTED if "{" in start or "\\" in start else text
        kept = self._hide(value, pointers, depth + 1)
        if kept == value and "{" not in start:
            return text  # an object is written anew: of a key that it has twice, the first value was not seen
        return kept if kept is REDACTED else json.dumps(kept, ensure_ascii=False)


def _without(rows: Any, hidden: Collection[int], width: int) -> Any:
    """Hide cells of a table; a row that is of another width whole, for nobody can tell which is which."""
    if not isinstance(rows, list):
        return REDACTED
    return [
        [REDACTED if index in hidden else cell for index, cell in enumerate(row)]
        if isinstance(row, list) and len(row) == width
        else REDACTED
        for row in rows
    ]


def _below(pointers: Sequence[Sequence[str]], step: str) -> list[Sequence[str]]:
    return [one[1:] for one in pointers if one[0] in {step, "*"}]


def _steps(pointer: str) -> list[str]:
    return [one.replace("~1", "/").replace("~0", "~") for one in pointer.split("/")[1:]]
