"""Loads an object that `lading.save` wrote with cloudpickle: a function, or one with `predict`."""


class Object:
    """What is asked for predictions."""

    def __init__(self, model):
        self.model = getattr(model, "predict", model)

    def predict(self, data):
        return self.model(data)


def _load_pyfunc(path):
    import cloudpickle

    with open(path, "rb") as file:
        return Object(cloudpickle.load(file))
