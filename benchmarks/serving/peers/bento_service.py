"""A service of BentoML's, adaptively batching as its documentation advises."""

import bentoml
import numpy as np

from model import load


@bentoml.service(workers=1, traffic={"timeout": 60, "max_concurrency": 128})
class Model:
    """The model."""

    def __init__(self) -> None:
        self.model = load()

    @bentoml.api(batchable=True, max_batch_size=64, max_latency_ms=1000)
    def predict(self, instances: np.ndarray) -> np.ndarray:
        """Predict."""
        return self.model(instances)
