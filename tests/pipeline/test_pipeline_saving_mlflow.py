"""What `lading.save` writes, of every library, loads by MLflow 2 and 3 and answers as the model did."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from training import environment

ROOT = Path(__file__).parents[2]
LIBRARIES = [
    "scikit-learn==1.7.2",
    "pandas<3",
    "numpy<2.3",
    "xgboost-cpu==3.0.5",
    "lightgbm",
    "catboost",
    "onnx",
]
LIBRARIES += ["onnxruntime", "skl2onnx", "statsmodels", "cloudpickle", "torch==2.13.0", "keras", "prophet"]
LIBRARIES += ["spacy", "skops"]
NAMES = ("sklearn", "xgboost", "xgboost_booster", "lightgbm", "lightgbm_booster", "catboost", "onnx", "torch")
NAMES += ("keras", "statsmodels", "prophet", "spacy", "function")
MLFLOWS = ("mlflow==2.22.5", "mlflow==3.17.2")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def run(python, program, folder):
    environ = {**os.environ, "KERAS_BACKEND": "torch", "PYTHONPATH": str(ROOT / "src")}
    command = [python, Path(__file__).with_name(program), folder]
    done = subprocess.run(
        command, check=True, cwd=folder.parent, env=environ, stdout=subprocess.PIPE, text=True
    )
    return done.stdout


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "models"
    folder.mkdir()
    python = environment(folder.parent / "env", str(ROOT), *LIBRARIES) / "bin/python"
    told = run(python, "save_all.py", folder)
    assert "FAILED" not in told, told
    return folder


@pytest.fixture(scope="module", params=MLFLOWS)
def answers(request, saved, tmp_path_factory):
    folder = environment(tmp_path_factory.mktemp("mlflow") / "env", request.param, *LIBRARIES)
    return json.loads(run(folder / "bin/python", "load_all.py", saved).splitlines()[-1])


def leaves(value):
    if isinstance(value, (dict, list)):
        for one in value.values() if isinstance(value, dict) else value:
            yield from leaves(one)
    else:
        yield value


@pytest.mark.parametrize("name", NAMES)
def test_mlflow_answers_as_the_model_itself_did(name, saved, answers):
    recorded = json.loads((saved / name / "lading_output_example.json").read_text())
    got = list(leaves(answers[name]))
    expected = list(leaves(recorded))
    assert len(got) == len(expected), answers[name]
    for one, other in zip(got, expected, strict=True):
        assert one == (pytest.approx(other, rel=1e-5, abs=1e-6) if isinstance(other, float) else other)
