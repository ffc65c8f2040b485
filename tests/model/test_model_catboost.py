"""CatBoost's files, made by samples/make_catboost.py: what they tell, without CatBoost."""

import shutil
from pathlib import Path

import pytest

from lading.core.errors import ModelError
from lading.core.signature import Field
from lading.model import inspect

SAMPLES = Path(__file__).with_name("samples")


@pytest.mark.parametrize(
    ("name", "kind", "output"),
    [
        ("catboost-1.cbm", "CatBoostClassifier", Field("tensor", dtype="int64", shape=(-1, 1))),
        ("catboost-2.cbm", "CatBoostRegressor", Field("tensor", dtype="float64", shape=(-1,))),
        ("catboost-3.cbm", "CatBoostClassifier", Field("string")),
        ("catboost-4.json", "CatBoostClassifier", Field("tensor", dtype="int64", shape=(-1, 1))),
    ],
)
def test_a_file_tells_its_class_its_release_and_what_it_gives(name, kind, output):
    facts = inspect(SAMPLES / name)
    form = name[-4:].lstrip(".")
    assert facts.loader_options == {"file": name, "class": kind, "format": form, "truths": True}
    assert (facts.framework_version, facts.saved_with) == ("1.2.10", ("catboost==1.2.10",))
    assert [one.text for one in facts.requirements] == ["catboost==1.2.10"]
    assert facts.signature.outputs == (output,)


def test_features_are_told_by_name_and_kind_and_without_names_by_number():
    named = inspect(SAMPLES / "catboost-1.cbm").signature.inputs
    kinds = {one.name: one.type for one in named}
    assert kinds == {"a": "double", "b": "double", "c": "double", "k": "any", "m": "any", "text": "string"}
    matrix = (Field("tensor", dtype="float64", shape=(-1, 3)),)
    assert inspect(SAMPLES / "catboost-2.cbm").signature.inputs == matrix
    assert inspect(SAMPLES / "catboost-4.json").signature.inputs == matrix


@pytest.mark.parametrize("name", ["catboost-1.cbm", "catboost-4.json"])
def test_a_file_that_is_cut_or_changed_is_read_or_refused_and_nothing_else(name, tmp_path):
    whole = (SAMPLES / name).read_bytes()
    (tmp_path / "model").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="no model of CatBoost that can be read"):
        inspect(tmp_path / "model")
    for at in range(8, len(whole), 61):
        (tmp_path / "model").write_bytes(whole[:at] + b"\xff\xff\xff" + whole[at + 3 :])
        try:
            inspect(tmp_path / "model")
        except ModelError:
            continue


def test_two_models_in_a_folder_are_the_authors_to_choose_from(tmp_path):
    for name in ("catboost-1.cbm", "catboost-4.json"):
        shutil.copy(SAMPLES / name, tmp_path)
    with pytest.raises(ModelError, match="2 models of CatBoost"):
        inspect(tmp_path)
