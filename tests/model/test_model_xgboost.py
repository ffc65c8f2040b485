"""XGBoost's own files: what they tell, without XGBoost, in every form in which it writes them."""

import io
import json
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xgboost
from hypothesis import given
from hypothesis import strategies as st

from lading.core.errors import ModelError
from lading.core.signature import Field
from lading.model import inspect, select

SAMPLES = Path(__file__).with_name("samples")
RANDOM = np.random.default_rng(0)
ROWS = RANDOM.normal(size=(60, 3))
LABELS = (ROWS[:, 0] > 0).astype(int)
FEW = {"n_estimators": 2, "max_depth": 2}


def booster(**settings):
    labels = np.digitize(ROWS[:, 0], [-0.5, 0.5]) if "num_class" in settings else LABELS
    return xgboost.train({"max_depth": 2, "verbosity": 0, **settings}, xgboost.DMatrix(ROWS, labels), 2)


@pytest.mark.parametrize("form", ["ubj", "json"])
@pytest.mark.parametrize(
    ("settings", "shape"),
    [
        ({"objective": "binary:logistic"}, (-1,)),
        ({"objective": "multi:softprob", "num_class": 3}, (-1, 3)),
        ({"objective": "multi:softmax", "num_class": 3}, (-1,)),
        ({"booster": "dart"}, (-1,)),
        ({"booster": "gblinear"}, (-1,)),
    ],
)
def test_a_booster_tells_its_objective_and_gives_what_that_gives(form, settings, shape, tmp_path):
    model = booster(**settings)
    model.save_model(tmp_path / f"model.{form}")
    facts = inspect(tmp_path / f"model.{form}")
    assert (facts.format, facts.loader, facts.flavour) == ("xgboost", "xgboost", "xgboost Booster")
    assert facts.framework_version == xgboost.__version__
    assert [one.text for one in facts.requirements] == [f"xgboost=={xgboost.__version__}"]
    assert facts.signature.inputs == (Field("tensor", dtype="float64", shape=(-1, 3)),)
    (output,) = facts.signature.outputs
    found = model.predict(xgboost.DMatrix(ROWS))
    assert (output.dtype, output.shape) == (found.dtype.name, shape)
    assert found.shape[1:] == shape[1:]
    assert not facts.risks


@pytest.mark.parametrize("form", ["ubj", "json"])
def test_an_estimator_tells_names_types_and_categories(form, tmp_path):
    frame = pd.DataFrame(ROWS, columns=list("abc"))
    frame["colour"] = pd.Categorical(np.where(ROWS[:, 1] > 0, "red", "blue"))
    frame["shop"] = pd.Categorical(np.where(ROWS[:, 1] > 0, 10, 20))
    frame["count"], frame["is_new"] = range(60), LABELS.astype(bool)
    model = xgboost.XGBClassifier(**FEW, enable_categorical=True).fit(frame, LABELS)
    model.save_model(tmp_path / f"model.{form}")
    facts = inspect(tmp_path / f"model.{form}")
    types = {one.name: one.type for one in facts.signature.inputs}
    assert types == dict.fromkeys("abc", "double") | {
        "colour": "string",
        "shop": "long",
        "count": "long",
        "is_new": "boolean",
    }
    assert facts.flavour == "xgboost XGBClassifier"
    assert facts.loader_options["categories"] == ["colour", "shop"]
    assert {one.text for one in facts.requirements} > {"scikit-learn", "pandas"}
    assert facts.signature.outputs == (Field("tensor", dtype=model.predict(frame).dtype.name, shape=(-1,)),)


def test_several_targets_are_a_second_dimension(tmp_path):
    model = xgboost.XGBRegressor(**FEW).fit(ROWS, np.c_[LABELS, LABELS])
    model.save_model(tmp_path / "model.ubj")
    assert inspect(tmp_path / "model.ubj").signature.outputs[0].shape == (-1, 2)


def test_content_and_not_the_name_tells_the_form(tmp_path):
    booster().save_model(tmp_path / "model.json")
    (tmp_path / "model.json").rename(tmp_path / "model.ubj")
    facts = inspect(tmp_path / "model.ubj")
    assert facts.notes[0] == "JSON"
    assert facts.loader_options["by_content"]


def test_the_old_binary_format_is_known_and_the_last_xgboost_that_reads_it():
    old = inspect(SAMPLES / "xgboost-0.90-multi.model")
    assert (old.framework_version, old.requirements[0].text) == (None, "xgboost<3.1")
    assert old.signature.outputs[0].shape == (-1, 3)
    newer = inspect(SAMPLES / "xgboost-1.7-classifier.model")
    assert (newer.flavour, newer.framework_version) == ("xgboost XGBClassifier", "1.7")
    assert [one.text for one in newer.requirements] == ["xgboost>=1.7,<3.1", "scikit-learn<1.6"]
    assert "3.0 is the last that reads it" in newer.notes[0]


@pytest.mark.parametrize("form", ["ubj", "json"])
def test_a_file_that_is_cut_is_refused_wherever_it_is(form, tmp_path):
    booster().save_model(tmp_path / f"model.{form}")
    whole = (tmp_path / f"model.{form}").read_bytes()
    for end in range(60, len(whole) - 1, 211):
        (tmp_path / "cut").write_bytes(whole[:end])
        with pytest.raises(ModelError, match="no model of XGBoost that can be read"):
            inspect(tmp_path / "cut")


def test_names_for_other_features_than_there_are_are_refused(tmp_path):
    booster().save_model(tmp_path / "model.json")
    document = json.loads((tmp_path / "model.json").read_text())
    document["learner"]["feature_names"] = ["one"]
    (tmp_path / "model.json").write_text(json.dumps(document))
    with pytest.raises(ModelError, match="1 names for"):
        inspect(tmp_path / "model.json")


def test_several_models_in_a_folder_are_told_apart_by_the_author(tmp_path):
    for name in ("a.ubj", "b.json"):
        booster().save_model(tmp_path / name)
    with pytest.raises(ModelError, match=r"2 models of XGBoost: 'a\.ubj', 'b\.json'"):
        inspect(tmp_path)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES, VALUES, VALUES, st.sampled_from([None, 1]))
def test_what_is_selected_of_json_is_what_json_has_there(before, wanted, after, indent):
    document = {"a": before, "b": {"x": after, "c": wanted}, "d": after}
    stream = io.BytesIO(json.dumps(document, indent=indent).encode())
    assert select.from_json(stream, [("b", "c"), ("e",), ("d", "d", "d")]).get(("b", "c")) == wanted


def test_a_long_document_takes_little_memory_and_what_is_behind_it_is_found():
    numbers = ",".join(["0.123456789"] * 2_000_000)
    text = f'{{"a": {{"b": [{numbers}], "s": "{"x]" * 2_000_000}"}}, "c": [1, {{"d": "}}"}}]}}'
    stream = io.BytesIO(text.encode())
    tracemalloc.start()
    try:
        assert select.from_json(stream, [("c",)]) == {("c",): [1, {"d": "}"}]}
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "text",
    [
        b"{L\0\0\0\0\0\0\0\x01a[$d#L\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"{L\0\0\0\0\0\0\0\x01aSL\xff\xff\xff\xff\xff\xff\xff\xff",
        b"{i\x01a" + b"[" * 1000,
        b"{i\x01b[$Z#L\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"{i\x01bq",
    ],
)
def test_a_length_that_leads_beyond_the_end_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        select.from_ubjson(io.BytesIO(text), len(text), [("b",)])
