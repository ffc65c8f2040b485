"""Frozen dataclasses ⇄ JSON objects, by their annotations. Law: `from_json(type(v), to_json(v), "") == v`."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from lading.core.digest import Digest
from lading.core.errors import IntegrityError, Issue, LadingError
from lading.core.platform import Libc, Platform

T = TypeVar("T")
RARE: Mapping[str, bool] = {"rare": True}
"""Metadata of a field with a default that documents are without: they stay what they were before it was."""
_TEXTS = (Digest, Platform, Libc)
"""Nouns that a document writes as text: `str` and `parse` are each other's inverse."""
_NAMES: dict[Any, str] = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    tuple: "a list",
    Mapping: "an object",
    Digest: "a digest",
    Platform: "a platform",
    Libc: "a C library",
}


def to_json(noun: Any) -> dict[str, Any]:  # noqa: ANN401 (any dataclass)
    """Return a dataclass's fields as JSON values; rare ones only where they have another value."""
    return {
        field.name: _write(value)
        for field in dataclasses.fields(noun)
        if (value := getattr(noun, field.name)) != field.default or "rare" not in field.metadata
    }


def from_json(kind: type[T], document: object, where: str) -> T:
    """Read a dataclass; raise IntegrityError with every issue, each with its place: `bill.model.files[2]`.

    Keys that are not known are passed over; those that are missing must have a default.
    """
    issues: list[Issue] = []
    noun: T = _read_fields(kind, document, where, issues)
    if issues:
        raise IntegrityError(*issues)
    return noun


def _write(value: Any) -> Any:  # noqa: ANN401 (any value of a field)
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, Mapping):
        return {str(key): _write(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_write(one) for one in value]
    if isinstance(value, _TEXTS):
        return str(value)
    return value.to_json() if hasattr(value, "to_json") else to_json(value)


def _read(kind: Any, value: Any, where: str, issues: list[Issue]) -> Any:  # noqa: ANN401 (any annotation)
    origin, parameters = get_origin(kind), get_args(kind)
    if origin in {Union, types.UnionType}:
        return (
            None
            if value is None
            else _read(next(one for one in parameters if one is not type(None)), value, where, issues)
        )
    if origin is tuple and isinstance(value, list):
        rows = enumerate(value)
        return tuple(_read(parameters[0], one, f"{where}[{place}]", issues) for place, one in rows)
    if origin is Mapping and isinstance(value, dict):
        return {key: _read(parameters[1], one, f"{where}.{key}", issues) for key, one in value.items()}
    if kind is Any or (origin is Literal and value in parameters):
        return value
    return _read_plain(kind, value, where, issues)


def _read_plain(kind: Any, value: Any, where: str, issues: list[Issue]) -> Any:  # noqa: ANN401 (any annotation)
    if kind in _TEXTS and isinstance(value, str):
        return _read_by(kind.parse, value, where, issues)
    if hasattr(kind, "from_json") and isinstance(value, dict):
        return _read_by(kind.from_json, value, where, issues)
    if dataclasses.is_dataclass(kind) and kind not in _TEXTS:
        return _read_fields(kind, value, where, issues)
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        expected = _NAMES.get(get_origin(kind) or kind) or " or ".join(map(repr, get_args(kind)))
        issues.append(Issue(where, f"got {value!r:.80}, expected {expected}"))
    return value


def _read_by(reader: Callable[[Any], Any], value: object, where: str, issues: list[Issue]) -> Any:  # noqa: ANN401
    try:
        return reader(value)
    except LadingError as error:
        issues.extend(Issue(where, issue.what) for issue in error.issues)


def _read_fields(kind: Any, value: Any, where: str, issues: list[Issue]) -> Any:  # noqa: ANN401 (any dataclass)
    if not isinstance(value, dict):
        issues.append(Issue(where, f"got {value!r:.80}, expected an object"))
        return None
    given = {}
    for field in dataclasses.fields(kind):
        if field.name in value:
            place = f"{where}.{field.name}"
            given[field.name] = _read(_hints(kind)[field.name], value[field.name], place, issues)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            issues.append(Issue(where, f"has no {field.name!r}"))
    return None if issues else kind(**given)


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)
