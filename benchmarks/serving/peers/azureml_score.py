"""A scoring script of Azure ML's."""

import json

import numpy as np

from model import load


def init():  # noqa: ANN201
    """Load."""
    global predict  # noqa: PLW0603
    predict = load()


def run(raw_data):  # noqa: ANN001, ANN201
    """Predict."""
    return predict(np.array(json.loads(raw_data)["instances"])).tolist()
