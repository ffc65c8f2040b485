"""A signature as MLflow writes it, or as somebody does by hand, in; a Signature, or every issue of it, out.

The grammar is that of mlflow/types/schema.py 3.17, and so is what it passes over. It is stricter where MLflow
reads what no request can be held to: names twice, shapes that are none, NaN.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from lading.core.datatypes import numpy_name
from lading.core.errors import Issue, ModelError
from lading.core.signature import NESTED, SCALARS, Field, Signature

PARTS = ("inputs", "outputs", "params")
_DEEPEST = 100
_OF_PARAMS = tuple(one for one in SCALARS if one != "binary")
_TIME = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:[T ](\d\d)(?::(\d\d)(?::(\d\d)(?:\.(\d{1,6}))?)?)?)?)?)?", re.ASCII
)
"""What numpy.datetime64 reads, to the microsecond."""


def read(document: object, where: str = "signature") -> Signature:
    """Read `{"inputs": […], "outputs": […], "params": […]}`; raise ModelError with every issue.

    Each part may be missing, null, or the JSON text that MLmodel has. A column named by a whole number, as
    pandas numbers them, is named by its digits.
    """
    reader = _Reader()
    signature = reader.signature(document, where)
    if reader.issues:
        raise ModelError(*reader.issues)
    return signature


class _Reader:
    def __init__(self) -> None:
        self.issues: list[Issue] = []

    def complain(self, where: str, what: str, fix: str | None = None) -> None:
        self.issues.append(Issue(where, what, fix))

    def signature(self, document: object, where: str) -> Signature:
        if not isinstance(document, Mapping):
            self.complain(where, f"got {_shown(document)}, expected an object of {', '.join(PARTS)}")
            return Signature()
        for key in document:
            if key not in PARTS:
                near = get_close_matches(str(key), PARTS, 1)
                self.complain(
                    f"{where}.{key}", "unknown key", (near and f"did you mean {near[0]!r}?") or None
                )
        inputs, outputs = (self._fields(document.get(key), f"{where}.{key}") for key in PARTS[:2])
        return Signature(inputs, outputs, self._params(document.get("params"), f"{where}.params"))

    def _rows(self, part: object, where: str) -> Sequence[tuple[str, Mapping[str, Any]]]:
        if isinstance(part, str):
            try:
                part = json.loads(part)
            except (ValueError, RecursionError) as error:
                self.complain(where, f"no JSON: {error}")
                return ()
        if part is None:
            return ()
        if not isinstance(part, Sequence) or isinstance(part, str):
            self.complain(where, f"got {_shown(part)}, expected a list of objects")
            return ()
        found = []
        for at, row in enumerate(part):
            if isinstance(row, Mapping):
                found.append((f"{where}[{at}]", row))
            else:
                self.complain(f"{where}[{at}]", f"got {_shown(row)}, expected an object with 'type'")
        return found

    def _fields(self, part: object, where: str) -> tuple[Field, ...]:
        """Read columns or tensors, and hold them to what is asked of all of them."""
        before = len(self.issues)
        rows = self._rows(part, where)
        fields = [
            self._tensor(*one) if one[1].get("type") == "tensor" else self._column(*one) for one in rows
        ]
        if len(self.issues) > before:
            return ()  # what is wrong with one is no reason to complain of all
        names = [one.name for one in fields]
        tensors = [one for one in fields if one.type == "tensor"]
        if None in names and any(name is not None for name in names):
            told = ", ".join(map(_shown, names))
            self.complain(where, f"got the names {told}, expected a name for all or for none")
        for name, count in Counter(names).items():
            if name is not None and count > 1:
                self.complain(where, f"got the name {name!r} {count} times, expected each name once")
        if tensors and any(one.type not in {"tensor", "any"} for one in fields):
            self.complain(where, "got columns and tensors, expected columns alone or tensors alone")
        if len(tensors) > 1 and None in names:
            self.complain(where, f"got {len(tensors)} tensors without names, expected a name for each")
        if names and set(names) == {None} and any(row.get("required") is False for _, row in rows):
            self.complain(
                where,
                "got a column that is optional and has no name",
                "name every column, or require every one",
            )
        return tuple(fields)

    def _tensor(self, where: str, row: Mapping[str, Any]) -> Field:
        spec = row.get("tensor-spec")
        if not isinstance(spec, Mapping) or not {"dtype", "shape"} <= spec.keys():
            self.complain(where, f"got tensor-spec {_shown(spec)}, expected an object of 'dtype' and 'shape'")
            return Field("tensor")
        dtype = numpy_name(spec["dtype"])
        if dtype is None:
            sized = isinstance(spec["dtype"], str) and re.match(r"[<>=|]?[US]\d+\Z", spec["dtype"])
            fix = "a text of any length is 'str', bytes are 'bytes'" if sized else None
            self.complain(
                f"{where}.tensor-spec.dtype",
                f"got {_shown(spec['dtype'])}, expected a type of numpy's such as 'float32'",
                fix,
            )
        shape = spec["shape"]
        if not isinstance(shape, (list, tuple)) or any(type(one) is not int or one < -1 for one in shape):
            self.complain(
                f"{where}.tensor-spec.shape",
                f"got {_shown(shape)}, expected a list of whole numbers, where -1 is any length",
            )
            shape = ()
        required = self._required(row, where, default=True)
        return Field("tensor", self._name(row, where), required, dtype, tuple(shape))

    def _column(self, where: str, row: Mapping[str, Any]) -> Field:
        typed = self._type(row, where, (*SCALARS, *NESTED, "tensor"))
        kind = str(typed.pop("type"))
        unknown = [key for key in row if key not in {"type", "name", "required"}] if kind in SCALARS else []
        for key in unknown:  # of nested ones MLflow passes over it
            self.complain(f"{where}.{key}", f"unknown key of a column of type {kind!r}")
        # an MLflow quirk kept as it is: a nested column that says nothing of 'required' is optional
        return Field(
            kind, self._name(row, where), self._required(row, where, default=kind in SCALARS), nested=typed
        )

    def _name(self, row: Mapping[str, Any], where: str) -> str | None:
        name = row.get("name")
        if name is None or isinstance(name, str):
            return name
        if type(name) is not int:
            self.complain(f"{where}.name", f"got {_shown(name)}, expected a text")
        return str(name)

    def _required(self, row: Mapping[str, Any], where: str, *, default: bool) -> bool:
        value = row.get("required", default)
        if value is not None and not isinstance(value, bool):
            self.complain(f"{where}.required", f"got {_shown(value)}, expected true or false")
        return bool(value)

    def _type(
        self, one: Mapping[str, Any], where: str, allowed: Sequence[str], depth: int = 0
    ) -> dict[str, Any]:
        """Read a type as MLflow writes it: what it passes over left out, properties in their order."""
        kind = one.get("type")
        if not isinstance(kind, str) or kind not in allowed or depth > _DEEPEST:
            what = f"got {_shown(kind)}" if "type" in one else "has no 'type'"
            near = (
                get_close_matches(kind, allowed, 1) if isinstance(kind, str) and kind not in allowed else []
            )
            deep = f", which is more than {_DEEPEST} deep" if depth > _DEEPEST else ""
            self.complain(
                f"{where}.type" if "type" in one else where,
                f"{what}{deep}, expected one of {', '.join(one for one in allowed if one != 'tensor')}",
                f"did you mean {near[0]!r}?" if near else None,
            )
            return {"type": "any"}
        if kind in {"array", "map"}:
            key = "items" if kind == "array" else "values"
            inner = one.get(key)
            if isinstance(inner, Mapping):
                told = self._type(inner, f"{where}.{key}", (*SCALARS, *NESTED), depth + 1)
                return {"type": kind, key: told}
            self.complain(
                where, f"got {key} {_shown(inner)}, expected an object such as {{'type': 'double'}}"
            )
        if kind == "object":
            return {"type": kind, "properties": self._properties(one.get("properties"), where, depth)}
        return {"type": kind}

    def _properties(self, given: object, where: str, depth: int) -> dict[str, Any]:
        if not isinstance(given, Mapping) or not given:
            self.complain(where, f"got properties {_shown(given)}, expected an object of at least one")
            return {}
        found = {}
        for name, one in given.items():
            place = f"{where}.properties.{name}"
            if not isinstance(name, str):
                self.complain(place, f"got the name {_shown(name)}, expected a text")
            elif not isinstance(one, Mapping):
                self.complain(place, f"got {_shown(one)}, expected an object with 'type'")
            else:  # MLflow reads no vector there
                allowed = [*SCALARS, *(kind for kind in NESTED if kind != "sparkml_vector")]
                told = self._type(one, place, allowed, depth + 1)
                found[name] = {**told, "required": self._required(one, place, default=True)}
        return dict(sorted(found.items()))

    def _params(self, part: object, where: str) -> tuple[Field, ...]:
        fields = [self._param(*one) for one in self._rows(part, where)]
        for name, count in Counter(one.name for one in fields).items():
            if count > 1:
                self.complain(where, f"got the name {name!r} {count} times, expected each name once")
        return tuple(fields)

    def _param(self, where: str, row: Mapping[str, Any]) -> Field:
        named = {**row, "type": row.get("type") or row.get("dtype")}  # `dtype` is what MLflow 2.6 wrote
        for key in ("name", "type", "default"):
            if key not in row and not (key == "type" and "dtype" in row):
                self.complain(where, f"has no {key!r}")
        typed = (
            self._type(named, where, (*_OF_PARAMS, "object"))
            if named["type"] is not None
            else {"type": "any"}
        )
        kind = str(typed["type"])
        shape = row.get("shape")
        if shape is not None and (not isinstance(shape, (list, tuple)) or list(shape) != [-1]):
            self.complain(f"{where}.shape", f"got {_shown(shape)}, expected null, or [-1] for a list")
            shape = None
        if shape is not None and kind == "object":
            self.complain(
                f"{where}.shape", f"got {_shown(shape)}, expected null: MLflow has no lists of objects"
            )
        default = row.get("default")
        try:
            if shape is None:
                default = default_of(typed, default)
            elif isinstance(default, (list, tuple)):
                default = [default_of({"type": kind}, one) for one in default]
            else:
                raise ValueError(f"got {_shown(default)}, expected a list")  # noqa: TRY301 - told as the others
        except ValueError as error:
            self.complain(f"{where}.default", str(error))
        nested = {key: value for key, value in typed.items() if key != "type"}
        name = str(row.get("name"))
        return Field(kind, name, shape=None if shape is None else (-1,), nested=nested, default=default)


def default_of(typed: Mapping[str, Any], value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return a parameter's default as MLflow keeps it; raise ValueError for one of another type.

    Whole numbers become floats, times are printed by ISO 8601, null is taken for any type but an object.
    """
    kind = typed["type"]
    if kind == "object":
        _check_nested(typed, value, "")
    if value is None or kind in {"object", "any"}:
        return value
    if kind in {"float", "double"} and type(value) in {int, float}:
        if not math.isfinite(value):
            raise ValueError(f"got {value}, which JSON has not, expected a number or null")
        return float(value)
    if kind == "datetime":
        return _time(value)
    if type(value) is not {"boolean": bool, "integer": int, "long": int, "string": str}.get(kind):
        raise ValueError(f"got {_shown(value)}, expected {kind}")
    return value


