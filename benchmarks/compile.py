"""What compiling gains: each kind of model, original and form, CPU microseconds with 1, 64 and 1,000 rows.

    python benchmarks/compile.py

Needs the development environment. Both answer the same encoded requests, in one process, without a server.
"""

from __future__ import annotations

import tempfile
import warnings

import lightgbm
import pandas as pd
import xgboost
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier
from threadpoolctl import threadpool_limits

from lading_runtime.compile import run
from lading_runtime.compile.build import build
from lading_runtime.compile.notes import NotCompiled
from lading_runtime.compile.prove import Effort, prove
from lading_runtime.compiled.form import Form
from lading_runtime.loaders.pickle import Estimator

IRIS, FLOWER = load_iris(return_X_y=True)
BODY, DIABETES = load_diabetes(return_X_y=True)
CELLS, SICK = load_breast_cancer(return_X_y=True)
TABLE = pd.DataFrame(
    {"size": IRIS[:, 0], "width": IRIS[:, 1], "kind": [f"k{int(one)}" for one in IRIS[:, 2]]}
)
COLUMNS = ColumnTransformer(
    [("n", StandardScaler(), ["size", "width"]), ("t", OneHotEncoder(handle_unknown="ignore"), ["kind"])]
)
QUIET = {"n_estimators": 100, "n_jobs": 1}
MODELS = (
    ("tree", DecisionTreeClassifier(random_state=0).fit(IRIS, FLOWER), "predict"),
    ("forest of 100, iris", RandomForestClassifier(100, random_state=0).fit(IRIS, FLOWER), "predict"),
    ("forest of 100, iris", RandomForestClassifier(100, random_state=0).fit(IRIS, FLOWER), "predict_proba"),
    ("forest of 30, 10 columns", RandomForestRegressor(30, random_state=0).fit(BODY, DIABETES), "predict"),
    ("gradient boosting", GradientBoostingClassifier().fit(CELLS, SICK), "predict_proba"),
    ("by histograms", HistGradientBoostingClassifier().fit(CELLS, SICK), "predict_proba"),
    ("XGBoost, 30 columns", xgboost.XGBClassifier(**QUIET).fit(CELLS, SICK), "predict_proba"),
    ("XGBoost, 3 classes", xgboost.XGBClassifier(**QUIET).fit(IRIS, FLOWER), "predict_proba"),
    ("LightGBM, 30 columns", lightgbm.LGBMClassifier(verbose=-1, **QUIET).fit(CELLS, SICK), "predict_proba"),
    ("logistic regression, iris", LogisticRegression(max_iter=500).fit(IRIS, FLOWER), "predict"),
    ("logistic regression, iris", LogisticRegression(max_iter=500).fit(IRIS, FLOWER), "predict_proba"),
    ("scaled, 30 columns", make_pipeline(StandardScaler(), LogisticRegression()).fit(CELLS, SICK), "predict"),
    ("linear regression", LinearRegression().fit(BODY, DIABETES), "predict"),
    ("names, text, forest", make_pipeline(COLUMNS, RandomForestClassifier(20)).fit(TABLE, FLOWER), "predict"),
)


def main() -> None:
    """Print a row for each model."""
    print("| model | method | kept | 1 row | 64 rows | 1,000 rows | probes |\n|---|---|---|---|---|---|---|")
    for name, model, method in MODELS:
        print(f"| {name} | {method} | {' | '.join(_measured(model, method))} |", flush=True)


def _measured(model: object, method: str) -> list[str]:
    loaded = Estimator(model, method)
    try:
        compiled = build(model, method)
    except NotCompiled as reason:
        return [f"no: {reason}", "", "", "", ""]
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(1):
        run.write(compiled, folder)
        proof = prove(loaded, Form(folder), compiled.points, effort=Effort(edge_rows=20_000))
    times = [
        f"{proof[f'original_us{rows}']:,.0f} → {proof[f'compiled_us{rows}']:,.1f}"
        if f"compiled_us{rows}" in proof
        else ""
        for rows in ("", "_64_rows", "_1000_rows")
    ]
    kept = "yes" if proof["kept"] else f"no: {proof['reason'][:60]}"
    return [kept, *times, f"{proof['probes']:,}"]


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
