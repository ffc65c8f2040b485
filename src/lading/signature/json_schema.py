"""A Signature in, JSON Schema (2020-12) of what it takes out.

A document has a schema for each part: a record for named columns, a row for others, nested lists for tensors.
What a schema lets through is what the native server takes, null for NaN among floats included; `format`,
`x-type` and `x-tensor-spec` say what JSON's own types do not, so that nothing of a signature is lost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lading.core.datatypes import OF_SCALARS
from lading.core.signature import SCALARS, Field, Signature
from lading.signature.losses import Converted, Losses

Json = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
TENSOR, TYPE = "x-tensor-spec", "x-type"
LARGEST_FLOAT = 3.4028234663852886e38
FORMATS = {"int32": "integer", "int64": "long", "float": "float", "double": "double", "date-time": "datetime"}
_BY_TYPE = {kind: name for name, kind in FORMATS.items()}


def write(signature: Signature) -> Converted[Json]:
    """Return one document of the parts that there are."""
    losses = Losses()
    parts: Json = {}
    for part in ("inputs", "outputs"):
        if fields := getattr(signature, part):
            parts[part] = _part(fields, part, losses)
    if signature.params:
        parts["params"] = {
            "type": "object",
            "properties": {str(one.name): _param(one) for one in signature.params},
        }
    document = {"$schema": DIALECT, "type": "object", "properties": parts}
    return Converted({**document, "required": [one for one in parts if one == "inputs"]}, losses.told())


def _part(fields: Sequence[Field], part: str, losses: Losses) -> Json:
    if fields[0].name is not None:
        return {
            "type": "object",
            "properties": {str(one.name): _cell(one) for one in fields},
            "required": [str(one.name) for one in fields if one.required],
        }
    if fields[0].type == "tensor":
        return _cell(fields[0])
    cells = [_cell(one) for one in fields]
    for at, one in enumerate(fields):
        if not one.required and (one.type in SCALARS or one.type == "any"):
            losses.tell(f"{part}[{at}]", "a schema of a row does not say that it may be missing")
    size = {"minItems": len(cells), "maxItems": len(cells)}
    if all(one == cells[0] for one in cells):
        return {"type": "array", "items": cells[0], **size}
    return {"type": "array", "prefixItems": cells, **size}


def _cell(field: Field) -> Json:
    if field.type == "tensor":
        spec = {"dtype": field.dtype, "shape": list(field.shape or ())}
        return {**_tensor(str(field.dtype), field.shape or ()), TENSOR: spec}
    described = of_type({"type": field.type, **field.nested})
    return described if field.required or field.type in SCALARS else or_null(described)


def or_null(described: Json) -> Json:
    """Let a list or an object be null too."""
    kind = described.get("type")
    return {**described, "type": [kind, "null"]} if isinstance(kind, str) else described


def of_type(one: Mapping[str, Any]) -> Json:
    """Describe a value of a type of MLflow's."""
    kind = one["type"]
    if kind in SCALARS:
        named = {"format": _BY_TYPE[kind]} if kind in _BY_TYPE else {}
        return {**of_dtype(OF_SCALARS[kind]), **named}
    if kind == "sparkml_vector":
        return {"type": "array", "items": of_type({"type": "double"}), TYPE: kind}
    if kind == "array":
        return {"type": "array", "items": of_type(one["items"])}
    if kind == "map":
        return {"type": "object", "additionalProperties": of_type(one["values"])}
    if kind == "object":
        properties = one["properties"]
        return {
            "type": "object",
            "properties": {
                name: of_type(inner) if inner["required"] else or_null(of_type(inner))
                for name, inner in properties.items()
            },
            "required": [name for name, inner in properties.items() if inner["required"]],
            "additionalProperties": False,
        }
    return {}


def of_dtype(dtype: str) -> Json:  # noqa: PLR0911 - a line per type
    """Describe a number, text or time of a type of numpy's, as JSON has it; of others, any value."""
    if dtype == "bool":
        return {"type": "boolean"}
    if "int" in dtype:
        unsigned, _, bits = dtype.rpartition("int")
        size = int(bits)
        low, high = (0, (1 << size) - 1) if unsigned else (-(1 << size - 1), (1 << size - 1) - 1)
        return {"type": "integer", "minimum": low, "maximum": high}
    if dtype == "float64":
        return {"type": ["number", "null"]}
    if dtype in {"float16", "float32"}:
        return {"type": ["number", "null"], "minimum": -LARGEST_FLOAT, "maximum": LARGEST_FLOAT}
    described: Json = {"type": ["string", "null"]}
    if dtype == "bytes":
        return {**described, "contentEncoding": "base64"}
    if dtype.startswith("datetime64"):
        return {**described, "format": "date-time"}
    return described if dtype == "str" else {}


def _tensor(dtype: str, shape: Sequence[int]) -> Json:
    # bytes of a tensor are any value to the server, which knows base64 of columns alone
    described = {} if dtype == "bytes" else of_dtype(dtype)
    for size in reversed(shape):
        fixed = {"minItems": 1} if size < 0 else {"minItems": size, "maxItems": size}
        described = {"type": "array", "items": described, **fixed}
    return described


def _param(field: Field) -> Json:
    described = of_type({"type": field.type, **field.nested})
    if field.shape is not None:
        described = {"type": "array", "items": described}
    return {**described, "default": field.default}
