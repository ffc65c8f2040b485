"""LightGBM's text files: what they tell, without LightGBM."""

import lightgbm
import numpy as np
import pandas as pd
import pytest

from lading.core.errors import ModelError
from lading.core.signature import Field
from lading.model import inspect

RANDOM = np.random.default_rng(0)
ROWS = RANDOM.normal(size=(200, 3))
LABELS = (ROWS[:, 0] > 0).astype(int)
FEW = {"verbosity": -1, "num_leaves": 4}


def save(path, rows=ROWS, labels=LABELS, **settings):
    model = lightgbm.train({**FEW, **settings}, lightgbm.Dataset(rows, labels), 2)
    model.save_model(path)
    return model


@pytest.mark.parametrize(
    ("settings", "classes"),
    [({"objective": "binary"}, ()), ({"objective": "multiclass", "num_class": 3}, (3,)), ({}, ())],
)
def test_a_booster_tells_its_width_and_what_its_objective_gives(settings, classes, tmp_path):
    labels = np.digitize(ROWS[:, 0], [-0.5, 0.5]) if classes else LABELS
    model = save(tmp_path / "model.txt", labels=labels, **settings)
    facts = inspect(tmp_path / "model.txt")
    assert (facts.format, facts.loader, facts.flavour) == ("lightgbm", "lightgbm", "lightgbm Booster")
    assert facts.signature.inputs == (Field("tensor", dtype="float64", shape=(-1, 3)),)
    found = model.predict(ROWS)
    assert facts.signature.outputs == (Field("tensor", dtype=found.dtype.name, shape=(-1, *classes)),)
    assert found.shape[1:] == classes
    assert [one.text for one in facts.requirements] == [f"lightgbm=={lightgbm.__version__}"]


def test_names_and_the_categories_of_pandas_are_told(tmp_path):
    frame = pd.DataFrame(ROWS, columns=["a b", "c", "d"])
    frame["colour"] = pd.Categorical(RANDOM.choice(["red", "blue"], 200))
    frame["shop"] = pd.Categorical(RANDOM.choice([10, 20], 200))
    save(tmp_path / "model", frame, objective="binary")
    facts = inspect(tmp_path / "model")
    kinds = {one.name: one.type for one in facts.signature.inputs}
    assert kinds == {"a_b": "double", "c": "double", "d": "double", "colour": "string", "shop": "long"}
    assert facts.loader_options["categories"] == ["colour", "shop"]


def test_a_file_without_its_end_is_refused(tmp_path):
    save(tmp_path / "model.txt")
    text = (tmp_path / "model.txt").read_bytes()
    (tmp_path / "model.txt").write_bytes(text[: text.index(b"end of trees")])
    with pytest.raises(ModelError, match="its end is missing"):
        inspect(tmp_path / "model.txt")


def test_names_that_do_not_fit_the_features_are_refused(tmp_path):
    save(tmp_path / "model.txt")
    text = (tmp_path / "model.txt").read_bytes()
    (tmp_path / "model.txt").write_bytes(text.replace(b"max_feature_idx=2", b"max_feature_idx=7"))
    with pytest.raises(ModelError, match="another number of names"):
        inspect(tmp_path / "model.txt")
