"""XGBoost's and LightGBM's models, which answer without these libraries."""

import json

import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn.datasets import load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lading_runtime.compile import run
from lading_runtime.compile.build import build
from lading_runtime.compile.prove import Effort, prove
from lading_runtime.compiled.form import Form
from lading_runtime.loaders.xgboost import load as load_xgboost

QUICK = Effort(random_rows=512, edge_rows=1_000, odd_cells=0, measured_s=0.0)

X, Y = load_iris(return_X_y=True)
HOLES = X.copy()
HOLES[::7, 2] = np.nan
FRAME = pd.DataFrame(X, columns=list("abcd"))
TEXT = np.array(["n", "y"])[(Y == 1) * 1]


def xgb(kind=xgboost.XGBClassifier, **options):
    return kind(n_estimators=5, n_jobs=1, **options)


def lgb(kind=lightgbm.LGBMClassifier, **options):
    return kind(n_estimators=5, n_jobs=1, verbose=-1, **options)


@pytest.mark.parametrize(
    ("model", "method"),
    [
        (xgb().fit(HOLES, Y), "predict"),
        (xgb().fit(FRAME, Y), "predict_proba"),
        (xgb().fit(X, Y == 1), "predict_proba"),
        (xgb().fit(X, Y == 1), "predict"),
        (xgb(xgboost.XGBRFClassifier).fit(X, Y), "predict_proba"),
        (xgb(xgboost.XGBRegressor, base_score=0.3).fit(HOLES, X[:, 0]), "predict"),
        (xgb(early_stopping_rounds=1).fit(X, Y, eval_set=[(X[::-1], Y)], verbose=False), "predict"),
        (lgb().fit(HOLES, Y), "predict"),
        (lgb().fit(FRAME, Y), "predict_proba"),
        (lgb().fit(X, TEXT), "predict"),
        (lgb().fit(HOLES, Y == 1), "predict_proba"),
        (lgb(lightgbm.LGBMRegressor).fit(X, X[:, 0]), "predict"),
    ],
    ids=lambda one: type(one).__name__ if hasattr(one, "fit") else one,
)
def test_a_boosted_model_is_compiled_bit_for_bit(proved, model, method):
    proof, _ = proved(model, method)
    assert proof["proved"], proof


def test_what_lightgbm_takes_for_zero_is_above_a_threshold_there(proved):
    cells = np.where(np.random.default_rng(0).random((300, 2)) < 0.4, 0.0, X[:, :2].repeat(2, 0) - 4.0)
    model = lgb(lightgbm.LGBMRegressor, min_child_samples=2).fit(
        cells, (cells < 0).sum(1) - (cells > 0).sum(1) * 2.0
    )
    assert '"threshold": -1.0000000180025095e-35' in json.dumps(model.booster_.dump_model())
    proof, _ = proved(model)
    assert proof["proved"], proof
    proof, _ = proved(model, way="treelite", tolerance=1e-6)
    assert proof["proved"], proof


def test_a_model_in_xgboosts_own_format_is_compiled_as_its_estimator(tmp_path):
    xgb().fit(FRAME, Y).save_model(tmp_path / "model.ubj")
    loaded = load_xgboost(str(tmp_path), {"file": "model.ubj", "class": "xgboost.sklearn.XGBClassifier"})
    compiled = build(loaded.estimator, "predict")
    run.write(compiled, str(tmp_path))
    proof = prove(loaded, Form(str(tmp_path)), compiled.points, effort=QUICK)
    assert proof["proved"], proof


def test_a_boosted_model_may_end_a_pipeline(proved):
    proof, _ = proved(make_pipeline(StandardScaler(), xgb()).fit(X, Y), "predict_proba")
    assert proof["proved"], proof
