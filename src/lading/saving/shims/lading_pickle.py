"""Loads an estimator that `lading.save` pickled to be asked by another method, in any MLflow from 2 on."""

import pickle


def _load_pyfunc(path):
    # MLflow asks it by `predict_fn`
    with open(path, "rb") as file:
        return pickle.load(file)  # noqa: S301 - the author asked for it to be loaded