def _time(value: object) -> str:
    if isinstance(value, dt.date):  # YAML reads dates as such
        return value.isoformat()
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    message = f"got {_shown(value)}, expected a date or a time such as 2026-01-02T03:04:05"
    if found is None:
        raise ValueError(message)
    year, month, day, hour, minute, second, rest = (one or "" for one in found.groups())
    try:
        date = dt.date(int(year), int(month or 1), int(day or 1))
        if not hour:
            return date.isoformat()
        time = dt.time(int(hour), int(minute or 0), int(second or 0), int(rest.ljust(6, "0")))
        return dt.datetime.combine(date, time).isoformat()
    except ValueError:
        raise ValueError(message) from None


_PYTHON: Mapping[str, tuple[type, ...]] = {
    "boolean": (bool,),
    **dict.fromkeys(("integer", "long"), (int,)),
    **dict.fromkeys(("float", "double"), (int, float)),
    "string": (str,),
    "datetime": (str, dt.date),
    "binary": (str, bytes),
    "array": (list,),
    "object": (dict,),
    "map": (dict,),
}


def _check_nested(typed: Mapping[str, Any], value: Any, path: str) -> None:  # noqa: ANN401 - any JSON value
    """Raise ValueError, which says where, for a value that is not of a nested type."""
    kind = str(typed["type"])
    expected = _PYTHON.get(kind)
    if expected is None:
        return
    is_strange = isinstance(value, float) and not math.isfinite(value)
    if not isinstance(value, expected) or is_strange or (isinstance(value, bool) and kind != "boolean"):
        raise ValueError(f"{f'at {path}: ' if path else ''}got {_shown(value)}, expected {kind}")
    for key, inner, one in _parts(typed, value):
        _check_nested(inner, one, f"{path}{key}".lstrip("."))


def _parts(typed: Mapping[str, Any], value: Any) -> Iterator[tuple[str, Mapping[str, Any], Any]]:  # noqa: ANN401
    """List what a value is made of: where it stands, its type and itself."""
    if typed["type"] == "array":
        yield from ((f"[{at}]", typed.get("items", {"type": "any"}), one) for at, one in enumerate(value))
    elif typed["type"] == "map":
        yield from ((f".{key}", typed.get("values", {"type": "any"}), one) for key, one in value.items())
    elif typed["type"] == "object":
        properties = typed.get("properties", {})
        wrong = [key for key in value if key not in properties]
        wrong += [name for name, one in properties.items() if one["required"] and value.get(name) is None]
        if wrong:
            raise ValueError(f"got the properties {sorted(value)}, expected {sorted(properties)}")
        yield from ((f".{key}", properties[key], one) for key, one in value.items() if one is not None)


def _shown(value: object) -> str:
    if value is None:
        return "null"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
