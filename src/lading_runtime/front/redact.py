"""A record in, the same without the values that nobody may keep out."""

# JSON values may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

REDACTED = "[redacted]"
_ROOTS = ("inputs", "params", "outputs")


class Redactor:
    """Knows names, which count at any depth, and JSON pointers into a record (RFC 6901; `*` is any step)."""

    def __init__(self, text: str) -> None:
        """Read `name,name,/inputs/*/2`; without anything nothing is hidden."""
        asked = [one.strip() for one in text.split(",") if one.strip()]
        self._names = {one for one in asked if not one.startswith("/")}
        self._pointers = [_steps(one) for one in asked if one.startswith("/")]

    def record(self, record: dict[str, Any]) -> dict[str, Any]:
        """Hide values in `inputs`, `params` and `outputs`."""
        if not self._names and not self._pointers:
            return record
        return {
            key: self._hide(value, [one[1:] for one in self._pointers if one and one[0] in {key, "*"}])
            if key in _ROOTS
            else value
            for key, value in record.items()
        }

    def text(self, reason: str, message: str) -> str:
        """Return what may be kept of an error: its words may quote what is hidden."""
        return reason if self._names or self._pointers else message

    def _hide(self, value: Any, pointers: Sequence[Sequence[str]]) -> Any:
        if any(not one for one in pointers):
            return REDACTED
        if isinstance(value, dict):
            return {
                key: REDACTED if key in self._names else self._hide(one, _below(pointers, str(key)))
                for key, one in value.items()
            }
        if isinstance(value, list):
            # numbers in long lists are what most records are made of
            if not pointers and not any(isinstance(one, (dict, list)) for one in value):
                return value
            return [self._hide(one, _below(pointers, str(index))) for index, one in enumerate(value)]
        return value


def _below(pointers: Sequence[Sequence[str]], step: str) -> list[Sequence[str]]:
    return [one[1:] for one in pointers if one[0] in {step, "*"}]


def _steps(pointer: str) -> list[str]:
    return [one.replace("~1", "/").replace("~0", "~") for one in pointer.split("/")[1:]]
