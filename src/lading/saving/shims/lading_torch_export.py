"""Loads a program of `torch.export` that `lading.save` wrote, in any MLflow from 2 on."""

import os


class Program:
    """What MLflow asks for predictions."""

    def __init__(self, module):
        self.module = module

    def predict(self, data, params=None):
        import numpy as np
        import torch

        array = data.to_numpy(dtype=np.float32) if hasattr(data, "to_numpy") else np.asarray(data)
        with torch.no_grad():
            return self.module(torch.from_numpy(array)).numpy()


def _load_pyfunc(path):
    import torch

    return Program(torch.export.load(os.path.join(path, "model.pt2")).module())
