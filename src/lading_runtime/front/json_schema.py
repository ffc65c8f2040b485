"""A model's schema in, JSON Schema of what its clients send and get out (draft 2020-12).

What a schema lets through is what `cast` takes without loss: null is NaN among floats, 2.0 is a whole number.
"""

# JSON values may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lading_runtime.front.nested import SCALARS, VECTOR
from lading_runtime.front.schema import DTYPES, Column, Schema, Tensor

Json = dict[str, Any]

_LARGEST_FLOAT = 3.4028234663852886e38
_KINDS: Mapping[str, Json] = {
    "BOOL": {"type": "boolean"},
    "FP64": {"type": ["number", "null"]},
    "FP32": {"type": ["number", "null"], "minimum": -_LARGEST_FLOAT, "maximum": _LARGEST_FLOAT},
    "string": {"type": ["string", "null"]},
    "binary": {"type": ["string", "null"], "contentEncoding": "base64"},
    "datetime": {"type": ["string", "null"], "format": "date-time"},
}


def of_kind(kind: str | None) -> Json:
    """Describe one value of a kind that `cast.pack` knows; None and `JSON` are any value."""
    if kind is None or kind == "JSON":
        return {}
    if "INT" in kind:
        bits = int(kind.rpartition("INT")[2])
        low, high = (0, (1 << bits) - 1) if kind[0] == "U" else (-(1 << bits - 1), (1 << bits - 1) - 1)
        return {"type": "integer", "minimum": low, "maximum": high}
    return dict(_KINDS[kind])


def of_column(column: Column) -> Json:
    """Describe one cell of a column, by its nested type where it has one, which may be null if optional."""
    if column.kind != "JSON":
        return of_kind(column.kind)
    return of_spec(column.spec) if column.required else _or_null(of_spec(column.spec))


def _or_null(described: Json) -> Json:
    kind = described.get("type")
    return {**described, "type": [kind, "null"]} if isinstance(kind, str) else described


def of_spec(spec: Mapping[str, Any]) -> Json:
    """Describe a value of a type of MLflow's signatures."""
    kind = str(spec.get("type"))
    if kind in SCALARS:
        return of_kind(SCALARS[kind])
    if kind in {"array", "sparkml_vector"}:
        return {"type": "array", "items": of_spec(VECTOR if kind != "array" else spec.get("items") or {})}
    if kind == "map":
        return {"type": "object", "additionalProperties": of_spec(spec.get("values") or {})}
    if kind == "object":
        properties = spec.get("properties") or {}
        return {
            "type": "object",
            "properties": {
                name: of_spec(one) if one.get("required", True) else _or_null(of_spec(one))
                for name, one in properties.items()
            },
            "required": [name for name, one in properties.items() if one.get("required", True)],
            "additionalProperties": False,
        }
    return {}


def of_tensor(tensor: Tensor) -> Json:
    """Describe a tensor as nested lists."""
    described = of_kind(tensor.kind)
    for size in reversed(list(tensor.shape)):
        fixed = {"minItems": 1} if size < 0 else {"minItems": size, "maxItems": size}
        described = {"type": "array", "items": described, **fixed}
    return described


def of_record(schema: Schema) -> Json:
    """Describe a row as an object; what a model does not know is passed over."""
    return {
        "type": "object",
        "properties": {one.name: of_column(one) for one in schema.columns},
        "required": [one.name for one in schema.columns if one.required],
    }


def of_row(columns: Sequence[Column]) -> Json:
    """Describe a row as a list, one cell for each column."""
    size = len(columns)
    items = [of_column(one) for one in columns]
    if len({repr(one) for one in items}) == 1:
        return {"type": "array", "items": items[0], "minItems": size, "maxItems": size}
    return {"type": "array", "prefixItems": items, "minItems": size, "maxItems": size}


def of_params(schema: Schema) -> Json:
    """Describe the parameters, each with its default."""
    properties = {}
    for name, spec in schema.params.items():
        kind = str(spec.get("type", spec.get("dtype")))
        one = of_spec({**spec, "type": kind if kind in SCALARS else DTYPES.get(kind, kind)})
        if spec.get("shape"):
            one = {"type": "array", "items": one}
        properties[name] = {**one, "default": spec.get("default")}
    return {"type": "object", "properties": properties}


def of_forms(schema: Schema) -> dict[str, Json]:
    """Describe the form of data under each of MLflow's four keys that suits a model best."""
    if schema.tensors:
        return _of_tensors(schema.tensors)
    if schema.columns:
        return _of_columns(schema)
    width = {} if schema.width is None else {"minItems": schema.width, "maxItems": schema.width}
    row = {"type": "array", "items": {"type": "number"}, **width}
    return {"instances": {"type": "array", "items": row}, "inputs": {"type": "array", "items": row}}


def _of_columns(schema: Schema) -> dict[str, Json]:
    rows = {"type": "array", "items": of_row(schema.columns)}
    if not schema.named:
        return {"dataframe_split": _object(data=rows), "instances": rows, "inputs": rows}
    names = [one.name for one in schema.columns]
    columns = {"type": "array", "items": {"type": "string"}, "const": names}
    records = {"type": "array", "items": of_record(schema)}
    lists = {one.name: {"type": "array", "items": of_column(one)} for one in schema.columns}
    return {
        "dataframe_split": _object(columns=columns, data=rows),
        "dataframe_records": records,
        "instances": records,
        "inputs": {**_object(**lists), "required": [one.name for one in schema.columns if one.required]},
    }


