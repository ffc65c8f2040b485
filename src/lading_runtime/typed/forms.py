"""A JSON body in, the values that it holds out: one call by name, or rows of a table.

The forms are those of MLflow (`instances`, `inputs`, `dataframe_split`, `dataframe_records`), KServe,
Vertex AI, Azure ML (`input_data`, `data`), Cog (`input`) and the Open Inference Protocol (`inputs`, a list
of tensors). A key that is a parameter's own name is never one of theirs.
"""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple, Optional

from lading_runtime.typed import tensors
from lading_runtime.typed.reading import Reading
from lading_runtime.typed.tensors import Given

_DATA = ("instances", "inputs", "dataframe_records", "dataframe_split", "input_data", "input", "data")
_PARAMS = ("params", "parameters")
# what clients send besides, and no routine of ours is told
_BESIDE = {"id", "outputs", "signature_name", "webhook", "webhook_events_filter", "context", "stream"}
_SIGNATURE = "serving_default"
_SPLIT = {"columns", "index", "data"}
# what clients of the Open Inference Protocol say of a request itself
OF_REQUEST = {
    *("binary_data_output", "sequence_id", "sequence_start", "sequence_end", "priority", "timeout"),
    *("content_type", "headers"),
}
_TENSOR = {"name", "shape", "datatype"}


class Found(NamedTuple):
    """What a body holds. One of `value`, `rows` and `tensors` is meant."""

    params: Mapping[str, Any]
    value: Any = None
    rows: Optional[Sequence[Any]] = None  # noqa: UP045 - evaluated under Python 3.8 too
    columns: Optional[Sequence[str]] = None  # noqa: UP045
    """Names of the cells of rows that are lists."""
    tensors: Optional[Sequence[Given]] = None  # noqa: UP045

    def items(self) -> list[Any]:
        """Return the rows, as objects where their cells have names."""
        rows = self.rows or ()
        if self.columns is None:
            return list(rows)
        return [dict(zip(self.columns, cells)) for cells in rows]  # noqa: B905 - measured when read


def has(document: Mapping[str, Any]) -> bool:
    """Tell whether an object may be one of the forms."""
    return any(key in document for key in _DATA)


def find(  # noqa: PLR0911 - a line per form
    document: Any, names: Collection[str], reading: Reading
) -> Found | None:
    """Find a form in a body; None where it has none, and is meant as it is."""
    if not isinstance(document, dict):
        return None
    given = [key for key in _DATA if key in document and key not in names]
    if len(given) != 1:
        return None
    key = given[0]
    data = document[key]
    others = document.keys() - {key, *_PARAMS} - _BESIDE
    if others - set(names):
        return None
    if "signature_name" not in names and document.get("signature_name", _SIGNATURE) != _SIGNATURE:
        reading.fail("signature_name", document["signature_name"], f"{_SIGNATURE!r}, the one that there is")
    params = {name: document[name] for name in others}
    for name in _PARAMS:
        if name in document and name not in names and isinstance(document[name], dict):
            params.update(document[name])
    if key == "inputs" and _are_tensors(data):
        return _tensors(
            data,
            {name: one for name, one in params.items() if name in names or name not in OF_REQUEST},
            reading,
        )
    if key == "dataframe_split" or (isinstance(data, dict) and "data" in data and data.keys() <= _SPLIT):
        return _split(key, data, params, reading)
    if isinstance(data, list) and key != "input":
        return Found(params, rows=data)
    return Found(params, value=data)


def columns_of(value: Any) -> tuple[list[str], list[list[Any]]] | None:
    """Turn an object of lists of one length into names and rows; None where it is none."""
    if not isinstance(value, dict) or not value:
        return None
    if any(not isinstance(one, list) for one in value.values()):
        return None
    if len(set(map(len, value.values()))) != 1:
        return None
    return list(value), [list(cells) for cells in zip(*value.values())]  # noqa: B905 - measured


def _split(key: str, data: Any, params: Mapping[str, Any], reading: Reading) -> Found:
    columns, rows = (data.get("columns"), data.get("data")) if isinstance(data, dict) else (None, None)
    if not isinstance(rows, list) or not isinstance(columns, (list, type(None))):
        reading.fail(key, data, "an object of 'columns' and 'data'")
        return Found(params, rows=())
    if columns is not None:
        columns = list(map(str, columns))
        for index, cells in enumerate(rows):
            if not isinstance(cells, list) or len(cells) != len(columns):
                reading.fail(f"{key}.data[{index}]", cells, f"a list of {len(columns)} cells")
    return Found(params, rows=rows, columns=columns)


def _are_tensors(data: Any) -> bool:
    return isinstance(data, list) and bool(data) and isinstance(data[0], dict) and data[0].keys() >= _TENSOR


def _tensors(data: Sequence[Any], params: Mapping[str, Any], reading: Reading) -> Found:
    """Read tensors of the Open Inference Protocol."""
    found = []
    for index, one in enumerate(data):
        if not isinstance(one, dict) or not one.keys() >= _TENSOR:
            reading.fail(f"inputs[{index}]", one, "a tensor: name, shape, datatype and data")
            continue
        found.append(tensors.of_json(one, f"inputs[{index}]", reading))
    return Found(params, tensors=[one for one in found if one is not None])
