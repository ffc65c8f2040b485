"""JSON Schema in, the Signature that it describes out, with what no signature can say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote

from lading.core import grammar
from lading.core.errors import Issue, ModelError
from lading.core.signature import SCALARS, Field, Signature
from lading.signature.json_schema import FORMATS, LARGEST_FLOAT, TENSOR, TYPE, Json
from lading.signature.losses import Converted, Losses

_HELD = (
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength"),
    *("pattern", "uniqueItems", "contains", "minProperties", "maxProperties", "patternProperties"),
    *("propertyNames", "dependentRequired", "dependentSchemas", "dependencies", "if", "not"),
    *("unevaluatedProperties", "unevaluatedItems", "minItems", "maxItems"),
)
"""Keywords that a value is held to, and no type of MLflow's has."""
_ANY: Json = {"type": "any"}
_BOUNDS = {"integer": 31, "long": 63}
_MOST_ROW, _MOST_TYPES = 10_000, 20_000
_SHAPES: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("properties", "patternProperties", "$defs", "definitions"), (Mapping,)),
    **dict.fromkeys(("required", "enum", "prefixItems", "anyOf", "oneOf", "allOf"), (list,)),
    "type": (str, list),
    "$ref": (str,),
}
"""What keywords are, in every draft (`required` is a truth in draft 3, which nobody writes any more)."""


def read(document: object, where: str = "schema") -> Converted[Signature]:
    """Read a document of parts, or one schema, which is that of the inputs; raise ModelError for none."""
    if not isinstance(document, Mapping):
        raise ModelError(Issue(where, f"got {document!r:.60}, expected a JSON Schema"))
    reader = _Reader(document)
    properties = document.get("properties")
    is_parts = isinstance(properties, Mapping) and properties and set(properties) <= set(grammar.PARTS)
    parts = properties if isinstance(properties, Mapping) and is_parts else {"inputs": document}
    fields = {key: reader.part(parts[key], key) for key in ("inputs", "outputs") if key in parts}
    params = reader.params(parts.get("params", {}))
    if reader.issues:
        raise ModelError(*(Issue(f"{where}.{place}", what) for place, what in reader.issues))
    signature = Signature(**fields, params=params)
    # what the schema says may still be none: a name twice, or columns beside tensors
    return Converted(grammar.read(signature.to_json(), where), reader.losses.told())


class _Plain(NamedTuple):
    """A schema without references and single alternatives."""

    one: Mapping[str, Any]
    nullable: bool = False
    """Whether null is taken besides."""
    within: tuple[str, ...] = ()
    """The references that led here: what names one of them again holds itself."""


