"""A recorded example's inputs, in any form of `/invocations`, go in; a table of rows comes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lading.core.signature import Signature

FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")
"""The keys of MLflow's scoring protocol, of which a body has exactly one."""
AZURE = "input_data"
"""The key of Azure ML's own scoring of MLflow models."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of equal length, or one tensor; `columns` is None where nothing names them."""

    rows: Sequence[Any]
    columns: tuple[str, ...] | None = None
    params: Mapping[str, Any] = field(default_factory=dict)


def table(inputs: object, signature: Signature | None) -> Table | None:
    """Read a body of `/invocations` or Azure ML's `/score`; None where it is the model's own kind of object.

    Rows without names get those of the signature, where it names as many columns.
    """
    if isinstance(inputs, list):
        return _of_rows(inputs, {}, signature)
    if isinstance(inputs, Mapping) and AZURE in inputs:
        inputs = _as_mlflow(inputs)
    if not isinstance(inputs, Mapping) or len(found := [one for one in FORMS if one in inputs]) != 1:
        return None
    form, value = found[0], inputs[found[0]]
    params = inputs.get("params") or {}
    if form == "dataframe_split" and isinstance(value, Mapping) and isinstance(value.get("data"), list):
        columns = value.get("columns")
        named = tuple(map(str, columns)) if columns else None
        return Table(value["data"], named, params) if named else _of_rows(value["data"], params, signature)
    if form == "inputs" and isinstance(value, Mapping):
        return _of_columns(value, params)
    return _of_rows(value, params, signature) if isinstance(value, list) else None


def _as_mlflow(inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Say a body of Azure ML's as one of MLflow's: `input_data` is a frame, named columns or rows."""
    value = inputs[AZURE]
    is_frame = isinstance(value, Mapping) and "data" in value and "columns" in value
    return {"dataframe_split" if is_frame else "inputs": value, "params": inputs.get("params")}


def _of_rows(rows: list[Any], params: Mapping[str, Any], signature: Signature | None) -> Table:
    if rows and all(isinstance(one, Mapping) for one in rows):
        columns = tuple(dict.fromkeys(str(name) for row in rows for name in row))
        return Table([[row.get(name) for name in columns] for row in rows], columns, params)
    width = len(rows[0]) if rows and isinstance(rows[0], list) else 1
    names = tuple(one.name for one in signature.inputs if one.name) if signature else ()
    of_columns = signature is not None and all(one.type != "tensor" for one in signature.inputs)
    if names and of_columns and len(names) == width:
        return Table([row if isinstance(row, list) else [row] for row in rows], names, params)
    return Table(rows, None, params)


def _of_columns(columns: Mapping[str, Any], params: Mapping[str, Any]) -> Table | None:
    lists = list(columns.values())
    if not all(isinstance(one, list) and len(one) == len(lists[0]) for one in lists):
        return None
    return Table([list(row) for row in zip(*lists, strict=True)], tuple(columns), params)
