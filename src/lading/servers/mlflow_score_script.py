"""The scoring script of an MLflow model that brings none: a folder in, `init` and `run` out.

It travels in packages (/var/mlflow_resources) and runs in Azure ML's inference server, with mlflow and
inference-schema, on Python 3.8 and later; lading itself never imports it. Requests, casts and answers are
those of Azure ML's no-code deployment ("Deploy MLflow models to online endpoints"): `input_data` is a split
frame, a tensor, tensors by name, or plain values, cast to the model's example or signature as
inference-schema casts; `params` is optional. Where both example and signature tell a type it is the
signature's that counts: MLflow takes no other.
"""

from __future__ import annotations

import base64
import inspect
import io
import json
import logging
import os

import mlflow.pyfunc
import numpy as np
import pandas as pd
from inference_schema.parameter_types.abstract_parameter_type import AbstractParameterType
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.parameter_types.pandas_parameter_type import PandasParameterType
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema, output_schema
from mlflow.models import Model

_log = logging.getLogger("azmlinfsrv.mlflow")
# what is downloaded is linked to, which MLflow takes for an escape
FOLDER = os.path.realpath(
    os.path.join(os.environ["AZUREML_MODEL_DIR"], os.environ.get("MLFLOW_MODEL_FOLDER", ""))
)
ABOUT = Model.load(FOLDER)
LANGUAGE = bool({"transformers", "langchain", "openai"} & set(ABOUT.flavors))
"""Whether texts, and lists and objects of them, are the model's own."""
SIGNATURE = ABOUT.signature
BY_HINTS = bool(getattr(SIGNATURE, "_is_signature_from_type_hint", False))
"""Whether the model's own type hints say what it takes; MLflow then checks requests itself."""
_NUMBERS = {"boolean": True, "integer": 42, "long": 42, "float": 0.15, "double": 0.15}


class Anything(AbstractParameterType):
    """Takes a value as it comes."""

    def __init__(self):
        """Have no sample."""
        super().__init__(None)

    def deserialize_input(self, input_data):
        """Return it."""
        return input_data

    def input_to_swagger(self):
        """Describe it."""
        return {"type": "object", "example": {}}


def frame(text, **options):
    """Read JSON of a table, without guessing at types."""
    return pd.read_json(io.StringIO(json.dumps(text)), dtype=False, **options)


def split(value):
    """Tell whether a value is a frame in split orientation."""
    return isinstance(value, dict) and {"columns", "data"} <= set(value)


def schema(which):
    """Return the signature's inputs, outputs or params; None where it has none."""
    return getattr(SIGNATURE, which, None) or None


def recorded():
    """Return the example that was saved with the model; None where it has none that can be read."""
    info = ABOUT.saved_input_example_info
    if not info:
        return None
    try:
        with open(os.path.join(FOLDER, info["artifact_path"])) as file:
            value = json.load(file)
        if str(info.get("params")).lower() == "true" and isinstance(value, dict) and "inputs" in value:
            value = value["inputs"]
        if info["type"] == "dataframe":
            return frame(value, orient="split" if split(value) else "values")
        if info["type"] == "ndarray":
            value = value["inputs"] if isinstance(value, dict) and "inputs" in value else value
            if isinstance(value, dict):
                return {name: np.asarray(one) for name, one in value.items()}
            return np.asarray(value)
    except Exception as error:  # what cannot be read is no example
        _log.warning("the model's input example cannot be used: %s", error)
    return None


def tensors(of):
    """Make an empty sample of a schema of tensors."""
    made = {one.name: np.zeros([max(1, size) for size in one.shape], dtype=one.type) for one in of.inputs}
    return made if of.has_input_names() else next(iter(made.values()))


def table(of, example=None):
    """Make a sample of a schema of columns, whose types win over the example's."""
    names = of.input_names() if hasattr(of, "input_names") else of.column_names()
    types = dict(zip(names, of.pandas_types()))
    if isinstance(example, pd.DataFrame):
        try:
            return example.astype({name: kind for name, kind in types.items() if name in example.columns})
        except (TypeError, ValueError):
            _log.warning("the model's input example is not of its signature's types")
    return pd.DataFrame(columns=list(names)).astype(types)


def words(of):
    """Make a sample of what a language model takes: an object by name, or a list of texts."""
    if of.inputs[0].name is None:
        return ["sample string"]
    return {one.name: _NUMBERS.get(getattr(one.type, "name", ""), "sample string") for one in of.inputs}


def sample(of, example=None):
    """Make a sample of the signature's inputs or outputs, with an example where there is one."""
    if of is None:
        return example
    if of.is_tensor_spec():
        empty = tensors(of)
        if isinstance(example, np.ndarray) and isinstance(empty, np.ndarray):
            return example.astype(empty.dtype)
        if isinstance(example, dict) and isinstance(empty, dict):
            return {
                **empty,
                **{name: one.astype(empty[name].dtype) for name, one in example.items() if name in empty},
            }
        return empty
    return table(of, example)


