"""A JSON object with exactly one key of data in, one internal request out: what any platform sends."""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lading_runtime.front import encode, entries, inputs
from lading_runtime.front.encode import Input
from lading_runtime.front.lenient import AZURE, NUMPY, PANDAS
from lading_runtime.front.messages import Refusal, listed, repeated, shown
from lading_runtime.front.schema import NESTED, Schema, check_params

KEYS = ("dataframe_split", "dataframe_records", "instances", "inputs", "input_data", "data")
UNIFIED = ("messages", "prompt", "input")
"""Keys of MLflow's body for language models, any of which makes it one."""
_COLUMNS = {"inputs", "input_data", "data"}
_OBJECTS = _COLUMNS | {"instances"}  # of which MLflow takes an object too
SIGNATURE = "serving_default"
_BY_NUMPY = {"instances", "inputs"}
_TENSOR = {"name", "shape", "datatype"}


def read(schema: Schema, document: Any, *, lenient: bool = False, is_open: bool = False) -> Input:
    """Read an object with one of the KEYS, and `params` (or `parameters`) beside it.

    `lenient`: cast values as MLflow's own server does, by pandas or by numpy, whatever is lost. `input_data`
    is always cast as Azure ML's server does; a model that `is_open` to any type is given arrays of it, those
    of an object by name, as there.
    """
    if not isinstance(document, dict):
        raise Refusal(400, f"got {shown(document)}, expected an object with one of {list(KEYS)}")
    given = [key for key in KEYS if key in document]
    if len(given) != 1:
        raise Refusal(400, f"got the keys {listed(sorted(document))}, expected exactly one of {list(KEYS)}")
    if "signature_name" in document and document["signature_name"] != SIGNATURE:
        got = shown(document["signature_name"])
        raise Refusal(400, f"signature_name: got {got}, expected '{SIGNATURE}', the one that the model has")
    if given[0] == "input_data":  # Azure ML's: its own server loses what does not fit
        data = document["input_data"]
        if is_open and isinstance(data, (list, dict)) and data and not is_split(data):
            return with_params(schema, encode.arrays(data), document)
        schema = schema.leniently(NUMPY if schema.tensors else AZURE)
    elif lenient:
        schema = schema.leniently(NUMPY if given[0] in _BY_NUMPY else PANDAS)
    return with_params(schema, read_one(schema, given[0], document[given[0]]), document)


def read_unified(schema: Schema, document: Mapping[str, Any]) -> Input:
    """Read MLflow's body for language models: all but the parameters is one row."""
    params = {key: value for key, value in document.items() if key in schema.params}
    row = {key: value for key, value in document.items() if key not in params}
    return with_params(schema, encode.records(schema, [row]), {"params": params})


def with_params(schema: Schema, wanted: Input, document: Mapping[str, Any]) -> Input:
    """Add what a body says of a model's parameters; a model without any is given none."""
    if not schema.params:
        return wanted
    if "params" in document and "parameters" in document:
        raise Refusal(400, "got both 'params' and 'parameters', expected one of them")
    return wanted._replace(params=check_params(schema, document.get("params", document.get("parameters"))))


def read_one(schema: Schema, key: str, data: Any) -> Input:
    """Read the value of one of the KEYS.

    The first four are MLflow's (pyfunc/scoring_server/__init__.py), where `instances` is also KServe's and
    Vertex AI's, and `inputs` may be tensors of the Open Inference Protocol; the last two are Azure ML's.
    """
    if key == "dataframe_split" or (key in {"input_data", "data"} and is_split(data)):
        return _split(schema, key, data)
    if key in _OBJECTS and isinstance(data, dict) and not (_is_bytes(data) and len(schema.columns) == 1):
        return encode.mapping(schema, data)
    if key in _COLUMNS and not isinstance(data, list) and data is not None and len(schema.columns) == 1:
        data = [data]  # the one value of the one row
    if key in _COLUMNS and _is_scalar(schema) and not isinstance(data, (list, dict)) and data is not None:
        return encode.array(schema, data)
    if not isinstance(data, list):
        raise Refusal(400, f"{key}: got {shown(data)}, expected a list")
    is_of_objects = bool(data) and isinstance(data[0], dict)
    if is_of_objects and _is_bytes(data[0]) and len(schema.columns) == 1 and schema.columns[0].name != "b64":
        return encode.array(schema, data)
    if key == "inputs" and is_of_objects and data[0].keys() >= _TENSOR:
        return inputs.read(schema, entries.read(data))
    is_rows = key == "dataframe_records" or (is_of_objects and not _takes_objects(schema))
    return encode.records(schema, data) if is_rows else encode.array(schema, data)


def _takes_objects(schema: Schema) -> bool:
    """Tell whether objects are values of the one column, as type hints of MLflow's have it, and no rows."""
    return len(schema.columns) == 1 and not schema.named and schema.columns[0].type in NESTED


def _is_scalar(schema: Schema) -> bool:
    """Tell whether a model takes one value, without any list around it."""
    return len(schema.tensors) == 1 and not schema.tensors[0].shape


def _is_bytes(value: Mapping[str, Any]) -> bool:
    """Tell whether an object is bytes as TensorFlow Serving writes them."""
    return value.keys() == {"b64"}


def is_split(data: Any) -> bool:
    """Tell whether an object is a frame as pandas splits it."""
    return isinstance(data, dict) and "data" in data and data.keys() <= {"columns", "index", "data"}


def _split(schema: Schema, key: str, data: Any) -> Input:
    if not isinstance(data, dict) or not isinstance(data.get("data"), list):
        raise Refusal(400, f"{key}: expected an object with 'columns' and 'data'")
    names = data.get("columns")
    if names is not None:
        if not isinstance(names, list) or set(map(type, names)) - {str, int, float, bool}:
            raise Refusal(400, f"{key}: columns: expected a list of names")
        names = list(map(str, names))
        if len(set(names)) != len(names):
            twice = repeated(names)
            raise Refusal(400, f"{key}: columns: got {listed(twice)} more than once, expected each name once")
    return encode.rows(schema, names, data["data"])
