"""Loads a model that `lading.save` wrote with Keras 3, in any MLflow from 2 on."""

import os


class Network:
    """What MLflow asks for predictions."""

    def __init__(self, model):
        self.model = model

    def predict(self, data, params=None):
        if hasattr(data, "to_numpy"):
            data = data.to_numpy()
        return self.model.predict(data, verbose=0)


def _load_pyfunc(path):
    import keras

    return Network(keras.models.load_model(os.path.join(path, "model.keras"), compile=False))
