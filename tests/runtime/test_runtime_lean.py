"""Models that MLflow itself has saved, loaded by it and by loaders of our own: every answer is the same."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from lading.model import inspect
from training import environment

LIBRARIES = ["scikit-learn", "pandas<3", "numpy", "xgboost-cpu", "lightgbm", "catboost", "onnxruntime"]
LIBRARIES += ["statsmodels", "cloudpickle", "torch==2.13.0", "keras", "prophet", "spacy", "skops"]
FLAVOURS = ("xgboost", "lightgbm", "catboost", "onnx", "pytorch")
FRAMES = ("xgboost_booster", "lightgbm_sklearn", "statsmodels", "prophet", "spacy")
FRAMES += ("python_model", "from_code", "loader_module", "sklearn_skops", "sklearn_cloudpickle")
TENSORS = (*FLAVOURS, "onnx_classifier", "keras", "sklearn_pickle")
NAMES = [f"{name}-columns" for name in (*FLAVOURS, *FRAMES)] + [f"{name}-tensor" for name in TENSORS]
OTHERS = {
    "prophet-columns": {"columns": ["ds"], "data": [["2024-02-10"], ["2024-02-11"]]},
    "spacy-columns": {"columns": ["text"], "data": [["a good day"], ["a bad one"]]},
}
ENVIRON = {"LADING_BIND_AFTER_S": "120", "KERAS_BACKEND": "torch"}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="session")
def lean(tmp_path_factory):
    return environment(tmp_path_factory.mktemp("lean") / "env", *LIBRARIES)


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    return environment(tmp_path_factory.mktemp("whole") / "env", *LIBRARIES, "mlflow", "onnx", "skl2onnx")


@pytest.fixture(scope="session")
def saved(whole, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    program = Path(__file__).with_name("save_flavours.py")
    command = [whole / "bin" / "python", program, folder]
    subprocess.run(command, check=True, cwd=folder, env={**os.environ, **ENVIRON})
    return folder


def requests_for(name, rows):
    rows = OTHERS.get(name, rows)
    first = {"columns": rows["columns"], "data": rows["data"][:1]}
    if name.endswith("tensor"):
        return [{"inputs": rows["data"]}, {"instances": rows["data"][:1]}]
    more = [{"dataframe_split": rows, "params": {"more": 4}}] if name.startswith("python_model") else []
    return [{"dataframe_split": rows}, {"dataframe_split": first}, *more]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_loaded_without_mlflow_answers_as_mlflow_does(name, saved, lean, whole, serve):
    folder = saved / name
    rows = json.loads((saved / "rows.json").read_text())
    answers = []
    for way, place in (("lean", lean), ("mlflow", whole)):
        facts = inspect(folder, loader=way)
        assert (facts.loader == "pyfunc") == (way == "mlflow"), facts.loader
        signature = facts.signature and facts.signature.to_json()
        options = {"path": str(folder), "loader": facts.loader, "loader_options": facts.loader_options}
        with serve(
            signature=signature,
            bill_model=options,
            environment=place,
            environ=ENVIRON,
            code=facts.code,
            timeout_s=120,
        ) as served:
            answers.append([served.predictions(one) for one in requests_for(name, rows)])
    assert answers[0] == answers[1]
    assert answers[0][0]
