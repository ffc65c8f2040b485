"""Train the two models of this walk: a regression in a pickle, and a classifier that MLflow saves."""

import json
import sys
from pathlib import Path

import joblib
import mlflow.sklearn
from mlflow.models import infer_signature
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import Ridge

folder = Path(sys.argv[1])

data = load_diabetes(scaled=False)
regression = Ridge().fit(data.data, data.target)
(folder / "sklearn" / "model").mkdir(parents=True, exist_ok=True)
joblib.dump(regression, folder / "sklearn" / "model" / "sklearn_regression_model.pkl")
rows = data.data[:2].tolist()
(folder / "sklearn" / "sample-request.json").write_text(json.dumps({"data": rows}))
(folder / "sklearn" / "expected.json").write_text(json.dumps(regression.predict(data.data[:2]).tolist()))

iris = load_iris(as_frame=True)
forest = RandomForestClassifier(n_estimators=10, random_state=0).fit(iris.data, iris.target)
mlflow.sklearn.save_model(
    forest,
    folder / "mlflow" / "model",
    signature=infer_signature(iris.data, forest.predict(iris.data)),
    input_example=iris.data[:2],
)
split = iris.data[:2].to_dict(orient="split")
(folder / "mlflow" / "sample-request.json").write_text(json.dumps({"input_data": split}))
(folder / "mlflow" / "expected.json").write_text(json.dumps(forest.predict(iris.data[:2]).tolist()))
