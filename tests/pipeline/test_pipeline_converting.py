"""`lading convert`: a model is converted in a sandbox and held against itself before anything is written."""

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from sklearn.preprocessing import OneHotEncoder

from lading.model import inspect
from models import train

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


def test_what_cannot_be_converted_is_told(lading, pickled, tmp_path):
    (tmp_path / "there.skops").touch()
    told = lading.fails(2, "convert", pickled, "--to", "skops", "-o", tmp_path / "there.skops")
    assert "is there already" in told
    told = lading.fails(3, "convert", pickled, "--to", "pt2", "-o", tmp_path / "model.pt2")
    assert "'pt2' is for a model of PyTorch" in told
    words = tmp_path / "words.pkl"
    words.write_bytes(pickle.dumps(OneHotEncoder().fit(np.array([["a"], ["b"]], dtype=object))))
    told = lading.fails(3, "convert", words, "--to", "skops", "-o", tmp_path / "words.skops")
    assert "record one with 'example:'" in told
