"""Train four models into a folder: `lr`, `rf`, `xgb.joblib`, `mlp.onnx`, and MLflow's folders of them."""

import sys
from pathlib import Path

import joblib
import mlflow
import numpy as np
from mlflow.models import infer_signature
from skl2onnx import to_onnx
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from xgboost import XGBClassifier

FOLDER = Path(sys.argv[1])
iris, species = load_iris(return_X_y=True)
cancer, benign = load_breast_cancer(return_X_y=True)

models = {
    "lr": LogisticRegression(max_iter=1000).fit(iris, species),
    "rf": RandomForestClassifier(100, random_state=0).fit(iris, species),
    "xgb": XGBClassifier(n_estimators=100, n_jobs=1, random_state=0).fit(cancer, benign),
}
for name, model in models.items():
    joblib.dump(model, FOLDER / f"{name}.joblib")
    data = iris if name != "xgb" else cancer
    signature = infer_signature(data, model.predict(data))
    flavour = mlflow.xgboost if name == "xgb" else mlflow.sklearn
    more = {} if name == "xgb" else {"serialization_format": "cloudpickle"}
    flavour.save_model(model, FOLDER / f"mlflow-{name}", signature=signature, **more)

network = make_pipeline(StandardScaler(), MLPClassifier((32, 16), max_iter=500, random_state=0))
graph = to_onnx(network.fit(cancer, benign), cancer[:1].astype(np.float32), options={"zipmap": False})
(FOLDER / "mlp.onnx").write_bytes(graph.SerializeToString())
mlflow.onnx.save_model(
    graph, FOLDER / "mlflow-mlp", signature=infer_signature(cancer.astype(np.float32), benign)
)
