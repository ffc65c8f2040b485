"""A module of PyTorch, pickled or exported, in; something to predict with out."""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from typing import Any

from lading_runtime.loaders.table import Table


def load(path: str, options: Mapping[str, Any]) -> Table:
    """Load `file`: `….pt2` by `torch.export`, else what was pickled by `pickle_module`.

    On the device that `device` names, else the first GPU that this worker sees, else the CPU.
    """
    import torch  # type: ignore[import-not-found,import-untyped,unused-ignore]

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or 1))
    device = str(options.get("device") or ("cuda" if torch.cuda.is_available() else "cpu"))
    file = os.path.join(path, str(options["file"]))  # noqa: PTH118 - see pickle.py
    if file.endswith(".pt2"):
        model = torch.export.load(file).module()
    else:
        pickler = importlib.import_module(str(options.get("pickle_module") or "pickle"))
        # packing has looked at it, and this is the place to run it
        model = torch.load(file, weights_only=False, pickle_module=pickler, map_location=device)
        model.eval()
    model.to(device)

    def predict(data: Any, **params: Any) -> Any:
        import numpy as np

        array = np.array(data.to_numpy(dtype=np.float32) if hasattr(data, "to_numpy") else data)
        with torch.no_grad():
            found = model(torch.from_numpy(array).to(device), **params)
        if not isinstance(found, torch.Tensor):
            message = f"the model returned {type(found).__name__}, expected one tensor"
            raise TypeError(message)
        found = found.cpu().numpy()
        if not hasattr(data, "columns"):
            return found
        import pandas as pd

        return pd.DataFrame(found, index=data.index)

    return Table(predict, takes_params=True, by_columns=True)
