"""A model's file in, a function of a numpy matrix out: what each peer is given to serve."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any


def load(path: str | None = None) -> Callable[[Any], Any]:
    """Load `MODEL` (or `path`): a pickle by joblib, an ONNX graph by onnxruntime."""
    file = Path(path or os.environ["MODEL"])
    if file.suffix == ".onnx":
        import numpy as np
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        return lambda rows: session.run(None, {name: np.asarray(rows, np.float32)})[0]
    import joblib

    return joblib.load(file).predict
