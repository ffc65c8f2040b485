"""The batch scoring script of an MLflow model that brings none: files in, rows of predictions out.

It travels in packages (/var/mlflow_resources) and runs under the batch driver, with mlflow and pandas, on
Python 3.8 and later; lading itself never imports it. As Azure ML reads them ("Deploy MLflow models in batch
deployments"): CSV and Parquet are tables, cast to the model's signature, pictures are arrays; JSON is a table
as MLflow's server takes it, or one of JSON lines. Each row is its number, its prediction and its file's name.
"""

import json
import os

import mlflow.pyfunc
import numpy as np
import pandas as pd
from mlflow.models import Model

# what is downloaded is linked to, which MLflow takes for an escape
FOLDER = os.path.realpath(
    os.path.join(os.environ["AZUREML_MODEL_DIR"], os.environ.get("MLFLOW_MODEL_FOLDER", ""))
)
_PICTURES = {".png", ".jpg", ".jpeg", ".tiff", ".bmp", ".gif"}


def init():
    """Load the model."""
    global MODEL, INPUTS
    MODEL = mlflow.pyfunc.load_model(FOLDER)
    signature = Model.load(FOLDER).signature
    INPUTS = signature.inputs if signature is not None else None


def run(mini_batch):
    """Predict every file of a mini batch."""
    return pd.concat([scored(path) for path in mini_batch], ignore_index=True)


def scored(path):
    """Predict one file."""
    name = os.path.basename(path)
    result = MODEL.predict(cast(read(path)))
    if isinstance(result, pd.DataFrame):
        made = result.reset_index(drop=True)
    elif isinstance(result, dict):
        made = pd.DataFrame({key: list(value) for key, value in result.items()})
    else:
        made = pd.DataFrame({"prediction": list(result)})
    made.insert(0, "row", range(len(made)))
    return made.assign(file=name)


def read(path):
    """Read a file by its ending."""
    kind = os.path.splitext(path)[1].lower()
    if kind == ".csv":
        return pd.read_csv(path, dtype=texts())
    if kind in {".parquet", ".pqt"}:
        return pd.read_parquet(path)
    if kind == ".jsonl":
        return pd.read_json(path, lines=True, dtype=False)
    if kind == ".json":
        with open(path, encoding="utf-8") as file:
            return document(json.load(file))
    if kind in _PICTURES:
        from PIL import Image

        with Image.open(path) as picture:
            return np.array(picture)[np.newaxis]
    raise ValueError(
        "file type %r is not supported: expected csv, parquet, pqt, json, jsonl or a picture" % kind
    )


def texts():
    """Name the columns that are texts, whatever their cells look like."""
    if INPUTS is None or INPUTS.is_tensor_spec():
        return None
    return {one.name: str for one in INPUTS.inputs if one.name and getattr(one.type, "name", "") == "string"}


def document(value):
    """Read a table out of JSON: split, records, columns, or rows."""
    for key in ("input_data", "dataframe_split", "dataframe_records", "inputs", "instances"):
        if isinstance(value, dict) and key in value:
            value = value[key]
            break
    if isinstance(value, dict) and {"columns", "data"} <= set(value):
        return pd.DataFrame(value["data"], columns=value["columns"])
    if INPUTS is not None and not INPUTS.is_tensor_spec():
        made = pd.DataFrame(value)
        names = INPUTS.input_names()
        unnamed = list(made.columns) == list(range(len(names)))
        return made.set_axis(names, axis=1) if unnamed else made
    if isinstance(value, dict):
        return {name: np.asarray(one) for name, one in value.items()}
    return pd.DataFrame(value) if value and isinstance(value[0], dict) else np.asarray(value)


def cast(data):
    """Cast to the types of the signature, which MLflow would refuse to do."""
    if INPUTS is None:
        return data
    if INPUTS.is_tensor_spec():
        if isinstance(data, pd.DataFrame) and not INPUTS.has_input_names():
            data = data.to_numpy()
        if isinstance(data, np.ndarray):
            return data.astype(INPUTS.inputs[0].type)
        if isinstance(data, dict):
            kinds = {one.name: one.type for one in INPUTS.inputs}
            return {name: one.astype(kinds.get(name, one.dtype)) for name, one in data.items()}
        return data
    try:
        kinds = dict(zip(INPUTS.input_names(), INPUTS.pandas_types()))
    except Exception:  # columns of lists and objects have no type of pandas
        return data
    return data.astype({name: kind for name, kind in kinds.items() if name in data.columns})
