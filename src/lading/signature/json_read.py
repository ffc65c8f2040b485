"""JSON Schema in, the Signature that it describes out, with what no signature can say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lading.core import grammar
from lading.core.errors import Issue, ModelError
from lading.core.signature import SCALARS, Field, Signature
from lading.signature.json_schema import LARGEST_FLOAT, TENSOR, TYPE, Json
from lading.signature.losses import Converted, Losses

_HELD = (
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength"),
    *("pattern", "uniqueItems", "contains", "minProperties", "maxProperties", "patternProperties"),
    *("propertyNames", "dependentRequired", "if", "not", "minItems", "maxItems"),
)
"""Keywords that a value is held to, and no type of MLflow's has."""
_ANY: Json = {"type": "any"}
_BOUNDS = {"integer": 31, "long": 63}


def read(document: object, where: str = "schema") -> Converted[Signature]:
    """Read a document of parts, or one schema, which is that of the inputs; raise ModelError for none."""
    if not isinstance(document, Mapping):
        raise ModelError(Issue(where, f"got {document!r:.60}, expected a JSON Schema"))
    reader = _Reader(document)
    properties = document.get("properties")
    is_parts = isinstance(properties, Mapping) and properties and set(properties) <= set(grammar.PARTS)
    parts = properties if isinstance(properties, Mapping) and is_parts else {"inputs": document}
    fields = {key: reader.part(parts[key], key) for key in ("inputs", "outputs") if key in parts}
    signature = Signature(**fields, params=reader.params(parts.get("params", {})))
    # what the schema says may still be none: a name twice, or columns beside tensors
    return Converted(grammar.read(signature.to_json(), where), reader.losses.told())


