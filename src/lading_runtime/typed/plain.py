"""Type hints of one value: numbers, text, times, choices."""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from lading_runtime.typed.reading import Reading, Text, Upload, parsed, raw, shown

_ZULU = ("z", "Z")


class Kind:
    """What a type hint asks for: what of JSON fits it, and what the function is given.

    `read` returns the value, or notes a problem at `at` and returns None.
    """

    schema: Mapping[str, Any] = {}
    expected = "any value"
    takes: ClassVar[frozenset[str]] = frozenset()
    """Which JSON containers may fit: `list`, `object`; `file` for what an upload can be."""
    is_record = False
    """Whether a value of it is one row of a table, in general."""

    def read(self, value: Any, at: str, reading: Reading) -> Any:
        """Read one value."""
        if type(value) is Upload and "file" not in self.takes:
            try:
                value = Text(value.data.decode())
            except UnicodeDecodeError:
                return reading.fail(at, value, self.expected)
        if type(value) is Text:
            value = self.of_text(value)
        return self.convert(value, at, reading)

    def of_text(self, text: Text) -> Any:
        """Make something of a form's field."""
        return parsed(text)

    def convert(self, value: Any, at: str, reading: Reading) -> Any:
        """Read one JSON value, or an Upload."""
        raise NotImplementedError


class Anything(Kind):
    """No hint, `Any` or `object`."""

    takes = frozenset({"list", "object", "file"})

    def of_text(self, text: Text) -> Any:
        """Take a field for JSON where it looks like it."""
        return parsed(text)

    def convert(self, value: Any, at: str, reading: Reading) -> Any:
        """Take all there is; of a file its bytes."""
        del at, reading
        return value.data if isinstance(value, Upload) else value


class Null(Kind):
    """`None`."""

    schema: Mapping[str, Any] = {"type": "null"}
    expected = "null"

    def of_text(self, text: Text) -> Any:
        """Take an empty field for nothing."""
        return None if text in {"", "null", "none", "None"} else text

    def convert(self, value: Any, at: str, reading: Reading) -> Any:
        """Take null alone, or NaN, which a table has among numbers where nothing is."""
        if value is not None and value == value:  # noqa: PLR0124 - NaN is not what it is
            reading.fail(at, value, self.expected)


class Truth(Kind):
    """`bool`."""

    schema: Mapping[str, Any] = {"type": "boolean"}
    expected = "true or false"

    def convert(self, value: Any, at: str, reading: Reading) -> Any:
        """Take nothing else for a truth value."""
        if isinstance(value, bool):
            return value
        return reading.fail(at, value, self.expected)


class Whole(Kind):
    """`int`."""

    schema: Mapping[str, Any] = {"type": "integer"}
    expected = "a whole number"

    def convert(self, value: Any, at: str, reading: Reading) -> Any:
        """Take a whole number, be it written 3 or 3.0."""
        if type(value) is int:
            return value
        if isinstance(value, float) and value.is_integer():
            return int(value)
        return reading.fail(at, value, self.expected)


class Number(Kind):
    """`float`, or `complex` of a real number."""

    schema: Mapping[str, Any] = {"type": "number"}
    expected = "a number"

    def convert(self, value: Any, at: str, reading: Reading) -> Any:
        """Take a number that a float holds without loss."""
        if type(value) is float:
            return value
        if type(value) is int:
            try:
                number = float(value)
            except OverflowError:
                number = math.inf
            if number == value:
                return number
            return reading.fail(at, value, "a number that 64 bits hold")
        return reading.fail(at, value, self.expected)


class Words(Kind):
    """`str`."""

    schema: Mapping[str, Any] = {"type": "string"}
    expected = "a text"

    def of_text(self, text: Text) -> Any:
        """Take a field as it is."""
        return str(text)

    def convert(self, value: Any, at: str, reading: Reading) -> Any:
        """Take text alone."""
        if isinstance(value, str):
            return value
        return reading.fail(at, value, self.expected)


class Bytes(Kind):
    """`bytes`: base64 in JSON, or a file."""

    schema: Mapping[str, Any] = {"type": "string", "contentEncoding": "base64"}
    expected = "base64, or a file"
    takes = frozenset({"file"})

    def __init__(self, make: Callable[[bytes], Any] = bytes) -> None:
        """`make` is `bytes` or `bytearray`."""
        self._make = make

    def of_text(self, text: Text) -> Any:
        """Take a field's own bytes."""
        return text

    def convert(self, value: Any, at: str, reading: Reading) -> Any:
        """Take base64, a `data:` URI or a file."""
        found = raw(value)
        return self._make(found.data) if found is not None else reading.fail(at, value, self.expected)


