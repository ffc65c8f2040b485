"""`lading convert`: a model is converted in a sandbox and held against itself before anything is written."""

import json
import os
import pickle
from pathlib import Path

import joblib
import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn.compose import make_column_transformer
from sklearn.ensemble import AdaBoostClassifier, GradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from lading.model import inspect
from models import IRIS, train

pytestmark = pytest.mark.network


@pytest.fixture(scope="module")
def pickled(tmp_path_factory):
    file = tmp_path_factory.mktemp("original") / "model.pkl"
    file.write_bytes(pickle.dumps(train()))
    return file


def test_an_estimator_becomes_a_file_of_skops_that_answers_alike(lading, pickled, tmp_path):
    target = tmp_path / "model.skops"
    made = lading.json("convert", pickled, "--to", "skops", "-o", target)
    assert (made["to"], made["rows"], made["recorded"]) == ("skops", 32, False)
    assert made["largest_difference"] <= 1e-9
    assert inspect(target).risks == ()
    assert [one.name for one in tmp_path.iterdir()] == ["model.skops"]


@pytest.mark.slow
def test_an_estimator_becomes_a_graph_and_what_is_too_far_off_is_not_written(lading, pickled, tmp_path):
    target = tmp_path / "model.onnx"
    made = lading.json("convert", pickled, "--to", "onnx", "-o", target)
    assert made["largest_difference"] <= 1e-4
    other = tmp_path / "other.onnx"
    told = lading.fails(6, "convert", pickled, "--to", "onnx", "-o", other, "--tolerance", "-1")
    assert "expected at most -1" in told
    assert [one.name for one in tmp_path.iterdir()] == ["model.onnx"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "to"), [("layers.pth", "pt2"), ("layers.pth", "safetensors"), ("state.pth", "safetensors")]
)
def test_what_pytorch_has_saved_becomes_a_program_or_weights(lading, tmp_path, name, to):
    model = Path(__file__).parents[1] / "model" / "samples" / name
    example = {"inputs": [[0.5, -1.0, 2.0, 3.0], [1.0, 0.0, -2.5, 0.25]]}
    text = f"model: {model}\nexample: {{inputs: {json.dumps(example)}}}\n"
    (tmp_path / "lading.yaml").write_text(text)
    links = [f"--find-links={one}" for one in os.environ.get("PIP_FIND_LINKS", "").split()]
    made = lading.json("convert", tmp_path / "lading.yaml", "--to", to, "-o", tmp_path / f"net.{to}", *links)
    assert made["rows"] == (2 if to == "pt2" else 0)


def write_mixed(folder):
    """Write a pipeline of numbers with gaps and texts, and a lading.yaml with rows to ask it for."""
    columns = ["size", "age", "town"]
    rows = [[float(n % 7), None if n % 5 == 0 else n / 3, "abc"[n % 3]] for n in range(60)]
    frame = pd.DataFrame(rows, columns=columns).astype({"age": "float64"})
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    prepare = make_column_transformer((numbers, ["size", "age"]), (OneHotEncoder(), ["town"]))
    wanted = ["much" if row[0] > 3 or row[2] == "a" else "little" for row in rows]
    model = make_pipeline(prepare, GradientBoostingClassifier(n_estimators=5)).fit(frame, wanted)
    joblib.dump(model, folder / "mixed.joblib")
    asked = {"dataframe_split": {"columns": columns, "data": rows[:20]}}
    (folder / "lading.yaml").write_text(f"model: mixed.joblib\nexample: {{inputs: {json.dumps(asked)}}}\n")
    return folder / "lading.yaml"


def write_booster(folder):
    file = folder / "model.ubj"
    xgboost.XGBClassifier(n_estimators=5).fit(IRIS.data.values, IRIS.target).save_model(file)
    return file


def write_trees(folder):
    file = folder / "model.txt"
    settings = {"n_estimators": 5, "verbose": -1}
    lightgbm.LGBMClassifier(**settings).fit(IRIS.data.values, IRIS.target > 0).booster_.save_model(file)
    return file


@pytest.mark.slow
@pytest.mark.parametrize("write", [write_mixed, write_booster, write_trees])
def test_what_is_written_as_pmml_is_scored_alike(lading, tmp_path, write):
    target = tmp_path / "model.pmml"
    made = lading.json("convert", write(tmp_path), "--to", "pmml", "-o", target)
    assert (made["to"], made["recorded"]) == ("pmml", write is write_mixed)
    assert made["largest_difference"] <= 1e-6
    facts = inspect(target)
    assert (facts.format, facts.risks) == ("pmml", ())


@pytest.mark.slow
def test_what_pmml_does_not_express_is_told(lading, tmp_path):
    file = tmp_path / "model.pkl"
    file.write_bytes(pickle.dumps(AdaBoostClassifier(n_estimators=2).fit(IRIS.data, IRIS.target)))
    told = lading.fails(3, "convert", file, "--to", "pmml", "-o", tmp_path / "model.pmml")
    assert "cannot be converted to pmml" in told
    assert "Expected 2 target categories, got 3" in told
    assert "--to skops or --to onnx" in told
    assert not (tmp_path / "model.pmml").exists()


def test_what_cannot_be_converted_is_told(lading, pickled, tmp_path):
    (tmp_path / "there.skops").touch()
    told = lading.fails(2, "convert", pickled, "--to", "skops", "-o", tmp_path / "there.skops")
    assert "is there already" in told
    told = lading.fails(2, "convert", pickled, "--to", "skops", "-o", "/proc/no/model.skops")
    assert "cannot be written" in told
    told = lading.fails(3, "convert", pickled, "--to", "pt2", "-o", tmp_path / "model.pt2")
    assert "'pt2' is for a model of PyTorch" in told
    words = tmp_path / "words.pkl"
    words.write_bytes(pickle.dumps(OneHotEncoder().fit(np.array([["a"], ["b"]], dtype=object))))
    told = lading.fails(3, "convert", words, "--to", "skops", "-o", tmp_path / "words.skops")
    assert "record one with 'example:'" in told


@pytest.mark.slow
def test_what_takes_too_long_is_ended_and_told(lading, pickled, tmp_path):
    out = tmp_path / "model.skops"
    told = lading.fails(6, "convert", pickled, "--to", "skops", "-o", out, "--timeout-s", "0.01")
    assert "converting to skops: the command still runs after 0.01 s" in told
    assert "--timeout-s" in told
    assert not out.exists()
