"""Models that somebody has changed are not what their libraries' classes are."""

import json

import joblib
import numpy as np
import pytest
from lightgbm import LGBMClassifier
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from lading_runtime.compile import run
from lading_runtime.compile.build import build
from lading_runtime.compile.notes import NotCompiled
from lading_runtime.compile.prove import Effort, prove
from lading_runtime.compiled.form import Form
from lading_runtime.loaders.pickle import Estimator

QUICK = Effort(random_rows=10, edge_rows=10, odd_cells=0, measured_s=0.005, slack=float("inf"))
X, Y = load_iris(return_X_y=True)


class Own(DecisionTreeClassifier):
    def predict_proba(self, cells, **options):
        return super().predict_proba(cells, **options)[:, ::-1]


class Scaled(StandardScaler):
    pass


Scaled.__module__, Scaled.__qualname__ = StandardScaler.__module__, "StandardScaler"


def changed(_, cells):
    return cells


def forest():
    return RandomForestClassifier(2, random_state=0).fit(X, Y)


def test_a_method_that_the_model_itself_has_is_not_compiled():
    model = forest()
    model.predict = lambda cells: cells
    with pytest.raises(NotCompiled, match="'predict' of its own"):
        build(model, "predict")


def test_a_forest_that_serving_has_made_quicker_is_compiled():
    model = Estimator(forest(), "predict").estimator
    assert "predict_proba" in vars(model)
    build(model, "predict")


def test_a_model_whose_arrays_are_mapped_from_its_file_is_compiled(tmp_path):
    joblib.dump(LGBMClassifier(n_estimators=2, n_jobs=1, verbose=-1).fit(X, Y), tmp_path / "model")
    build(joblib.load(tmp_path / "model", mmap_mode="r"), "predict")


def test_a_forest_of_somebodys_trees_is_not_compiled():
    model = forest()
    model.estimators_[1].__class__ = Own
    assert "predict_proba" not in vars(Estimator(model, "predict").estimator)
    with pytest.raises(NotCompiled, match="Own, which is not a library's own"):
        build(model, "predict")


def test_a_method_that_was_put_into_the_class_is_not_compiled(monkeypatch):
    monkeypatch.setattr(RandomForestClassifier, "predict", changed)
    with pytest.raises(NotCompiled, match="'predict' is not the library's own"):
        build(forest(), "predict")


def test_a_step_that_only_bears_a_librarys_name_is_not_compiled():
    model = make_pipeline(Scaled(), DecisionTreeClassifier()).fit(X, Y)
    with pytest.raises(NotCompiled, match="StandardScaler, which is not a library's own"):
        build(model, "predict")


def test_a_form_of_other_words_is_told_apart_in_words_of_json(tmp_path):
    names = np.array(["a", "b", "c"])
    compiled = build(DecisionTreeClassifier().fit(X, names[(Y + 1) % 3]), "predict")
    run.write(compiled, str(tmp_path))
    loaded = Estimator(DecisionTreeClassifier().fit(X, names[Y]), "predict")
    proof = prove(loaded, Form(str(tmp_path)), compiled.points, effort=QUICK)
    assert (proof["identical"], "answers differ among" in proof["reason"]) == (False, True)
    json.dumps(proof, allow_nan=False)
