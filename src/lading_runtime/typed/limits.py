"""A parameter's default that says more than a value in, such as Cog's `Input(…)`; what it says out."""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple, Optional

from lading_runtime.typed.plain import Kind
from lading_runtime.typed.reading import Reading, shown

_FIELDS = {"cog.input.FieldInfo", "pydantic.fields.FieldInfo"}
# what they are called → JSON Schema's word, and how a value that does not fit is told of
_SIZES = {
    "ge": ("minimum", ">="),
    "gt": ("exclusiveMinimum", ">"),
    "le": ("maximum", "<="),
    "lt": ("exclusiveMaximum", "<"),
}
_LENGTHS = {"min_length": ("minLength", "at least"), "max_length": ("maxLength", "at most")}


class Said(NamedTuple):
    """What is said of a parameter."""

    required: bool
    default: Any
    description: Optional[str]  # noqa: UP045 - evaluated under Python 3.8 too
    limits: Optional[Limits]  # noqa: UP045


def read(kind: Kind, given: Any, *, takes_null: bool) -> Said | None:
    """Read a default; None where it is a plain value.

    Cog's `None` is no default but where the hint takes null.
    """
    name = f"{type(given).__module__}.{type(given).__qualname__}"
    if name not in _FIELDS:
        return None
    told = _told(given)
    default = getattr(given, "default", None)
    is_unset = default is Ellipsis or type(default).__name__ in {"PydanticUndefinedType", "UndefinedType"}
    factory = getattr(given, "default_factory", None)
    if is_unset and factory is not None:
        default, is_unset = factory(), False
    if name.startswith("cog.") and default is None and not takes_null:
        is_unset = True
    limits = {key: told[key] for key in (*_SIZES, *_LENGTHS, "regex", "choices") if told.get(key) is not None}
    more = {"deprecated": True} if told.get("deprecated") else {}
    limited = Limits(kind, limits, more) if limits or more else None
    return Said(is_unset, None if is_unset else default, told.get("description"), limited)


def _told(given: Any) -> dict[str, Any]:
    """Collect what is said: as attributes, as pydantic 2's metadata, or beside pydantic's own words."""
    names = (*_SIZES, *_LENGTHS, "regex", "pattern", "choices", "description", "deprecated")
    found = {name: getattr(given, name, None) for name in names}
    for one in getattr(given, "metadata", None) or ():
        found.update({name: getattr(one, name) for name in names if getattr(one, name, None) is not None})
    for key in ("extra", "json_schema_extra"):
        extra = getattr(given, key, None)
        if isinstance(extra, Mapping):
            found.update({name: extra[name] for name in names if extra.get(name) is not None})
    found["regex"] = found["regex"] or found["pattern"]
    return found


class Limits:
    """What a value has to fit besides its kind."""

    def __init__(self, kind: Kind, limits: Mapping[str, Any], more: Mapping[str, Any]) -> None:
        """`limits` are those of `Input`; `more` is said in the schema alone."""
        self._limits = limits
        self.schema = {**_schema(kind.schema, limits), **more}
        self._expected = kind.expected

    def check(self, value: Any, at: str, reading: Reading) -> None:
        """Note what does not fit: of a list each item, of null nothing."""
        for one in value if isinstance(value, list) else [value]:
            wrong = "" if one is None else self._wrong(one)
            if wrong:
                reading.fail(at, one, wrong)

    def _wrong(self, value: Any) -> str:
        """Say what was expected of a value that does not fit; nothing of one that does."""
        limits = self._limits
        if "choices" in limits and value not in limits["choices"]:
            return "one of " + ", ".join(map(shown, limits["choices"]))
        for key, (_, sign) in _SIZES.items():
            if key in limits and not _holds(key, value, limits[key]):
                return f"{self._expected} {sign} {limits[key]}"
        for key, (_, words) in _LENGTHS.items():
            is_short = key == "min_length"
            if key in limits and (len(value) < limits[key] if is_short else len(value) > limits[key]):
                return f"{words} {limits[key]} characters"
        if "regex" in limits and not re.match(limits["regex"], value):
            return f"a text that matches {limits['regex']!r}"
        return ""


def _holds(key: str, value: Any, limit: Any) -> bool:
    if key in {"ge", "gt"}:
        return bool(value > limit or (key == "ge" and value == limit))
    return bool(value < limit or (key == "le" and value == limit))


def _schema(inner: Mapping[str, Any], limits: Mapping[str, Any]) -> dict[str, Any]:
    """Say the limits in JSON Schema: of a list's items, and beside null where that is taken."""
    if inner.get("type") == "array":
        return {**inner, "items": _schema(inner.get("items") or {}, limits)}
    said: dict[str, Any] = {}
    for key, (word, _) in (*_SIZES.items(), *_LENGTHS.items()):
        if key in limits:
            said[word] = limits[key]
    if "regex" in limits:
        said["pattern"] = f"^(?:{limits['regex']})"
    if "choices" in limits:
        said["enum"] = [*limits["choices"], *([None] if {"type": "null"} in inner.get("anyOf", ()) else [])]
    return {**inner, **said}
