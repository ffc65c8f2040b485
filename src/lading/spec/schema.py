"""The native dialect's types go in, its JSON Schema comes out, so that editors complete `lading.yaml`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from lading.spec.native import Document

SHIPPED = Path(__file__).with_name("lading.schema.json")
# a scalar typed text keeps what was written, so editors may let numbers and booleans stand there
_SCALARS: dict[Any, dict[str, Any]] = {
    str: {"type": ["string", "number", "boolean"]},
    float: {"type": "number"},
    int: {"type": "integer"},
    bool: {"type": "boolean"},
    type(None): {"type": "null"},
    Any: {},
}


def generate() -> str:
    """Return the schema as text (JSON Schema draft 2020-12), the same for every run."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "lading.yaml",
        **_object(Document),
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _object(kind: Any) -> dict[str, Any]:  # noqa: ANN401 - a dataclass
    hints = get_type_hints(kind, include_extras=True)
    fields = dataclasses.fields(kind)
    required = [
        one.name
        for one in fields
        if one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING
    ]
    schema: dict[str, Any] = {
        "type": "object",
        "description": (kind.__doc__ or "").strip(),
        "additionalProperties": False,
        "properties": {one.name: _schema(hints[one.name]) for one in fields},
    }
    return {**schema, "required": required} if required else schema


def _schema(kind: Any) -> dict[str, Any]:  # noqa: ANN401, PLR0911 - one line per shape of type
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return {"description": arguments[1], **_schema(arguments[0])}
    if dataclasses.is_dataclass(kind):
        return _object(kind)
    if kind in _SCALARS:
        return _SCALARS[kind]
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is tuple:
        return {"type": "array", "items": _schema(arguments[0])}
    if origin is Mapping:
        return {"type": "object", "additionalProperties": _schema(arguments[1])}
    return {"anyOf": [_schema(one) for one in arguments]}
