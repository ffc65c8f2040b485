"""Save a model of each flavour with MLflow itself into a folder; run in an environment that has it."""

import json
import sys
import warnings
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

warnings.simplefilter("ignore")
FOLDER = Path(sys.argv[1])
frame, target = load_breast_cancer(return_X_y=True, as_frame=True)
frame = frame.iloc[:, :5].rename(columns=lambda name: name.replace(" ", "_"))
array = frame.to_numpy(dtype=np.float32)
COLUMNS = infer_signature(frame, target.to_numpy())
# MLflow would load each model again, in a process of its own, to see what it imports
QUICK = {"pip_requirements": ["numpy"]}
TENSOR = infer_signature(array, array[:, 0])


def xgboost(path, signature):
    import xgboost

    model = xgboost.XGBClassifier(n_estimators=5, n_jobs=1).fit(frame, target)
    mlflow.xgboost.save_model(model, path, signature=signature, **QUICK)


def xgboost_booster(path, signature):
    import xgboost

    booster = xgboost.train({"objective": "reg:squarederror"}, xgboost.DMatrix(frame, target), 5)
    mlflow.xgboost.save_model(booster, path, signature=signature, **QUICK)


def lightgbm(path, signature):
    import lightgbm

    booster = lightgbm.train({"verbose": -1, "num_threads": 1}, lightgbm.Dataset(frame, target), 5)
    mlflow.lightgbm.save_model(booster, path, signature=signature, **QUICK)


def lightgbm_sklearn(path, signature):
    import lightgbm

    model = lightgbm.LGBMClassifier(n_estimators=5, n_jobs=1, verbose=-1).fit(frame, target)
    mlflow.lightgbm.save_model(model, path, signature=signature, **QUICK)


def catboost(path, signature):
    import catboost

    model = catboost.CatBoostClassifier(iterations=5, verbose=0, thread_count=1, allow_writing_files=False)
    mlflow.catboost.save_model(model.fit(frame, target), path, signature=signature, **QUICK)


def onnx(path, signature):
    from skl2onnx import to_onnx
    from sklearn.linear_model import LinearRegression

    mlflow.onnx.save_model(
        to_onnx(LinearRegression().fit(array, target), array[:1]), path, signature=signature
    )


def onnx_classifier(path, signature):
    from skl2onnx import to_onnx

    model = LogisticRegression(max_iter=5000).fit(array, target)
    mlflow.onnx.save_model(
        to_onnx(model, array[:1], options={"zipmap": False}), path, signature=signature, **QUICK
    )


def statsmodels(path, signature):
    import statsmodels.api as sm

    mlflow.statsmodels.save_model(sm.OLS(target, frame).fit(), path, signature=signature, **QUICK)


