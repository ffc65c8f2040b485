"""Loads an estimator that `lading.save` wrote with skops, in any MLflow from 2 on."""

import os


class Estimator:
    """What MLflow asks for predictions."""

    def __init__(self, model, method):
        self.model, self.method = model, method

    def __getattr__(self, name):
        return getattr(self.model, name)

    def predict(self, data, params=None):
        return getattr(self.model, self.method)(data)


def _load_pyfunc(path):
    import skops.io
    import yaml

    with open(os.path.join(os.path.dirname(path), "MLmodel"), encoding="utf-8") as file:
        document = yaml.safe_load(file)
    settings = document["lading"]
    model = skops.io.load(path, trusted=list(settings["trusted_types"]))
    return Estimator(model, settings["method"])
