"""A form that ONNX Runtime answers, behind the front: a worker has it, without the model's libraries."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeRegressor

from lading_runtime.compile import run
from lading_runtime.compile.build import build
from lading_runtime.loaders import compiled
from lading_runtime.loaders.pickle import Estimator
from lading_runtime.worker import inputs, results

PLACE = {"compiled": {"way": "onnx"}, "path": "/nowhere"}


def flowers(iris):
    table = pd.DataFrame({"length": iris.iloc[:, 2], "width": iris.iloc[:, 3]})
    table["kind"] = np.where(iris.iloc[:, 1] > 3, "broad", "narrow")
    return table


@pytest.fixture(scope="module")
def model(iris):
    names = np.repeat(["setosa", "versicolor", "virginica"], 50)
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    words = OneHotEncoder(handle_unknown="ignore")
    steps = ColumnTransformer([("n", numbers, ["length", "width"]), ("w", words, ["kind"])])
    return make_pipeline(steps, LogisticRegression()).fit(flowers(iris), names)


@pytest.fixture(scope="module")
def served(serve, model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("form")
    run.write(build(model, "predict_proba", "onnx"), str(folder))
    with serve(bill_model={**PLACE, "compiled": {"way": "onnx", "path": str(folder)}}) as found:
        yield found


def test_probabilities_are_the_models_whatever_form_the_table_has(served, model, iris):
    table = flowers(iris)
    expected = model.predict_proba(table)
    split = {"columns": list(table.columns), "data": table.to_numpy().tolist()}
    assert np.allclose(served.predictions({"dataframe_split": split}), expected, 1e-9)
    records = table.iloc[[3, 99]].to_dict(orient="records")
    assert np.allclose(served.predictions({"dataframe_records": records}), expected[[3, 99]], 1e-9)
    columns = {name: table[name].tolist()[:5] for name in reversed(table.columns)}
    assert np.allclose(served.predictions({"inputs": columns}), expected[:5], 1e-9)


def test_gaps_and_words_that_nobody_knows_are_as_to_the_model(served, model):
    odd = pd.DataFrame({"length": [1.5, None], "width": [None, 2.0], "kind": ["no such", None]})
    rows = [[1.5, None, "no such"], [None, 2.0, None]]
    got = served.predictions({"dataframe_split": {"columns": list(odd.columns), "data": rows}})
    assert np.allclose(got, model.predict_proba(odd), 1e-9)


def test_what_the_model_refuses_is_refused(served):
    split = {"columns": ["length", "kind"], "data": [[1.0, "broad"]]}
    status, answer = served.post({"dataframe_split": split})
    assert status == 400
    assert "columns ['width'] are missing" in answer["error"]
    assert served.post({"instances": [[1.0, 2.0]]})[0] == 400


def test_the_worker_has_onnxruntime_and_no_library_of_the_model(served):
    maps = Path(f"/proc/{served.worker_pid()}/maps").read_text()
    assert "onnxruntime" in maps
    assert "sklearn" not in maps
    assert "onnxruntime" not in Path(f"/proc/{served.process.pid}/maps").read_text()


def test_labels_have_the_datatype_that_the_model_gives(model, iris, tmp_path):
    run.write(build(model, "predict", "onnx"), str(tmp_path))
    form = compiled.load(str(tmp_path), {})
    assert form.facts["batches"]
    assert form.warm() is None, "a nought is no word"
    table = flowers(iris).iloc[::50]
    columns = []
    for name in table.columns:
        values = table[name].tolist()
        entry, data = results._tensor(name, np.array(values, dtype=object if name == "kind" else None))
        columns.append((entry, data))
    header = {"parameters": {"content": "frame"}, "inputs": [entry for entry, _ in columns]}
    body = memoryview(bytearray(b"".join(data for _, data in columns)))
    answers = [
        results.encode(one.predict(inputs.Request(header, body)))
        for one in (Estimator(model, "predict"), form)
    ]
    assert answers[0] == answers[1]
    assert answers[0][1][0][1] == b'["setosa", "versicolor", "virginica"]'


def test_a_form_of_numbers_is_warm_when_it_is_ready(iris, tmp_path):
    model = DecisionTreeRegressor(max_depth=2).fit(iris.to_numpy(), iris.index)
    run.write(build(model, "predict", "onnx"), str(tmp_path))
    assert compiled.load(str(tmp_path), {}).warm() > 0
