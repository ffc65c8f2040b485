"""Boosted trees, and pipelines that prepare their cells, without scikit-learn."""

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestRegressor,
)
from sklearn.feature_selection import SelectKBest, VarianceThreshold
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
)
from sklearn.tree import DecisionTreeClassifier

X, Y = load_iris(return_X_y=True)
HOLES = X.copy()
HOLES[::7, 2] = np.nan


@pytest.mark.parametrize(
    ("model", "method"),
    [
        (GradientBoostingClassifier(n_estimators=5).fit(X, Y), "predict"),
        (GradientBoostingClassifier(n_estimators=5).fit(X, Y == 1), "predict"),
        (GradientBoostingClassifier(n_estimators=5).fit(X, Y == 1), "predict_proba"),
        (GradientBoostingClassifier(n_estimators=5).fit(X, Y), "decision_function"),
        (GradientBoostingClassifier(n_estimators=5, loss="exponential").fit(X, Y == 1), "predict_proba"),
        (GradientBoostingRegressor(n_estimators=20, init="zero").fit(X, X[:, 0]), "predict"),
        (HistGradientBoostingClassifier(max_iter=3).fit(HOLES, Y), "predict"),
        (HistGradientBoostingClassifier(max_iter=3).fit(HOLES, Y == 1), "predict_proba"),
        (HistGradientBoostingRegressor(max_iter=5).fit(X, X[:, 0]), "predict"),
    ],
    ids=lambda one: type(one).__name__ if hasattr(one, "fit") else one,
)
def test_boosted_trees_are_compiled_bit_for_bit(proved, model, method):
    proof, _ = proved(model, method)
    assert proof["proved"], proof


@pytest.mark.parametrize(
    "step",
    [
        StandardScaler(),
        StandardScaler(with_mean=False),
        MinMaxScaler(),
        MinMaxScaler(clip=True),
        MaxAbsScaler(),
        RobustScaler(),
        SimpleImputer(),
        SimpleImputer(strategy="most_frequent", add_indicator=True),
        PolynomialFeatures(3),
        PolynomialFeatures(2, include_bias=False, interaction_only=True),
        VarianceThreshold(0.3),
        SelectKBest(k=2),
        "passthrough",
    ],
    ids=str,
)
def test_a_pipeline_is_compiled_bit_for_bit(proved, step):
    cells = HOLES if isinstance(step, SimpleImputer) else X
    model = make_pipeline(step, DecisionTreeClassifier(random_state=0)).fit(cells, Y)
    proof, _ = proved(model, "predict_proba")
    assert proof["proved"], proof


def test_steps_may_follow_steps(proved):
    steps = [SimpleImputer(), make_pipeline(StandardScaler(), MinMaxScaler((-1, 1)))]
    model = make_pipeline(*steps, RandomForestRegressor(3, random_state=0)).fit(HOLES, X[:, 1])
    proof, _ = proved(model)
    assert proof["proved"], proof
