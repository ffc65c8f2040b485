"""A model's facts in; the text of a module around it, for servers that want code of one's own, out.

The module has `load()`, which returns a function: what `/invocations` takes in, JSON values out. It runs in
the model's environment alone: nothing of lading is there.
"""

from __future__ import annotations

from collections.abc import Iterator

from lading.core.errors import Issue, SpecError
from lading.core.model import ModelFacts
from lading.servers.layout import MODEL

MODULE = "lading_model"

_MLFLOW = f'''"""Load an MLflow model, which casts and predicts as MLflow's own scoring server has it."""

import io
import json
import os


def load():
    import mlflow.pyfunc
    from mlflow.pyfunc.scoring_server import infer_and_parse_data, predictions_to_json

    # what is downloaded is linked to, which MLflow takes for an escape
    model = mlflow.pyfunc.load_model(os.path.realpath({MODEL!r}))
    schema = model.metadata.get_input_schema()

    def predict(body):
        if isinstance(body, list):
            names = schema.input_names() if schema and not schema.is_tensor_spec() else []
            rows = [row if isinstance(row, list) else [row] for row in body]
            named = names and all(len(row) == len(names) for row in rows)
            split = {{"dataframe_split": {{"columns": names, "data": rows}}}}
            body = split if named else {{"inputs": body}}
        body = dict(body)
        params = body.pop("params", None)
        answer = io.StringIO()
        given = {{"params": params}} if params else {{}}
        predictions_to_json(model.predict(infer_and_parse_data(body, schema), **given), answer)
        return json.loads(answer.getvalue())["predictions"]

    return predict
'''
_ESTIMATOR = '''"""Load an estimator, and predict from a frame where the columns have names."""

import os

FILE, METHOD, SERIALIZATION, TRUSTED = {settings}


def load():
    import numpy

    try:
        from pandas import DataFrame
    except ImportError:  # the model does without: its columns are in their order
        DataFrame = None
    predicting = getattr(_read(os.path.join({model!r}, FILE)), METHOD)

    def predict(body):
        columns, rows = _table(body)
        if columns and DataFrame:
            answer = predicting(DataFrame(rows, columns=columns))
        else:
            answer = predicting(numpy.asarray(rows))
        return answer.to_dict("records") if hasattr(answer, "to_dict") else numpy.asarray(answer).tolist()

    return predict


def _read(path):
    if SERIALIZATION == "joblib":
        import joblib

        return joblib.load(path)
    if SERIALIZATION == "skops":
        import skops.io

        return skops.io.load(path, trusted=TRUSTED)
    import pickle

    with open(path, "rb") as stream:
        return pickle.load(stream)


def _table(body):
    if isinstance(body, list):
        return None, body
    if "dataframe_split" in body:
        return body["dataframe_split"].get("columns"), body["dataframe_split"]["data"]
    value = next((body[key] for key in ("dataframe_records", "instances", "inputs") if key in body), body)
    if isinstance(value, dict):
        return list(value), [list(row) for row in zip(*value.values())]
    if value and isinstance(value[0], dict):
        columns = list(value[0])
        return columns, [[row[name] for name in columns] for row in value]
    return None, value
'''


def module(facts: ModelFacts) -> bytes:
    """Write the module; SpecError for a model that it cannot load."""
    if facts.format == "mlflow":
        return _MLFLOW.encode()
    if facts.loader != "pickle":
        what = f"got a model of format {facts.format!r}, expected an MLflow model or an estimator"
        fix = "give the server's own code with 'code' and 'entry: file.py:Class', or take 'lading'"
        raise SpecError(Issue("server", what, fix))
    options = facts.loader_options
    settings = tuple(_settings(options))
    return _ESTIMATOR.format(settings=repr(settings), model=MODEL).encode()


def _settings(options: object) -> Iterator[object]:
    assert isinstance(options, dict)
    for key, default in (
        ("file", ""),
        ("method", "predict"),
        ("serialization", "pickle"),
        ("trusted_types", []),
    ):
        yield options.get(key, default)
