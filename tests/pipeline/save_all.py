"""Save a model of each library with `lading.save`; run where all of them are."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer

import lading

FOLDER = Path(sys.argv[1])
frame, target = load_breast_cancer(return_X_y=True, as_frame=True)
frame = frame.iloc[:, :5].rename(columns=lambda name: name.replace(" ", "_"))
array = frame.to_numpy(dtype=np.float32)


def sklearn():
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(5, random_state=0).fit(frame, target), frame


def xgboost():
    import xgboost as library

    return library.XGBClassifier(n_estimators=3).fit(frame, target), frame


def xgboost_booster():
    import xgboost as library

    return library.train({}, library.DMatrix(frame, target), 3), frame


def lightgbm():
    import lightgbm as library

    return library.LGBMClassifier(n_estimators=3, verbose=-1).fit(frame, target), frame


def lightgbm_booster():
    import lightgbm as library

    return library.train({"verbose": -1}, library.Dataset(frame, target), 3), frame


def catboost():
    import catboost as library

    model = library.CatBoostRegressor(iterations=3, verbose=0, allow_writing_files=False)
    return model.fit(frame, target), frame


def onnx():
    from skl2onnx import to_onnx
    from sklearn.linear_model import LinearRegression

    return to_onnx(LinearRegression().fit(array, target), array[:1]), array


def torch():
    import torch as library

    library.manual_seed(0)
    parts = (library.nn.Linear(5, 3), library.nn.ReLU(), library.nn.Linear(3, 1))
    return library.nn.Sequential(*parts), array


def keras():
    import keras as library

    library.utils.set_random_seed(0)
    return library.Sequential([library.layers.Input((5,)), library.layers.Dense(2)]), array


def statsmodels():
    import statsmodels.api as library

    return library.OLS(target, frame).fit(), frame


def prophet():
    from prophet import Prophet

    days = pd.DataFrame({"ds": pd.date_range("2024-01-01", periods=40), "y": target.to_numpy()[:40] + 0.5})
    model = Prophet(uncertainty_samples=0, weekly_seasonality=False, yearly_seasonality=False)
    return model.fit(days), days[["ds"]]


def spacy():
    import spacy as library
    from spacy.training import Example

    pipeline = library.blank("en")
    pipeline.add_pipe("textcat")
    told = (("good and fine", {"yes": 1.0, "no": 0.0}), ("bad and worse", {"yes": 0.0, "no": 1.0}))
    examples = [Example.from_dict(pipeline.make_doc(text), {"cats": cats}) for text, cats in told]
    pipeline.initialize(lambda: examples)
    pipeline.update(examples)
    return pipeline, pd.DataFrame({"text": ["a good day", "a bad one"]})


def function():
    return lambda rows: [float(row.sum()) for row in np.asarray(rows)], array


for make in (
    *(sklearn, xgboost, xgboost_booster, lightgbm, lightgbm_booster, catboost, onnx, torch, keras),
    *(statsmodels, prophet, spacy, function),
):
    try:
        model, inputs = make()
        print(make.__name__, lading.save(model, FOLDER / make.__name__, inputs), flush=True)
    except Exception as error:
        print(f"{make.__name__} FAILED: {type(error).__name__}: {error}", flush=True)
