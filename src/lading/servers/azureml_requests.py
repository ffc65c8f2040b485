"""A recorded example in, as `/invocations` takes it; a request to Azure ML's `/score` out.

A scoring script of the author's is asked with the example as it stands. The script that is made for an MLflow
model takes `{"input_data": …}`: a frame in split orientation, a tensor, or tensors by name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from lading.core.bill import Bill
from lading.core.server import Ask, ask_as_recorded
from lading.core.signature import Field

_ENVELOPES = ("dataframe_split", "dataframe_records", "inputs", "instances")


def ask(inputs: Any, bill: Bill) -> Ask:  # noqa: ANN401 - any JSON value
    """Ask a script of the author's as recorded, that of an MLflow model in its own form."""
    if bill.code is not None and bill.code.entry is not None:
        return ask_as_recorded(inputs, bill)
    fields = bill.model.signature.inputs if bill.model.signature else ()
    return Ask(bill.server.routes["scoring"], json.dumps(as_input_data(inputs, fields)).encode())


def as_input_data(inputs: Any, fields: Sequence[Field]) -> dict[str, Any]:  # noqa: ANN401
    """Turn an MLflow request into one with `input_data`, and `params` where it has them."""
    if not isinstance(inputs, Mapping):
        return {"input_data": _value(inputs, fields)}
    if "input_data" in inputs:
        return dict(inputs)
    envelope = next((key for key in _ENVELOPES if key in inputs), None)
    if envelope is None:
        return {"input_data": inputs}
    value = inputs[envelope]
    rest = {"params": inputs["params"]} if inputs.get("params") is not None else {}
    if envelope == "dataframe_split" and isinstance(value, Mapping):
        return {"input_data": _split(value, fields), **rest}
    if envelope == "dataframe_records":
        return {"input_data": _table(value, fields), **rest}
    return {"input_data": _value(value, fields), **rest}


def _value(value: Any, fields: Sequence[Field]) -> Any:  # noqa: ANN401
    """Lay rows or columns out as a frame where the model takes one; a tensor is what it is."""
    if fields and fields[0].type != "tensor":
        return _table(value, fields)
    is_named = bool(fields) and all(one.name for one in fields)
    if is_named and isinstance(value, list) and value and all(isinstance(one, Mapping) for one in value):
        return {name: [one[name] for one in value] for name in value[0]}
    return value


def _table(value: Any, fields: Sequence[Field]) -> Any:  # noqa: ANN401
    if isinstance(value, Mapping):  # by column, or one row
        columns = {name: one if isinstance(one, list) else [one] for name, one in value.items()}
        rows = [list(row) for row in zip(*columns.values(), strict=False)]
        return _split({"columns": list(columns), "data": rows}, fields)
    if not isinstance(value, list):
        return value
    if value and all(isinstance(one, Mapping) for one in value):
        names = list(dict.fromkeys(name for one in value for name in one))
        return _split(
            {"columns": names, "data": [[one.get(name) for name in names] for one in value]}, fields
        )
    return _split({"data": [one if isinstance(one, list) else [one] for one in value]}, fields)


def _split(value: Mapping[str, Any], fields: Sequence[Field]) -> dict[str, Any]:
    """Complete a frame with names and an index, without which it would be taken for tensors by name."""
    data = value.get("data") or []
    width = len(data[0]) if data and isinstance(data[0], list) else len(fields)
    names = [one.name for one in fields]
    named = names if len(names) == width and all(names) else list(range(width))
    return {
        "columns": value.get("columns") or named,
        "index": value.get("index") or list(range(len(data))),
        "data": data,
    }