def cast_for(value, orient):
    """Return what casts requests to a sample."""
    if isinstance(value, np.ndarray):
        return NumpyParameterType(value, enforce_shape=False)
    if isinstance(value, pd.DataFrame):
        return PandasParameterType(value, enforce_shape=False, orient=orient)
    if isinstance(value, dict) and all(isinstance(one, np.ndarray) for one in value.values()):
        return StandardPythonParameterType(
            {name: NumpyParameterType(one, enforce_shape=False) for name, one in value.items()}
        )
    if LANGUAGE and isinstance(value, (dict, list)):
        return StandardPythonParameterType(value)
    return Anything()


def inputs():
    """Return what casts `input_data`."""
    of = schema("inputs")
    if BY_HINTS:
        return Anything()
    try:
        if of is not None and LANGUAGE and not of.is_tensor_spec():
            only = of.inputs[0]
            if only.name is not None or (len(of.inputs) == 1 and getattr(only.type, "name", "") == "string"):
                return cast_for(words(of), "split")
        return described(cast_for(sample(of, recorded()), "split"))
    except Exception as error:  # columns of lists and objects have no type of pandas
        _log.warning("requests are taken as they come: %s", error)
        return Anything()


def outputs():
    """Return what describes the answers."""
    try:
        return described(cast_for(sample(schema("outputs")), "records"))
    except Exception as error:
        _log.warning("answers are not described: %s", error)
        return Anything()


def params():
    """Return what takes `params`."""
    of = schema("params")
    if of is None:
        return Anything()
    kinds = {one.name: getattr(one.dtype, "name", "") for one in of.params}
    values = {one.name: one.default for one in of.params}
    made = {
        name: _NUMBERS.get(kinds[name], "sample string") if value is None else value
        for name, value in values.items()
    }
    try:
        return described(StandardPythonParameterType(made))
    except Exception as error:
        _log.warning("params are taken as they come: %s", error)
        return Anything()


def described(kind):
    """Return a type whose description can be made."""
    json.dumps(kind.input_to_swagger())
    return kind


MODEL = mlflow.pyfunc.load_model(FOLDER)
TAKES_PARAMS = "params" in inspect.signature(MODEL.predict).parameters
COLLECTORS = []


def init():
    """Begin to collect data, where that is asked for and its library is there."""
    if os.environ.get("ENABLE_MDC"):
        try:
            from azureml.ai.monitoring import Collector

            COLLECTORS.extend([Collector(name="model_inputs"), Collector(name="model_outputs")])
        except Exception as error:
            _log.error("ENABLE_MDC is set, and nothing is collected: %s", error)


@input_schema("input_data", inputs())
@input_schema("params", params(), optional=True)
@output_schema(outputs())
def run(input_data, params=None):
    """Predict."""
    if params is None and LANGUAGE and isinstance(input_data, dict) and "parameters" in input_data:
        input_data = dict(input_data)
        params = input_data.pop("parameters")
        if list(input_data) == ["input_string"]:
            input_data = input_data["input_string"]
    data = input_data if is_cast(input_data) else parsed(input_data)
    seen = collected(0, data)
    result = MODEL.predict(data, params=params) if TAKES_PARAMS else MODEL.predict(data)
    collected(1, result, seen)
    return plain(result)


def is_cast(data):
    """Tell whether inference-schema has cast the data."""
    if isinstance(data, dict):
        return bool(data) and all(isinstance(one, np.ndarray) for one in data.values())
    return isinstance(data, (np.ndarray, pd.DataFrame))


def parsed(data):
    """Read what has no type that it could be cast to."""
    if isinstance(data, str):
        try:
            data = json.loads(data)
        except ValueError:
            if not (LANGUAGE or BY_HINTS):
                raise
    if isinstance(data, dict) and "input_data" in data:
        data = data["input_data"]
    if split(data):
        return frame(data, orient="split")
    if BY_HINTS or (LANGUAGE and is_text(data)):
        return data
    if isinstance(data, list):
        return np.asarray(data)
    if isinstance(data, dict):
        return {name: np.asarray(value) for name, value in data.items()}
    return data


def is_text(data):
    """Tell whether data is text, or lists and objects of texts."""
    if isinstance(data, list):
        return all(isinstance(one, str) for one in data) or all(
            isinstance(one, dict) and is_text(one) for one in data
        )
    if isinstance(data, dict):
        return all(
            isinstance(one, str) or (isinstance(one, list) and all(isinstance(each, str) for each in one))
            for one in data.values()
        )
    return isinstance(data, str)


def collected(which, data, seen=None):
    """Collect inputs or outputs; return what ties the outputs to their inputs."""
    if not COLLECTORS:
        return None
    try:
        return COLLECTORS[which].collect(pd.DataFrame(data), seen)
    except Exception as error:
        _log.error("not collected: %s", error)
        return None


def plain(value):
    """Return JSON values: tables as records, arrays as lists, at any depth."""
    if isinstance(value, pd.Series):
        value = pd.DataFrame(value)
    if isinstance(value, pd.DataFrame):
        return [plain(one) for one in value.to_dict(orient="records")]
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return plain(value.tolist())
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if value is pd.NaT or value is getattr(pd, "NA", pd.NaT):
        return None
    return value.isoformat() if hasattr(value, "isoformat") else value