def of_data(schema: Schema) -> dict[str, Json]:
    """Describe all that `forms.read_one` takes: `Rows`, `Records`, `Mapping` (of columns) and `Split`."""
    if schema.tensors:
        return _data_of_tensors(schema.tensors)
    rows: Json = {"type": "array", "minItems": 1}
    if not schema.columns:
        width = {} if schema.width is None else {"minItems": schema.width, "maxItems": schema.width}
        if width:
            rows["items"] = {"type": "array", "items": {"type": "number"}, **width}
        count = {} if schema.width is None else {"minProperties": schema.width, "maxProperties": schema.width}
        return _data(rows, {"type": "object", **count}, {"type": "object", **(count or {"minProperties": 1})})
    row = of_row(schema.columns)
    # a model of one column is given its values as they are, too
    rows["items"] = {"anyOf": [row, of_column(schema.columns[0])]} if len(schema.columns) == 1 else row
    if not schema.named:
        count = {"minProperties": len(schema.columns), "maxProperties": len(schema.columns)}
        return _data(rows, {"type": "object", **count}, {"type": "object", **count})
    needed = [one.name for one in schema.columns if one.required]
    lists = {one.name: _list(of_column(one)) for one in schema.columns}
    mapping = {"type": "object", "properties": lists, "required": needed, "minProperties": 1}
    return _data(rows, of_record(schema), mapping, [one.name for one in schema.columns])


def _data_of_tensors(tensors: Sequence[Tensor]) -> dict[str, Json]:
    names = [one.name or f"input-{at}" for at, one in enumerate(tensors)]
    whole = {name: of_tensor(one) for name, one in zip(names, tensors)}  # noqa: B905 - made from them
    cells = {
        name: of_tensor(one._replace(shape=list(one.shape)[1:])) if len(one.shape) > 1 else of_kind(one.kind)
        for name, one in zip(names, tensors)  # noqa: B905 - as above
    }
    if len(tensors) > 1:
        return _data({"not": {}}, _of_some(tensors, cells), _of_some(tensors, whole), names)
    if tensors[0].name is None:  # columns of any name are put side by side
        return _data(next(iter(whole.values())), {"type": "object"}, {"type": "object", "minProperties": 1})
    return _data(whole[names[0]], {"type": "object"}, _object(**whole))


def _of_some(tensors: Sequence[Tensor], described: Mapping[str, Json]) -> Json:
    """Describe an object of tensors, of which some may be missing."""
    needed = [name for name, one in zip(described, tensors) if one.required]  # noqa: B905 - made from them
    return {**_object(**described), "required": needed, "minProperties": 1}


def _data(rows: Json, record: Json, mapping: Json, names: Sequence[str] = ()) -> dict[str, Json]:
    """Name the forms; lists within a mapping that nothing is known of are of one length."""
    if "properties" not in mapping:
        mapping = {**mapping, "additionalProperties": _list({})}
    columns = {"type": "array", "items": {"type": ["string", "number", "boolean"]}}
    frame = {"columns": {"anyOf": [columns, {"type": "null"}]}, "index": {}, "data": rows}
    split: Json = {"type": "object", "properties": frame, "required": ["data"]}
    if names:  # in this order, or in their own and with others besides
        frame["columns"] = {"enum": [list(names), None]}
        other = {"columns": columns, "index": {}, "data": _list({"type": "array"})}
        own: Json = {"type": "object", "properties": other, "required": ["columns", "data"]}
        split = {"anyOf": [split, own]}
    return {"Rows": rows, "Records": _list(record), "Mapping": mapping, "Split": split}


def _list(items: Json) -> Json:
    """Describe a list, which holds something: few models answer for no rows."""
    return {"type": "array", "items": items, "minItems": 1}


def _of_tensors(tensors: Sequence[Tensor]) -> dict[str, Json]:
    if len(tensors) == 1:
        one = of_tensor(tensors[0])
        named = _object(**{tensors[0].name: one}) if tensors[0].name else None
        return {"instances": one, "inputs": {"anyOf": [one, named]} if named else one}
    described = {one.name or f"input-{at}": of_tensor(one) for at, one in enumerate(tensors)}
    return {"inputs": _of_some(tensors, described)}


def of_predictions(outputs: Sequence[Mapping[str, Any]]) -> Json:
    """Describe what comes back: a value, record or list for each row; any where nothing is declared."""
    if not outputs:
        return {}
    if outputs[0].get("type") == "tensor":
        return {"type": "array"}
    cells = {str(one.get("name") or index): of_spec(one) for index, one in enumerate(outputs)}
    row = next(iter(cells.values())) if len(cells) == 1 else {}
    return {"type": "array", "items": {"anyOf": [row, _object(**cells)]} if row else {}}


def _object(**properties: Any) -> Json:
    return {"type": "object", "properties": properties, "required": list(properties)}
