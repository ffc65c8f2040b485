"""A predictor of Cog's."""

import json

import numpy as np
from cog import BasePredictor

from model import load


class Predictor(BasePredictor):
    """Predict rows, which Cog takes as a text."""

    def setup(self) -> None:
        """Load."""
        self.model = load()

    def predict(self, instances: str) -> str:
        """Predict."""
        return json.dumps(self.model(np.array(json.loads(instances))).tolist())