class _Reader:
    def __init__(self, root: Mapping[str, Any]) -> None:
        self.root = root
        self.losses = Losses()
        self.issues: dict[tuple[str, str], None] = {}
        self.types = 0

    def part(self, schema: object, where: str) -> tuple[Field, ...]:
        one, _, within = self._plain(schema, where)
        if TENSOR in one:
            return (self._tensor(one, None, required=True),)
        items = one.get("items")
        size = one.get("minItems")
        cells = _cells(one)
        if one.get("type") == "array" and cells is not None:
            return tuple(self._row(cell, where, at, within) for at, cell in enumerate(cells))
        if one.get("type") == "array" and isinstance(size, int) and size == one.get("maxItems"):
            if 0 < size <= _MOST_ROW:
                return tuple(self._row(items or {}, where, at, within) for at in range(size))
        elif one.get("type") == "array" and isinstance(items, Mapping):
            inner = self._plain(items, where, within)
            if inner.one.get("type") == "object" and inner.one.get("properties"):
                self.losses.tell(where, "a list of records is given as its columns")
                self._held(one, "array", where)
                one, within = inner.one, inner.within
        if one.get("type", "object") == "object" and isinstance(one.get("properties"), Mapping):
            return tuple(self._columns(one, where, within))
        typed, nullable = self._type(schema, where)
        return (self._column(typed, None, required=not nullable or typed["type"] in SCALARS),)

    def _columns(self, one: Mapping[str, Any], where: str, within: tuple[str, ...]) -> list[Field]:
        self._held(one, "object", where)
        if one.get("additionalProperties") is False:
            self.losses.tell(where, "columns besides those that are named are passed over")
        fields = []
        for name, cell in one["properties"].items():
            place = f"{where}.{name}"
            told = self._plain(cell, place, within).one
            if TENSOR in told:
                fields.append(self._tensor(told, str(name), required=name in (one.get("required") or ())))
                continue
            typed, nullable = self._type(cell, place, within)
            if "default" in told:
                self.losses.tell(place, "a column has no default")
            if nullable and typed["type"] in SCALARS and not _holds_null(typed):
                self.losses.tell(place, "null is not taken")
            required = self._is_required(one, name, typed, place, nullable=nullable)
            fields.append(self._column(typed, str(name), required=required))
        self._absent(one, where)
        return fields

    def _is_required(
        self, one: Mapping[str, Any], name: str, typed: Json, where: str, *, nullable: bool
    ) -> bool:
        """Tell whether a column or property has to be there; one that may be null need not be."""
        needed = name in (one.get("required") or ())
        loose = nullable and not _holds_null(typed)
        if needed and loose:
            self.losses.tell(where, "as it may be null, it may be missing too")
        return needed and not loose

    def _absent(self, one: Mapping[str, Any], where: str) -> None:
        """Tell of what has to be there, and is not described."""
        for name in one.get("required") or ():
            if name not in one["properties"]:
                self.losses.tell(where, f"that {str(name)[:40]!r} has to be there is not held to")

    def _row(self, cell: object, where: str, at: int, within: tuple[str, ...]) -> Field:
        typed, nullable = self._type(cell, f"{where}[{at}]", within)
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
        one, _, within = self._plain(schema, "params")
        fields = []
        for name, cell in (one.get("properties") or {}).items():
            told = self._plain(cell, f"params.{name}", within).one
            typed, _ = self._type(cell, f"params.{name}", within)
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

    def _plain(self, schema: object, where: str, within: tuple[str, ...] = ()) -> _Plain:
        """Follow references and single alternatives; tell whether null is taken besides."""
        if not isinstance(schema, Mapping):
            if schema is not True:
                self.losses.tell(where, f"{schema!r:.40} is no schema of a type, and may be any value")
            return _Plain({}, within=within)
        schema = self._sound(schema, where)
        reference = schema.get("$ref")
        if reference is not None:
            found = self._find(reference)
            if reference in within or found is None:
                why = "holds itself" if reference in within else "is not in the document"
                self.losses.tell(where, f"{reference} {why}, and may be any value")
                return _Plain({}, within=within)
            beside = {key: value for key, value in schema.items() if key != "$ref"}
            told, nullable, after = self._plain(found, where, (*within, reference))
            return _Plain({**told, **beside}, nullable, after)
        kinds = schema.get("type")
        nullable = schema.get("nullable") is True
        if isinstance(kinds, list) and "null" in kinds:
            kinds, nullable = [one for one in kinds if one != "null"], True
        if isinstance(kinds, list) and len(kinds) == 1:
            schema = {**schema, "type": kinds[0]}
        return self._joined(schema, where, within, nullable=nullable)

    def _joined(
        self, schema: Mapping[str, Any], where: str, within: tuple[str, ...], *, nullable: bool
    ) -> _Plain:
        """Take the one alternative that there is, or all parts of an object."""
        for word in ("anyOf", "oneOf", "allOf"):
            if word not in schema:
                continue
            others = [
                one for one in schema[word] if not (isinstance(one, Mapping) and one.get("type") == "null")
            ]
            nullable = nullable or len(others) < len(schema[word])
            beside = {key: value for key, value in schema.items() if key != word}
            if len(others) == 1:
                told, inner, after = self._plain(others[0], where, within)
                return _Plain({**told, **beside}, nullable or inner, after)
            if word == "allOf" and (whole := self._all(others, beside, where, within)):
                return _Plain(whole.one, nullable, whole.within)
        return _Plain(schema, nullable, within)

    def _sound(self, schema: Mapping[str, Any], where: str) -> Mapping[str, Any]:
        """Leave out keywords that are not what they have to be, with an issue for each."""
        bad = [
            word for word, kinds in _SHAPES.items() if word in schema and not isinstance(schema[word], kinds)
        ]
        for word in bad:
            self.issues[where, f"got {schema[word]!r:.40} for {word!r}, which no schema has"] = None
        return {key: value for key, value in schema.items() if key not in bad} if bad else schema

    def _all(self, schemas: list[Any], beside: Json, where: str, within: tuple[str, ...]) -> _Plain | None:
        """Put the properties of several objects together; None for anything else, which has to be told."""
        parts = [self._plain(one, where, within) for one in schemas]
        whole: Json = {"type": "object", "properties": {}, "required": []}
        for one in (*(part.one for part in parts), beside):
            if not (one.keys() & {"properties", "required"}) and one is not beside:
                return None
            if set(map(str, one)) & {"type", *_HELD} and one.get("type", "object") != "object":
                return None
            twice = whole["properties"].keys() & one.get("properties", {}).keys()
            if any(whole["properties"][name] != one["properties"][name] for name in twice):
                return None
            whole |= {key: value for key, value in one.items() if key not in {"properties", "required"}}
            whole["properties"] |= one.get("properties", {})
            whole["required"] = list(dict.fromkeys((*whole["required"], *one.get("required", ()))))
        after = tuple(dict.fromkeys(name for part in parts for name in part.within))
        return _Plain(whole, within=after)

    def _find(self, reference: str) -> object:
        """Follow a JSON pointer within the document."""
        here: object = self.root
        if not reference.startswith("#"):
            return None
        for step in filter(None, unquote(reference[1:]).split("/")):
            key = step.replace("~1", "/").replace("~0", "~")
            here = here.get(key) if isinstance(here, Mapping) else None
        return here

    def _type(
        self, schema: object, where: str, within: tuple[str, ...] = (), depth: int = 0
    ) -> tuple[Json, bool]:
        """Return the type of MLflow's that holds what a schema describes, and whether null is taken too."""
        one, nullable, within = self._plain(schema, where, within)
        self.types += 1
        if depth > 50 or self.types > _MOST_TYPES:
            self.losses.tell(where, "it is nested too deeply, and may be any value")
            return _ANY, nullable
        kind = one.get("type")
        if kind is None:
            kind = _of_values(one)
        several = isinstance(kind, list) or any(
            len(one.get(word) or ()) > 1 for word in ("anyOf", "oneOf", "allOf")
        )
        if several:
            joint = (
                "is all of several types" if len(one.get("allOf") or ()) > 1 else "is one of several types"
            )
            self.losses.tell(where, f"it {joint}, and may be any value")
            return _ANY, nullable
        for word in ("enum", "const"):
            if word in one:
                self.losses.tell(where, f"{word} is not held to")
        if kind == "array":
            typed = self._array(one, where, within, depth)
        elif kind == "object":
            typed = self._object(one, where, within, depth)
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
        if name is not None and name not in FORMATS:
            self.losses.tell(where, f"format {name!r} is not held to")
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

    def _array(self, one: Mapping[str, Any], where: str, within: tuple[str, ...], depth: int) -> Json:
        if one.get(TYPE) == "sparkml_vector":
            return {"type": "sparkml_vector"}
        if _cells(one) is not None:
            self.losses.tell(where, "its items have types of their own, and may be any value")
            return {"type": "array", "items": _ANY}
        inner, nullable = self._type(one.get("items", True), f"{where}[]", within, depth + 1)
        if nullable and not _holds_null(inner):
            self.losses.tell(f"{where}[]", "null is not taken within a list")
        return {"type": "array", "items": inner}

    def _object(self, one: Mapping[str, Any], where: str, within: tuple[str, ...], depth: int) -> Json:
        given, more = one.get("properties"), one.get("additionalProperties")
        if not isinstance(given, Mapping) or not given:
            if more is False:
                self.losses.tell(where, "an object without properties may be any value")
                return _ANY
            inner, nullable = self._type(
                more if isinstance(more, Mapping) else True, f"{where}.*", within, depth + 1
            )
            if nullable and not _holds_null(inner):
                self.losses.tell(f"{where}.*", "null is not taken within a map")
            return {"type": "map", "values": inner}
        if more is not False and more is not None:
            self.losses.tell(where, "properties besides those that are named are not taken")
        properties: Json = {}
        for name, cell in given.items():
            typed, nullable = self._type(cell, f"{where}.{name}", within, depth + 1)
            if typed["type"] == "sparkml_vector":
                typed = {"type": "array", "items": {"type": "double"}}
            required = self._is_required(one, name, typed, f"{where}.{name}", nullable=nullable)
            properties[str(name)] = {**typed, "required": required}
        self._absent(one, where)
        return {"type": "object", "properties": dict(sorted(properties.items()))}

    def _held(self, one: Mapping[str, Any], kind: str, where: str) -> None:
        """Tell of the keywords that no type holds a value to."""
        for word in _HELD:
            if word not in one or (one[word] is True and word.startswith("unevaluated")):
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


def _cells(one: Mapping[str, Any]) -> list[Any] | None:
    """Return the schemas of a row's cells, as 2020-12 has them or as the drafts before; None without."""
    for word in ("prefixItems", "items"):
        if isinstance(cells := one.get(word), list) and cells:
            return cells
    return None


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
