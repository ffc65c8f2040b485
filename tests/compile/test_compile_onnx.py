"""Models that ONNX Runtime answers: held to the original within a tolerance, as the author states it."""

import lightgbm
import numpy as np
import onnx
import pandas as pd
import pytest
import xgboost
from sklearn.cluster import Birch
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from lading_runtime.compile.build import build
from lading_runtime.compile.notes import NotCompiled
from lading_runtime.compile.prove import Effort

X, Y = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])[Y]
LENGTH = X[:, 0]
WIDE, IS_BENIGN = load_breast_cancer(return_X_y=True)
HOLES = X.copy()
HOLES[::7, 2] = np.nan
FEW = {"n_estimators": 4, "n_jobs": 1}
QUIET = {**FEW, "verbose": -1}
MIXED = pd.DataFrame(
    {"length": X[:, 0], "width": HOLES[:, 2], "kind": np.where(X[:, 1] > 3, "broad", "narrow")}
)
EFFORT = Effort(random_rows=512, edge_rows=1_000, measured_s=0.005, slack=float("inf"), alone=float("inf"))


def prepared():
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    words = OneHotEncoder(handle_unknown="ignore")
    return ColumnTransformer([("n", numbers, ["length", "width"]), ("w", words, ["kind"])])


@pytest.mark.parametrize(
    ("model", "method"),
    [
        (RandomForestClassifier(max_depth=3, **FEW).fit(X, NAMES), "predict"),
        (RandomForestClassifier(max_depth=3, **FEW).fit(WIDE, IS_BENIGN), "predict"),
        (RandomForestClassifier(**FEW).fit(HOLES, Y), "predict_proba"),
        (RandomForestRegressor(**FEW).fit(X, LENGTH), "predict"),
        (DecisionTreeClassifier().fit(X, Y), "predict"),
        (GradientBoostingClassifier(n_estimators=4).fit(X, Y), "predict_proba"),
        (HistGradientBoostingRegressor(max_iter=4).fit(HOLES, LENGTH), "predict"),
        (LinearRegression().fit(WIDE, IS_BENIGN), "predict"),
        (LogisticRegression(max_iter=10_000).fit(X, NAMES), "predict_proba"),
        (make_pipeline(StandardScaler(), LogisticRegression()).fit(WIDE, IS_BENIGN), "predict"),
        (make_pipeline(prepared(), GradientBoostingClassifier(n_estimators=4)).fit(MIXED, NAMES), "predict"),
        (xgboost.XGBClassifier(**FEW).fit(HOLES, Y), "predict_proba"),
        (xgboost.XGBRegressor(**FEW).fit(X, LENGTH), "predict"),
        (xgboost.XGBRegressor(objective="count:poisson", **FEW).fit(X, LENGTH), "predict"),
        (HistGradientBoostingRegressor(max_iter=4, loss="poisson").fit(X, LENGTH), "predict"),
        (lightgbm.LGBMRegressor(objective="gamma", **QUIET).fit(X, LENGTH), "predict"),
        (lightgbm.LGBMClassifier(**QUIET).fit(HOLES, Y == 1), "predict_proba"),
        (make_pipeline(prepared(), lightgbm.LGBMClassifier(**QUIET)).fit(MIXED, NAMES), "predict"),
        # what skl2onnx alone knows
        (SVC().fit(X, NAMES), "predict"),
        (make_pipeline(StandardScaler(), PCA(2), LogisticRegression()).fit(X, Y), "predict_proba"),
    ],
    ids=lambda one: type(one).__name__ if hasattr(one, "fit") else one,
)
def test_what_onnx_answers_is_within_the_tolerance(proved, tmp_path, model, method):
    proof, _ = proved(model, method, EFFORT, way="onnx", tolerance=1e-6)
    assert proof["kept"], proof
    onnx.checker.check_model(onnx.load(str(tmp_path / "model.onnx")))


def test_a_tolerance_that_is_too_narrow_is_told(proved):
    model = xgboost.XGBRegressor(n_estimators=40, n_jobs=1).fit(X, LENGTH)
    proof, _ = proved(model, effort=EFFORT, way="onnx", tolerance=1e-12)
    assert not proof["kept"]
    assert "answers differ by" in proof["reason"]


def test_what_no_converter_knows_is_told_by_its_name():
    with pytest.raises(NotCompiled, match=r"skl2onnx does not convert sklearn\.Birch"):
        build(Birch(n_clusters=3).fit(X), "predict", "onnx")


def test_the_same_model_gives_the_same_graph():
    model = make_pipeline(StandardScaler(), SVC()).fit(X, Y)
    assert build(model, "predict", "onnx").model == build(model, "predict", "onnx").model
