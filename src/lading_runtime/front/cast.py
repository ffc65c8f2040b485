"""JSON values in, a datatype and raw bytes out; only casts that lose nothing, all others are a Misfit.

The usual case, a list of one type, costs one `set(map(type, …))` and one `struct.pack`, which both run in C.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
import struct
from collections.abc import Callable, Collection, Sequence
from datetime import date, datetime, timezone
from typing import Any

import msgspec

from lading_runtime.wire import ARRAY_CODES, JSON

# up to there every whole number is kept as it is
_EXACT = {"FP32": 1 << 24, "FP64": 1 << 53}
VANISHES = 2.0**-150
"""The largest number that a float makes nought of."""
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - without a zone, as numpy has it
# a time to its seconds, what follows their point, and a zone
_FRACTION = re.compile(r"(.*?:\d\d)(?:[.,](\d+))?([Zz]|[+-]\d\d:?\d\d(?::?\d\d)?)?", re.ASCII)
_NULL = type(None)
_NUMBERS = {float, int, _NULL}
_RANGES = {
    datatype: (0, (1 << bits) - 1) if datatype[0] == "U" else (-(1 << bits - 1), (1 << bits - 1) - 1)
    for datatype, bits in ((f"{sign}INT{size}", size) for sign in ("", "U") for size in (8, 16, 32, 64))
}
FLOATS = ("FP32", "FP64")
OBJECT = "object"
"""Texts, numbers and truths that stay what they are; null is NaN."""
_EXPECTED = {
    "BOOL": "true or false",
    "FP32": "a number that a float can hold",
    "FP64": "a number that a double can hold",
    **{name: f"a whole number from {low} to {high}" for name, (low, high) in _RANGES.items()},
    "string": "a string",
    OBJECT: "a string",
    "binary": "a base64 string",
    "datetime": "an ISO 8601 date or time between 1677 and 2262, of whole nanoseconds",
}


# a float so large may be what another number was rounded to
_LONG = "a whole number, beyond 2^53 without a point or an exponent"


class Misfit(ValueError):  # noqa: N818 - not an error of ours: a value that does not fit
    """A value that cannot be cast without loss."""

    def __init__(self, index: int, value: object, expected: str) -> None:
        """Remember which of the values it is."""
        super().__init__(index, value, expected)
        self.index = index
        self.value = value
        self.expected = expected

    def __str__(self) -> str:
        """Print what was got and what was expected, the value shortened."""
        text = json.dumps(self.value, default=str)
        return f"got {text if len(text) <= 60 else text[:57] + '…'}, expected {self.expected}"


def pack(kind: str, values: Sequence[Any]) -> tuple[str, bytes]:
    """Cast values to a datatype, or to `string`, `binary`, `datetime` or OBJECT.

    Raises Misfit, which names one, where a value does not fit. null is NaN among floats, and stays null among
    strings, binaries and datetimes, where NaN is null.
    """
    if kind in FLOATS:
        return kind, _floats(kind, values)
    if kind == "BOOL":
        _require(kind, values, {bool})
        return kind, bytes(values)
    if kind in _RANGES:
        return kind, _integers(kind, values)
    if kind == JSON:
        return JSON, msgspec.json.encode(values)
    kinds = set(map(type, values))
    if dict in kinds:
        values = [_unwrapped(kind, value) for value in values]
    if float in kinds:  # pandas, and so MLflow's own clients, write NaN for a text that is missing
        values = [None if value != value else value for value in values]  # noqa: PLR0124
    _require(kind, values, {str, _NULL} if kind != OBJECT else {str, int, float, bool, _NULL})
    if kind == "datetime":
        values = _each(kind, values, _iso)
    elif kind == "binary":
        _each(kind, values, _base64)
    return JSON, msgspec.json.encode(values)


def infer(values: Collection[Any]) -> str:
    """Tell the datatype that a frame of these JSON values would have: ints with a null are floats."""
    kinds = set(map(type, values))
    present = kinds - {_NULL}
    if present <= {float, int} and (float in kinds or _NULL in kinds or not kinds):
        return "FP64"
    if kinds == {int}:
        low, high = min(values), max(values)
        return next(
            (one for one in ("INT64", "UINT64") if _RANGES[one][0] <= low and high <= _RANGES[one][1]), JSON
        )
    return "BOOL" if kinds == {bool} else JSON


def _require(kind: str, values: Sequence[Any], allowed: set[type]) -> None:
    if not set(map(type, values)) <= allowed:
        for index, value in enumerate(values):
            if type(value) not in allowed:
                raise Misfit(index, value, _EXPECTED[kind])


def _floats(kind: str, values: Sequence[Any]) -> bytes:
    kinds = set(map(type, values))
    if not kinds <= _NUMBERS:
        _require(kind, values, _NUMBERS)
    filled = [math.nan if value is None else value for value in values] if _NULL in kinds else values
    if int in kinds:
        whole = filled if len(kinds) == 1 else [value for value in filled if type(value) is int]
        exact = _EXACT[kind]
        if max(whole) > exact or min(whole) < -exact:
            return _large(kind, filled)
    try:
        packed = struct.pack(f"<{len(filled)}{ARRAY_CODES[kind]}", *filled)
    except OverflowError:  # larger than FP32 can hold
        return _large(kind, filled)
    if kind == "FP32" and b"\0\0\0" in packed:
        for index, value in enumerate(filled):
            if value and abs(value) <= VANISHES:
                raise Misfit(index, values[index], _EXPECTED[kind])
    return packed


def _large(kind: str, values: Sequence[Any]) -> bytes:
    """Pack numbers of which some may be too large, or whole and too long to be kept exactly."""
    form = struct.Struct(f"<{ARRAY_CODES[kind]}")
    packed = []
    for index, value in enumerate(values):
        try:
            one = form.pack(value)
        except (OverflowError, struct.error):
            raise Misfit(index, value, _EXPECTED[kind]) from None
        if type(value) is int and form.unpack(one)[0] != value:
            raise Misfit(index, value, _EXPECTED[kind])
        packed.append(one)
    return b"".join(packed)


def _integers(kind: str, values: Sequence[Any]) -> bytes:
    if set(map(type, values)) - {int}:
        _require(kind, values, {int, float})
        for index, value in enumerate(values):
            if type(value) is float and not (value.is_integer() and abs(value) <= _EXACT["FP64"]):
                low, high = _RANGES[kind]
                is_rounded = value.is_integer() and low <= value <= high
                raise Misfit(index, value, _LONG if is_rounded else _EXPECTED[kind])
        values = list(map(int, values))
    try:
        return struct.pack(f"<{len(values)}{ARRAY_CODES[kind]}", *values)
    except struct.error:
        low, high = _RANGES[kind]
        index = next(index for index, value in enumerate(values) if not low <= value <= high)
        raise Misfit(index, values[index], _EXPECTED[kind]) from None


def _each(kind: str, values: Sequence[Any], read: Callable[[str], Any]) -> list[Any]:
    result = []
    for index, value in enumerate(values):
        try:
            result.append(None if value is None else read(value))
        except ValueError:
            raise Misfit(index, value, _EXPECTED[kind]) from None
    return result


def _iso(text: str) -> str:
    """Read a time and bring it to UTC without saying so, as numpy keeps times: to the nanosecond.

    What 64 bits of nanoseconds cannot hold (before 1677, after 2262, finer fractions) is refused: numpy would
    make another time of it.
    """
    found = _FRACTION.fullmatch(text)
    whole, digits, zone = (one or "" for one in found.groups()) if found else (text, "", "")
    fine = digits[9:].strip("0")
    moment = datetime.fromisoformat(whole + ("+00:00" if zone in {"Z", "z"} else zone))
    try:
        if moment.tzinfo is not None:
            moment = moment.astimezone(timezone.utc).replace(tzinfo=None)
    except OverflowError:
        raise ValueError(text) from None
    since = moment - _EPOCH
    seconds = since.days * 86_400 + since.seconds
    nanoseconds = seconds * 10**9 + since.microseconds * 1000 + int(digits[:9].ljust(9, "0"))
    # the least of them is numpy's "not a time"
    if fine or not -(1 << 63) < nanoseconds < 1 << 63:
        raise ValueError(text)
    rest = digits[:9].rstrip("0")
    return moment.isoformat() + (f".{rest}" if rest else "")


def moment(text: str) -> date:
    """Read a parameter's time as MLflow does: a date is one; raise ValueError for nanoseconds."""
    whole, _, rest = _iso(text).partition(".")
    if len(rest) > 6:
        raise ValueError(text)
    found = datetime.fromisoformat(whole).replace(microsecond=int(rest.ljust(6, "0")))
    return found.date() if len(text) <= len("2026-01-02") and ":" not in text else found


def _unwrapped(kind: str, value: object) -> object:
    """Read `{"b64": …}`, as TensorFlow Serving writes bytes; of a string, its text in UTF-8."""
    if kind == "datetime" or not isinstance(value, dict) or value.keys() != {"b64"}:
        return value
    if kind == "binary":
        return value["b64"]
    try:
        return base64.b64decode(value["b64"], validate=True).decode()
    except (ValueError, TypeError):
        return value


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)  # MLflow's own has lines
    except binascii.Error as error:
        raise ValueError(text) from error
