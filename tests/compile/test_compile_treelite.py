"""Ensembles as treelite tells them: held to the original within a tolerance, as the author states it."""

import lightgbm
import numpy as np
import pytest
import xgboost
from sklearn.datasets import load_iris
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
)
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lading_runtime.compile.build import build
from lading_runtime.compile.notes import NotCompiled
from lading_runtime.compile.prove import Effort

X, Y = load_iris(return_X_y=True)
LENGTH = X[:, 0]
HOLES = X.copy()
HOLES[::7, 2] = np.nan
# where a hole is all that tells, a threshold is infinite
LONE = np.where(np.isnan(HOLES), np.nan, 1.0)
CODES = np.random.default_rng(0).integers(0, 12, (300, 3)) * 1.0
FEW = {"n_estimators": 4, "n_jobs": 1}
QUIET = {**FEW, "verbose": -1}
EFFORT = Effort(random_rows=512, edge_rows=1_000, odd_cells=0, measured_s=0.0, slack=float("inf"))


@pytest.mark.parametrize(
    ("model", "method"),
    [
        (RandomForestClassifier(**FEW).fit(LONE, np.isnan(LONE[:, 2])), "predict"),
        (
            make_pipeline(StandardScaler(), GradientBoostingClassifier(n_estimators=4)).fit(X, Y),
            "predict_proba",
        ),
        (GradientBoostingClassifier(n_estimators=4, loss="exponential").fit(X, Y == 1), "predict_proba"),
        (HistGradientBoostingRegressor(max_iter=4, loss="poisson").fit(HOLES, LENGTH), "predict"),
        (IsolationForest(max_features=0.5, **FEW).fit(X), "predict"),
        (IsolationForest(**FEW).fit(X), "decision_function"),
        (xgboost.XGBClassifier(**FEW).fit(HOLES, Y), "predict"),
        (xgboost.XGBClassifier(**FEW).fit(X, Y == 1), "predict_proba"),
        (xgboost.XGBRegressor(booster="dart", rate_drop=0.3, **FEW).fit(X, LENGTH), "predict"),
        (xgboost.XGBRegressor(objective="count:poisson", **FEW).fit(X, LENGTH), "predict"),
        (lightgbm.LGBMClassifier(objective="multiclassova", **QUIET).fit(HOLES, Y), "predict_proba"),
        (
            lightgbm.LGBMRegressor(boosting_type="rf", bagging_freq=1, bagging_fraction=0.5, **QUIET).fit(
                X, LENGTH
            ),
            "predict",
        ),
        (
            lightgbm.LGBMRegressor(min_data_per_group=1, cat_smooth=0, **QUIET).fit(
                CODES, CODES[:, 0] % 3, categorical_feature=[0, 1]
            ),
            "predict",
        ),
    ],
    ids=lambda one: type(one).__name__ if hasattr(one, "fit") else one,
)
def test_what_treelite_reads_answers_within_the_tolerance(proved, model, method):
    proof, _ = proved(model, method, EFFORT, way="treelite", tolerance=1e-6)
    assert proof["kept"], proof


def test_a_tolerance_that_is_too_narrow_is_told(proved):
    model = xgboost.XGBRegressor(booster="dart", rate_drop=0.3, **FEW).fit(X, LENGTH)
    proof, _ = proved(model, effort=EFFORT, way="treelite", tolerance=1e-12)
    assert not proof["kept"]
    assert "answers differ by" in proof["reason"]


def test_a_form_that_was_sealed_is_kept_whatever_is_seen_here_and_counts_as_many_probes(proved):
    model = xgboost.XGBRegressor(booster="dart", rate_drop=0.3, **FEW).fit(X, LENGTH)
    before, _ = proved(model, effort=EFFORT, way="treelite", tolerance=1e-6)
    again, _ = proved(model, effort=EFFORT, way="treelite", tolerance=1e-12, settled=True)
    assert (again["kept"], again["proved"]) == (True, False)
    assert "answers differ by" in again["reason"]
    assert again["probes"] == before["probes"]


def test_what_is_no_ensemble_of_trees_is_not_for_treelite():
    with pytest.raises(NotCompiled, match=r"no compiler for sklearn\.LinearRegression"):
        build(LinearRegression().fit(X, LENGTH), "predict", "treelite")
