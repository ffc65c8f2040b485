"""Models in files of their libraries' own, inspected and loaded here: the answers are the library's."""

import json

import lightgbm
import numpy as np
import onnx
import pandas as pd
import pytest
import xgboost
from onnx import TensorProto, helper

from lading.model import inspect
from lading_runtime import wire
from lading_runtime.loaders import lightgbm as of_lightgbm
from lading_runtime.loaders import onnx as of_onnx
from lading_runtime.loaders import xgboost as of_xgboost
from lading_runtime.worker import inputs

RANDOM = np.random.default_rng(0)
FRAME = pd.DataFrame(RANDOM.normal(size=(90, 2)), columns=["a", "b"])
FRAME["k"] = pd.Categorical(RANDOM.choice(["x", "y", "z"], 90))
LABELS = np.digitize(FRAME["a"] + (FRAME["k"] == "x"), [-0.5, 0.5])
LOADERS = {"lightgbm": of_lightgbm, "xgboost": of_xgboost}
FEW = {"verbosity": -1, "num_leaves": 4, "min_data_in_leaf": 3}


def request(tensors, content, **parameters):
    header = {"parameters": {"content": content, **parameters}, "inputs": [entry for entry, _ in tensors]}
    return inputs.Request(header, memoryview(bytearray(b"".join(data for _, data in tensors))))


def tensor(name, kind, shape, data):
    return wire.tensor(name, kind, list(shape), data), data


def frame_of(rows):
    """Ask as a table: texts are no category of anything until the loader makes them one."""
    numbers = rows[["a", "b"]].to_numpy()
    columns = [
        tensor(name, "FP64", [len(rows)], numbers[:, at].tobytes()) for at, name in enumerate(("a", "b"))
    ]
    words = json.dumps(rows["k"].astype(str).tolist()).encode()
    return request([*columns, tensor("k", "JSON", [len(rows)], words)], "frame")


def xgboost_classifier(path):
    model = xgboost.XGBClassifier(n_estimators=3, enable_categorical=True).fit(FRAME, LABELS)
    model.save_model(path / "model.ubj")
    return model.predict(FRAME)


def xgboost_booster(path):
    data = xgboost.DMatrix(FRAME, LABELS, enable_categorical=True)
    model = xgboost.train({"objective": "multi:softprob", "num_class": 3}, data, 3)
    model.save_model(path / "model.json")
    (path / "model.json").rename(path / "model.ubj")
    return model.predict(data)


def lightgbm_booster(path):
    data = lightgbm.Dataset(FRAME, LABELS)
    model = lightgbm.train({"objective": "multiclass", "num_class": 3, **FEW}, data, 3)
    model.save_model(path / "model.txt")
    return model.predict(FRAME)


@pytest.mark.parametrize("save", [xgboost_classifier, xgboost_booster, lightgbm_booster])
def test_categories_are_found_by_value_whatever_rows_come_together(save, tmp_path):
    expected = save(tmp_path)
    facts = inspect(tmp_path)
    assert facts.loader_options["categories"] == ["k"]
    model = LOADERS[facts.loader].load(str(tmp_path), facts.loader_options)
    assert np.array_equal(model.predict(frame_of(FRAME)), expected)
    few = FRAME[FRAME["k"] == "z"].head(2)  # numbered by themselves, z would be the first
    assert np.array_equal(model.predict(frame_of(few)), expected[few.index])


def test_categories_that_a_file_has_no_names_for_are_numbers(tmp_path):
    codes = FRAME.assign(k=FRAME["k"].cat.codes).to_numpy(dtype=float)
    kinds = {"feature_names": ["a", "b", "k"], "feature_types": ["q", "q", "c"], "enable_categorical": True}
    model = xgboost.train({}, xgboost.DMatrix(codes, LABELS, **kinds), 3)
    model.save_model(tmp_path / "model.ubj")
    facts = inspect(tmp_path)
    assert [one.type for one in facts.signature.inputs] == ["double", "double", "double"]
    loaded = of_xgboost.load(str(tmp_path), facts.loader_options)
    last = codes[codes[:, 2] == 2][:2]
    asked = request([tensor("matrix", "FP64", last.shape, last.tobytes())], "frame", columns=["a", "b", "k"])
    assert np.array_equal(loaded.predict(asked), model.predict(xgboost.DMatrix(last, **kinds)))


def graph(path, kind):
    nodes = [helper.make_node("Identity", ["x"], ["y"])]
    places = [[helper.make_tensor_value_info(name, kind, ["n", 2])] for name in "xy"]
    model = helper.make_model(
        helper.make_graph(nodes, "g", *places), opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    onnx.save(model, path / "model.onnx")


def test_a_graph_of_bfloat16_is_asked_in_single_precision(tmp_path):
    graph(tmp_path, TensorProto.BFLOAT16)
    facts = inspect(tmp_path)
    loaded = of_onnx.load(str(tmp_path), facts.loader_options)
    rows = np.array([[1.5, 3.14159265], [np.nan, -np.inf], [1.00390625, 1.01171875]], np.float32)
    asked = request([tensor("x", "FP32", rows.shape, rows.tobytes())], "tensors")
    found = loaded.predict(asked).arrays["y"]
    assert found.dtype == np.float32
    # to the nearest of its eight bits, and to even between two
    nearest = [[1.5, 3.140625], [np.nan, -np.inf], [1.0, 1.015625]]
    assert np.array_equal(found, np.array(nearest, np.float32), equal_nan=True)


def test_small_whole_numbers_go_in_and_come_out_as_they_are(tmp_path):
    graph(tmp_path, TensorProto.INT8)
    loaded = of_onnx.load(str(tmp_path), inspect(tmp_path).loader_options)
    rows = np.array([[-128, 127]], np.int8)
    found = loaded.predict(request([tensor("x", "INT8", rows.shape, rows.tobytes())], "tensors")).arrays["y"]
    assert found.dtype == np.int8
    assert np.array_equal(found, rows)


def test_a_graph_of_half_precision_is_asked_in_single(tmp_path):
    graph(tmp_path, TensorProto.FLOAT16)
    loaded = of_onnx.load(str(tmp_path), inspect(tmp_path).loader_options)
    rows = np.array([[1.5, 0.1]], np.float32)
    found = loaded.predict(request([tensor("x", "FP32", rows.shape, rows.tobytes())], "tensors")).arrays["y"]
    assert np.array_equal(found, rows.astype(np.float16))
