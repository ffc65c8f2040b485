import json
import os

import joblib


def init():
    global model
    path = os.path.join(os.environ["AZUREML_MODEL_DIR"], "model", "sklearn_regression_model.pkl")
    model = joblib.load(path)


def run(raw_data):
    return model.predict(json.loads(raw_data)["data"]).tolist()