def pytorch(path, signature):
    import torch

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(5, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
    mlflow.pytorch.save_model(model, path, signature=signature, serialization_format="pickle", **QUICK)


def keras(path, signature):
    import keras

    keras.utils.set_random_seed(0)
    layers = [keras.layers.Input((5,)), keras.layers.Dense(3, activation="relu"), keras.layers.Dense(2)]
    mlflow.keras.save_model(keras.Sequential(layers), path, signature=signature, **QUICK)


def prophet(path, _):
    from prophet import Prophet

    days = pd.DataFrame({"ds": pd.date_range("2024-01-01", periods=40), "y": target.to_numpy()[:40] + 0.5})
    model = Prophet(uncertainty_samples=0, weekly_seasonality=False, yearly_seasonality=False).fit(days)
    signature = infer_signature(days[["ds"]], model.predict(days[["ds"]]))
    mlflow.prophet.save_model(model, path, signature=signature, **QUICK)


def spacy(path, _):
    import spacy
    from spacy.training import Example

    pipeline = spacy.blank("en")
    pipeline.add_pipe("textcat")
    told = (("good and fine", {"yes": 1.0, "no": 0.0}), ("bad and worse", {"yes": 0.0, "no": 1.0}))
    examples = [Example.from_dict(pipeline.make_doc(text), {"cats": cats}) for text, cats in told]
    pipeline.initialize(lambda: examples)
    pipeline.update(examples)
    signature = infer_signature(pd.DataFrame({"text": ["good"]}))
    mlflow.spacy.save_model(pipeline, path, signature=signature, **QUICK)


def sklearn_skops(path, signature):
    model = LogisticRegression(max_iter=5000).fit(frame, target)
    mlflow.sklearn.save_model(model, path, signature=signature, serialization_format="skops", **QUICK)


def sklearn_cloudpickle(path, signature):
    model = RandomForestClassifier(5, random_state=0).fit(frame, target)
    mlflow.sklearn.save_model(model, path, signature=signature, serialization_format="cloudpickle", **QUICK)


def sklearn_pickle(path, signature):
    model = RandomForestClassifier(5, random_state=0).fit(array, target)
    mlflow.sklearn.save_model(
        model,
        path,
        signature=signature,
        serialization_format="pickle",
        pyfunc_predict_fn="predict_proba",
        **QUICK,
    )


class Mine(mlflow.pyfunc.PythonModel):
    """A model with an artifact and a configuration."""

    def load_context(self, context):
        self.scale = float(Path(context.artifacts["scale"]).read_text())
        self.shift = context.model_config["shift"]

    def predict(self, context, model_input, params=None):  # noqa: ARG002 - MLflow tells by the name
        more = (params or {}).get("more", 0)
        return np.asarray(model_input).sum(axis=1) * self.scale + self.shift + more


CODE = """\
import mlflow
from mlflow.pyfunc import PythonModel

class Coded(PythonModel):
    def predict(self, context, model_input, params=None):
        return [float(row[0]) for row in model_input.to_numpy()]

mlflow.models.set_model(Coded())
"""
LOADER = """\
class Loaded:
    def __init__(self, path):
        with open(path + "/weight.txt") as stream:
            self.weight = float(stream.read())

    def predict(self, data):
        return data * self.weight

def _load_pyfunc(path):
    return Loaded(path)
"""


def python_model(path, signature):
    (FOLDER / "scale.txt").write_text("2")
    more = infer_signature(frame, target.to_numpy(), {"more": 1})
    mlflow.pyfunc.save_model(
        path,
        python_model=Mine(),
        artifacts={"scale": str(FOLDER / "scale.txt")},
        model_config={"shift": 0.5},
        signature=more if signature is COLUMNS else signature,
        **QUICK,
    )


def from_code(path, signature):
    (FOLDER / "coded.py").write_text(CODE)
    mlflow.pyfunc.save_model(path, python_model=str(FOLDER / "coded.py"), signature=signature, **QUICK)


def loader_module(path, signature):
    (FOLDER / "own").mkdir(exist_ok=True)
    (FOLDER / "own" / "own_loader.py").write_text(LOADER)
    (FOLDER / "weights").mkdir(exist_ok=True)
    (FOLDER / "weights" / "weight.txt").write_text("3")
    mlflow.pyfunc.save_model(
        path,
        loader_module="own_loader",
        data_path=str(FOLDER / "weights"),
        code_paths=[str(FOLDER / "own" / "own_loader.py")],
        signature=signature,
        **QUICK,
    )


BOTH = (xgboost, lightgbm, catboost, onnx, pytorch)
FRAMES = (
    xgboost_booster,
    lightgbm_sklearn,
    statsmodels,
    prophet,
    spacy,
    python_model,
    from_code,
    loader_module,
)
FRAMES += (sklearn_skops, sklearn_cloudpickle)
for save in (*BOTH, *FRAMES):
    save(str(FOLDER / f"{save.__name__}-columns"), COLUMNS)
for save in (*BOTH, onnx_classifier, keras, sklearn_pickle):
    save(str(FOLDER / f"{save.__name__}-tensor"), TENSOR)
(FOLDER / "rows.json").write_text(
    json.dumps({"columns": list(frame), "data": array[:7].round(4).astype(float).tolist()})
)
assert isinstance(frame, pd.DataFrame)