class _Reader:
    def __init__(self, root: Mapping[str, Any]) -> None:
        self.root = root
        self.losses = Losses()

    def part(self, schema: object, where: str) -> tuple[Field, ...]:
        one, _ = self._plain(schema, where)
        if TENSOR in one:
            return (self._tensor(one, None, required=True),)
        items = one.get("items")
        size = one.get("minItems")
        if one.get("type") == "array" and isinstance(one.get("prefixItems"), list):
            return tuple(self._row(cell, where, at) for at, cell in enumerate(one["prefixItems"]))
        if one.get("type") == "array" and isinstance(size, int) and size == one.get("maxItems") and size:
            return tuple(self._row(items or {}, where, at) for at in range(min(size, 10_000)))
        if one.get("type") == "array" and isinstance(items, Mapping):
            inner, _ = self._plain(items, where)
            if inner.get("type") == "object" and inner.get("properties"):
                self.losses.tell(where, "a list of records is given as its columns")
                one = inner
        if one.get("type", "object") == "object" and isinstance(one.get("properties"), Mapping):
            return tuple(self._columns(one, where))
        typed, nullable = self._type(one, where)
        return (self._column(typed, None, required=not nullable or typed["type"] in SCALARS),)

    def _columns(self, one: Mapping[str, Any], where: str) -> list[Field]:
        needed = one.get("required") or []
        fields = []
        for name, cell in one["properties"].items():
            told, _ = self._plain(cell, f"{where}.{name}")
            if TENSOR in told:
                fields.append(self._tensor(told, str(name), required=name in needed))
                continue
            typed, nullable = self._type(cell, f"{where}.{name}")
            if "default" in told:
                self.losses.tell(f"{where}.{name}", "a column has no default")
            required = name in needed and not (nullable and not _holds_null(typed))
            fields.append(self._column(typed, str(name), required=required))
        return fields

    def _row(self, cell: object, where: str, at: int) -> Field:
        typed, nullable = self._type(cell, f"{where}[{at}]")
        return self._column(typed, None, required=not nullable or typed["type"] in SCALARS)

    def _tensor(self, one: Mapping[str, Any], name: str | None, *, required: bool) -> Field:
        spec = one[TENSOR] if isinstance(one[TENSOR], Mapping) else {}
        shape = spec.get("shape")
        size = tuple(shape) if isinstance(shape, list) else None
        return Field("tensor", name, required, spec.get("dtype"), size)

    def _column(self, typed: Json, name: str | None, *, required: bool) -> Field:
        nested = {key: value for key, value in typed.items() if key != "type"}
        return Field(typed["type"], name, required=required, nested=nested)

    def params(self, schema: object) -> tuple[Field, ...]:
        one, _ = self._plain(schema, "params")
        fields = []
        for name, cell in (one.get("properties") or {}).items():
            told, _ = self._plain(cell, f"params.{name}")
            typed, _ = self._type(cell, f"params.{name}")
            shape = None
            if typed["type"] == "array":
                typed, shape = typed["items"], (-1,)
            if typed["type"] not in {*SCALARS, "object"} or typed["type"] == "binary":
                self.losses.tell(f"params.{name}", f"a parameter of type {typed['type']} is left out")
                continue
            if "default" not in told:
                self.losses.tell(f"params.{name}", "it has no default, which becomes null")
            default = told.get("default", [] if shape else None)
            nested = {key: value for key, value in typed.items() if key != "type"}
            fields.append(Field(typed["type"], str(name), shape=shape, nested=nested, default=default))
        return tuple(fields)

    def _plain(
        self, schema: object, where: str, seen: tuple[str, ...] = ()
    ) -> tuple[Mapping[str, Any], bool]:
        """Follow references and single alternatives; tell whether null is taken besides."""
        if schema is True or not isinstance(schema, Mapping):
            return {}, False
        reference = schema.get("$ref")
        if isinstance(reference, str):
            found = self._find(reference)
            if reference in seen or found is None:
                why = "names itself" if reference in seen else "is not in the document"
                self.losses.tell(where, f"{reference} {why}, and may be any value")
                return {}, False
            beside = {key: value for key, value in schema.items() if key != "$ref"}
            told, nullable = self._plain(found, where, (*seen, reference))
            return {**told, **beside}, nullable
        kinds = schema.get("type")
        nullable = schema.get("nullable") is True
        if isinstance(kinds, list) and "null" in kinds:
            kinds, nullable = [one for one in kinds if one != "null"], True
        if isinstance(kinds, list) and len(kinds) == 1:
            schema = {**schema, "type": kinds[0]}
        for word in ("anyOf", "oneOf", "allOf"):
            if not isinstance(schema.get(word), list):
                continue
            others = [
                one for one in schema[word] if not (isinstance(one, Mapping) and one.get("type") == "null")
            ]
            nullable = nullable or len(others) < len(schema[word])
            if len(others) == 1:
                beside = {key: value for key, value in schema.items() if key != word}
                told, inner = self._plain(others[0], where, seen)
                return {**told, **beside}, nullable or inner
        return schema, nullable

    def _find(self, reference: str) -> object:
        """Follow a JSON pointer within the document."""
        here: object = self.root
        if not reference.startswith("#"):
            return None
        for step in filter(None, reference[1:].split("/")):
            key = step.replace("~1", "/").replace("~0", "~")
            here = here.get(key) if isinstance(here, Mapping) else None
        return here

    def _type(self, schema: object, where: str, depth: int = 0) -> tuple[Json, bool]:
        """Return the type of MLflow's that holds what a schema describes, and whether null is taken too."""
        one, nullable = self._plain(schema, where)
        if depth > 50:
            self.losses.tell(where, "it is nested too deeply, and may be any value")
            return _ANY, nullable
        kind = one.get("type")
        if kind is None:
            kind = _of_values(one)
        several = isinstance(kind, list) or any(
            len(one.get(word) or ()) > 1 for word in ("anyOf", "oneOf", "allOf")
        )
        if several:
            self.losses.tell(where, "it is one of several types, and may be any value")
            return _ANY, nullable
        for word in ("enum", "const"):
            if word in one:
                self.losses.tell(where, f"{word} is not held to")
        if kind == "array":
            typed = self._array(one, where, depth)
        elif kind == "object":
            typed = self._object(one, where, depth)
        else:
            typed = self._scalar(one, str(kind), where)
        self._held(one, typed["type"], where)
        return typed, nullable

    def _scalar(self, one: Mapping[str, Any], kind: str, where: str) -> Json:  # noqa: PLR0911 - a line per type
        name = one.get("format")
        if kind == "string":
            if one.get("contentEncoding") == "base64" or name in {"byte", "binary"}:
                return {"type": "binary"}
            if name in {"date-time", "date"}:
                return {"type": "datetime"}
            if name is not None:
                self.losses.tell(where, f"format {name!r} is not held to")
            return {"type": "string"}
        if kind == "integer":
            is_small = name == "int32" or (one.get("minimum"), one.get("maximum")) == _range("integer")
            return {"type": "integer" if is_small else "long"}
        if kind == "number":
            is_float = name == "float" or one.get("maximum") == LARGEST_FLOAT
            return {"type": "float" if is_float else "double"}
        if kind == "boolean":
            return {"type": "boolean"}
        if kind not in {"None", "null"}:
            self.losses.tell(where, f"type {kind!r} is not known, and may be any value")
        return _ANY

    def _array(self, one: Mapping[str, Any], where: str, depth: int) -> Json:
        if one.get(TYPE) == "sparkml_vector":
            return {"type": "sparkml_vector"}
        if one.get("prefixItems"):
            self.losses.tell(where, "its items have types of their own, and may be any value")
            return {"type": "array", "items": _ANY}
        inner, nullable = self._type(one.get("items", {}), f"{where}[]", depth + 1)
        if nullable and not _holds_null(inner):
            self.losses.tell(f"{where}[]", "null is not taken within a list")
        return {"type": "array", "items": inner}

    def _object(self, one: Mapping[str, Any], where: str, depth: int) -> Json:
        given, more = one.get("properties"), one.get("additionalProperties")
        if not isinstance(given, Mapping) or not given:
            if more is False:
                self.losses.tell(where, "an object without properties may be any value")
                return _ANY
            inner, _ = self._type(more if isinstance(more, Mapping) else {}, f"{where}.*", depth + 1)
            return {"type": "map", "values": inner}
        if more is not False and more is not None:
            self.losses.tell(where, "properties besides those that are named are not taken")
        needed = one.get("required") or []
        properties: Json = {}
        for name, cell in given.items():
            typed, nullable = self._type(cell, f"{where}.{name}", depth + 1)
            if typed["type"] == "sparkml_vector":
                typed = {"type": "array", "items": {"type": "double"}}
            required = name in needed and not (nullable and not _holds_null(typed))
            properties[str(name)] = {**typed, "required": required}
        return {"type": "object", "properties": dict(sorted(properties.items()))}

    def _held(self, one: Mapping[str, Any], kind: str, where: str) -> None:
        """Tell of the keywords that no type holds a value to."""
        for word in _HELD:
            if word not in one:
                continue
            bound = one[word]
            own = {
                "minimum": _range(kind)[0]
                if kind in _BOUNDS
                else -LARGEST_FLOAT
                if kind == "float"
                else None,
                "maximum": _range(kind)[1] if kind in _BOUNDS else LARGEST_FLOAT if kind == "float" else None,
            }.get(word)
            if own is None or bound != own:
                self.losses.tell(where, f"{word} {re.sub(chr(10), ' ', repr(bound))[:40]} is not held to")


def _of_values(one: Mapping[str, Any]) -> object:
    """Return the type of what may stand there, where no type is told."""
    if "properties" in one or "additionalProperties" in one:
        return "object"
    if "items" in one or "prefixItems" in one:
        return "array"
    values = one.get("enum") or ([one["const"]] if "const" in one else [])
    names = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    kinds = {names.get(type(value)) for value in values} - {None}
    return kinds.pop() if len(kinds) == 1 else sorted(map(str, kinds)) or None


def _holds_null(typed: Mapping[str, Any]) -> bool:
    """Tell whether null is a value of a type: NaN among floats, nothing among texts."""
    return typed["type"] in {"float", "double", "string", "binary", "datetime", "any"}


def _range(kind: str) -> tuple[int, int]:
    bits = _BOUNDS[kind]
    return -(1 << bits), (1 << bits) - 1
