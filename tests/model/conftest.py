"""Real estimators, trained once: small, but of every kind that is pickled in its own way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn import (
    calibration,
    cluster,
    compose,
    decomposition,
    ensemble,
    feature_extraction,
    impute,
    linear_model,
    model_selection,
    multioutput,
    neighbors,
    neural_network,
    pipeline,
    preprocessing,
    svm,
)
from sklearn.datasets import load_iris


@pytest.fixture(scope="session")
def iris():
    return load_iris(return_X_y=True, as_frame=True)


@pytest.fixture(scope="session")
def estimators(iris):
    rows, labels = iris
    rows, labels = rows[::3], labels[::3]
    names = labels.map({0: "setosa", 1: "versicolor", 2: "virginica"})
    mixed = rows.assign(
        colour=np.where(rows.iloc[:, 0] > 5.5, "red", "blue"), weight=rows.iloc[:, 1].astype(float)
    )
    columns = compose.ColumnTransformer(
        [
            (
                "numbers",
                pipeline.make_pipeline(impute.SimpleImputer(), preprocessing.StandardScaler()),
                list(rows.columns),
            ),
            ("colours", preprocessing.OneHotEncoder(handle_unknown="ignore"), ["colour"]),
        ]
    )
    logistic = linear_model.LogisticRegression(max_iter=500)
    texts = ["good film", "bad day", "good good", "bad film"]
    return {
        "forest": ensemble.RandomForestClassifier(5, random_state=0).fit(rows, labels),
        "logistic": linear_model.LogisticRegression(max_iter=500).fit(rows, names),
        "columns": pipeline.make_pipeline(columns, logistic).fit(mixed, labels),
        "boosting": ensemble.GradientBoostingClassifier(n_estimators=3).fit(rows, labels),
        "boosted_regression": ensemble.GradientBoostingRegressor(n_estimators=3).fit(rows, labels),
        "histograms": ensemble.HistGradientBoostingClassifier(max_iter=3).fit(rows, labels),
        "svc": svm.SVC().fit(rows.to_numpy(), labels),
        "neighbours": neighbors.KNeighborsClassifier().fit(rows, labels),
        "pca": pipeline.make_pipeline(decomposition.PCA(2), linear_model.Ridge()).fit(
            rows.to_numpy(), labels
        ),
        "kmeans": cluster.KMeans(3, n_init=1).fit(rows),
        "search": model_selection.GridSearchCV(svm.SVC(), {"C": [1, 2]}, scoring="accuracy").fit(
            rows, labels
        ),
        "voting": ensemble.VotingClassifier([("a", linear_model.LogisticRegression(max_iter=500))]).fit(
            rows, labels
        ),
        "calibrated": calibration.CalibratedClassifierCV(svm.LinearSVC()).fit(rows, labels),
        "perceptron": neural_network.MLPClassifier((4,), solver="lbfgs", max_iter=900, random_state=0).fit(
            rows, labels
        ),
        "text": pipeline.make_pipeline(feature_extraction.text.TfidfVectorizer(), svm.LinearSVC()).fit(
            texts, [1, 0, 1, 0]
        ),
        "logarithm": pipeline.make_pipeline(
            preprocessing.FunctionTransformer(np.log1p), linear_model.Ridge()
        ).fit(rows, labels),
        "outliers": ensemble.IsolationForest(n_estimators=3).fit(rows),
        "random_state": linear_model.SGDClassifier(random_state=np.random.RandomState(3)).fit(rows, labels),
        "two_targets": linear_model.LinearRegression().fit(rows, np.c_[labels, labels]),
        "chained": multioutput.MultiOutputRegressor(linear_model.Ridge()).fit(
            rows, np.c_[labels, labels, labels]
        ),
        "stacking": ensemble.StackingRegressor([("a", linear_model.Ridge())]).fit(rows, labels),
        "by_index": pipeline.make_pipeline(
            compose.ColumnTransformer(
                [("n", preprocessing.StandardScaler(), pd.Index(["weight"], dtype=object))]
            ),
            linear_model.Ridge(),
        ).fit(mixed, labels),
    }


@pytest.fixture
def write(tmp_path):
    """Write bytes or a text to a file below the test's folder."""

    def write(name: str, content: bytes | str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write