class Parsed(Kind):
    """What is written as text and read by a function: times, UUID, Decimal."""

    def __init__(self, schema: Mapping[str, Any], expected: str, read: Callable[[Any], Any]) -> None:
        """`read` raises ValueError, TypeError or ArithmeticError for what does not fit."""
        self.schema = schema
        self.expected = expected
        self._read = read

    def of_text(self, text: Text) -> Any:
        """Take a field's text."""
        return str(text)

    def convert(self, value: Any, at: str, reading: Reading) -> Any:
        """Let the function decide."""
        try:
            return self._read(value)
        except (ValueError, TypeError, ArithmeticError):
            return reading.fail(at, value, self.expected)


class Choice(Kind):
    """`Literal`, or an `Enum`: a value, or a name, of few."""

    def __init__(self, choices: Mapping[Any, Any] | Sequence[tuple[Any, Any]]) -> None:
        """`choices` are pairs of a JSON value and what it stands for."""
        self._choices = list(choices.items() if isinstance(choices, Mapping) else choices)
        values = [given for given, _ in self._choices]
        self.schema = {"enum": values}
        kinds = {str: "string", bool: "boolean", int: "integer", float: "number"}
        if len(set(map(type, values))) == 1 and type(values[0]) in kinds:
            self.schema = {"type": kinds[type(values[0])], **self.schema}
        self.expected = "one of " + ", ".join(map(shown, values))

    def of_text(self, text: Text) -> Any:
        """Take a field for the choice that is written so."""
        return next((given for given, _ in self._choices if str(given) == text), str(text))

    def convert(self, value: Any, at: str, reading: Reading) -> Any:
        """Compare with type: 1 is not true."""
        for given, meant in self._choices:
            if type(given) is type(value) and given == value:
                return meant
        return reading.fail(at, value, self.expected)


def enum(hint: Any) -> Choice:
    """Read an Enum: its values; its names where a value has no JSON form."""
    members = list(hint)
    if all(isinstance(one.value, (str, int, float, bool)) for one in members):
        plain = [(getattr(one.value, "value", one.value), one) for one in members]
        return Choice(plain)
    return Choice([(one.name, one) for one in members])


def text_of(value: Any) -> str:
    """Return a text; raise TypeError for anything else."""
    if not isinstance(value, str):
        raise TypeError
    return value


def _text(value: Any) -> str:
    text = text_of(value)
    return text[:-1] + "+00:00" if text.endswith(_ZULU) else text  # Python 3.10 and older know no Z


def _decimal(value: Any) -> Any:
    from decimal import Decimal

    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise TypeError
    return Decimal(str(value))


def _duration(value: Any) -> dt.timedelta:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError
    return dt.timedelta(seconds=value)


def _uuid(value: Any) -> Any:
    from uuid import UUID

    return UUID(_text(value))


def _complex(value: Any) -> complex:
    if isinstance(value, bool):
        raise TypeError
    return complex(value)


def _time(parse: Callable[[str], Any], form: str, expected: str) -> Callable[[], Kind]:
    schema = {"type": "string", "format": form}
    return lambda: Parsed(schema, expected, lambda value: parse(_text(value)))


SIMPLE: Mapping[Any, Callable[[], Kind]] = {
    bool: Truth,
    int: Whole,
    float: Number,
    str: Words,
    bytes: Bytes,
    bytearray: lambda: Bytes(bytearray),
    type(None): Null,
    None: Null,
    Any: Anything,
    object: Anything,
    complex: lambda: Parsed({"type": ["number", "string"]}, "a number", _complex),
    dt.datetime: _time(dt.datetime.fromisoformat, "date-time", "a time, such as '2026-01-02T03:04:05'"),
    dt.date: _time(dt.date.fromisoformat, "date", "a date, such as '2026-01-02'"),
    dt.time: _time(dt.time.fromisoformat, "time", "a time of day, such as '03:04:05'"),
    dt.timedelta: lambda: Parsed({"type": "number"}, "a number of seconds", _duration),
}
"""Hint → what reads it."""
BY_NAME: Mapping[str, Callable[[], Kind]] = {
    "decimal.Decimal": lambda: Parsed({"type": ["number", "string"]}, "a decimal number", _decimal),
    "uuid.UUID": lambda: Parsed({"type": "string", "format": "uuid"}, "a UUID", _uuid),
}
"""Hints of modules that are not worth importing to look for them."""
