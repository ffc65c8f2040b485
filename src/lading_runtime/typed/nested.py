"""Type hints of several values: lists, dictionaries, unions, dataclasses and their like."""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Optional

from lading_runtime.typed.limits import Limits
from lading_runtime.typed.plain import Kind
from lading_runtime.typed.reading import Reading, Text, Upload


class Union(Kind):
    """`Union` and `Optional`: the first member that fits, exact types before others."""

    def __init__(self, members: Sequence[Kind]) -> None:
        """Take at least two kinds."""
        self.members = members
        self.schema = {"anyOf": [one.schema for one in members]}
        self.expected = " or ".join(dict.fromkeys(one.expected for one in members))
        self.takes = frozenset().union(*(one.takes for one in members))  # type: ignore[misc]
        self.is_record = any(one.is_record for one in members)

    def read(self, value: Any, at: str, reading: Reading) -> Any:
        """Try one after another; tell what the only likely one found wrong."""
        tried = []
        for member in self.members:
            attempt = Reading()
            result = member.read(value, at, attempt)
            if not attempt.problems:
                reading.adopt(attempt)
                return result
            attempt.close()
            if _has_form(member, value):
                tried.append(attempt)
        tried.sort(key=lambda one: len(one.problems))
        is_likely = len(tried) == 1 or (tried and len(tried[0].problems) < len(tried[1].problems))
        if is_likely:
            reading.problems += tried[0].problems
        else:
            reading.fail(at, value, self.expected)
        return None


def _has_form(kind: Kind, value: Any) -> bool:
    form = "list" if isinstance(value, list) else "object" if isinstance(value, dict) else ""
    return form in kind.takes


class Many(Kind):
    """`list`, `set`, `tuple[X, ...]` and their like."""

    takes = frozenset({"list"})

    def __init__(self, item: Kind, make: Callable[[list[Any]], Any]) -> None:
        """`make` makes the collection of a list."""
        self.item = item
        self._make = make
        self.is_list = make is list
        self.schema = {"type": "array", "items": item.schema}
        self.takes = self.takes | (item.takes & {"file"})  # type: ignore[misc]
        self.expected = "a list" if item.expected == "any value" else f"a list, each {item.expected}"

    def of_text(self, text: Text) -> Any:
        """Take a field that is no list for a list of one."""
        value = super().of_text(text)
        return value if isinstance(value, list) else [text]

    def convert(self, value: Any, at: str, reading: Reading) -> Any:
        """Read each item."""
        if isinstance(value, Upload):
            value = [value]
        if not isinstance(value, list):
            return reading.fail(at, value, self.expected)
        read = self.item.read
        items = [read(one, f"{at}[{index}]", reading) for index, one in enumerate(value)]
        try:
            return self._make(items)
        except TypeError as error:  # a set of lists
            return reading.note(at, str(error))


class Fixed(Kind):
    """`tuple[X, Y]`."""

    takes = frozenset({"list"})

    def __init__(self, items: Sequence[Kind]) -> None:
        """Take a kind per place."""
        self.items = items
        self.schema = {
            "type": "array",
            "prefixItems": [one.schema for one in items],
            "minItems": len(items),
            "maxItems": len(items),
        }
        self.expected = f"a list of {len(items)}"

    def convert(self, value: Any, at: str, reading: Reading) -> Any:
        """Read each item by its own kind."""
        if not isinstance(value, list) or len(value) != len(self.items):
            return reading.fail(at, value, self.expected)
        pairs = zip(self.items, value)  # noqa: B905 - of one length
        return tuple(kind.read(one, f"{at}[{index}]", reading) for index, (kind, one) in enumerate(pairs))


class Lookup(Kind):
    """`dict[K, V]`: JSON's keys are text, so K is read from text."""

    takes = frozenset({"object"})
    is_record = True

    def __init__(self, key: Kind | None, value: Kind) -> None:
        """`key` is None for text."""
        self._key = key
        self.value = value
        self.schema = {"type": "object", "additionalProperties": value.schema or True}
        self.expected = "an object"

    def convert(self, value: Any, at: str, reading: Reading) -> Any:
        """Read each value, and each key that is no text."""
        if not isinstance(value, dict):
            return reading.fail(at, value, self.expected)
        found = {}
        for key, one in value.items():
            where = f"{at}.{key}" if at else str(key)
            name = key if self._key is None else self._key.read(Text(key), f"{where} (key)", reading)
            found[name] = self.value.read(one, where, reading)
        return found


ABSENT: Any = type("Absent", (), {})()
"""The default of what is left out where it is not given."""


class Member(NamedTuple):
    """One named value of a record, or one parameter of a function."""

    name: str
    kind: Kind
    required: bool
    default: Any = None
    description: Optional[str] = None  # noqa: UP045 - evaluated under Python 3.8 too
    limits: Optional[Limits] = None  # noqa: UP045


class Record(Kind):
    """A dataclass, a TypedDict or a NamedTuple."""

    takes = frozenset({"object"})
    is_record = True

    def __init__(self, name: str, make: Callable[..., Any]) -> None:
        """`make` is called with keywords. Fill in `members` later: they may be of the same kind."""
        self.members: Sequence[Member] = ()
        self._make = make
        self.schema = {"$ref": f"#/$defs/{name}"}
        self.expected = f"an object ({name})"

    def convert(self, value: Any, at: str, reading: Reading) -> Any:
        """Read an object's members; a class may refuse what it is made of."""
        if not isinstance(value, dict):
            return reading.fail(at, value, self.expected)
        had = len(reading.problems)
        found = members(self.members, value, at, reading)
        if len(reading.problems) > had:
            return None
        try:
            return self._make(**found)
        except (ValueError, TypeError, AssertionError) as error:
            return reading.note(at, str(error) or type(error).__name__)


def members(wanted: Sequence[Member], given: Mapping[str, Any], at: str, reading: Reading) -> dict[str, Any]:
    """Read named values; tell of all that are missing, unknown or wrong."""
    prefix = f"{at}." if at else ""
    names = [one.name for one in wanted]
    for name in given:
        if name not in names:
            import difflib

            near = difflib.get_close_matches(str(name), names, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"expected {', '.join(names) or 'none'}"
            reading.note(f"{prefix}{name}"[:200], f"unknown; {hint}")
    found = {}
    for one in wanted:
        if one.name in given:
            had = len(reading.problems)
            found[one.name] = one.kind.read(given[one.name], prefix + one.name, reading)
            if one.limits is not None and len(reading.problems) == had:
                one.limits.check(found[one.name], prefix + one.name, reading)
        elif one.required:
            reading.note(prefix + one.name, f"missing, expected {one.kind.expected}")
    return found


def schema_of(wanted: Sequence[Member], default: Callable[[Any], Any]) -> dict[str, Any]:
    """Describe an object of members; `default` makes JSON of a default, and raises where it has none."""
    properties = {}
    for one in wanted:
        about: dict[str, Any] = {}
        if one.description:
            about["description"] = one.description
        if not one.required and one.default is not ABSENT:
            with contextlib.suppress(TypeError, ValueError):
                about["default"] = default(one.default)
        # what stands beside a $ref is not read by all
        schema = one.kind.schema if one.limits is None else one.limits.schema
        is_ref = "$ref" in schema and about
        properties[one.name] = {"allOf": [schema], **about} if is_ref else {**schema, **about}
    required = [one.name for one in wanted if one.required]
    document: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**document, "required": required} if required else document
