"""A model with a `loader_module` of its author's (MLflow's custom flavours) in; it, loaded, out."""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import importlib
import inspect
import os
from collections.abc import Mapping
from typing import Any

from lading_runtime.loaders.table import Table


def load(path: str, options: Mapping[str, Any]) -> Table:
    """Call `_load_pyfunc` of `module`, which lies in the bill's folder of code, with the path of `data`."""
    module = importlib.import_module(str(options["module"]))
    data = os.path.join(path, str(options["data"])) if options.get("data") else path  # noqa: PTH118 - see pickle.py
    config = options.get("config")
    model = module._load_pyfunc(data, config) if config else module._load_pyfunc(data)  # noqa: SLF001 - MLflow's name
    function = getattr(model, str(options.get("predict") or "predict"))
    known = inspect.signature(function).parameters
    takes_params = "params" in known
    given = _with(function) if takes_params else function
    numbered = bool(options.get("numbered"))
    return Table(given, takes_params=takes_params, by_columns=True, by_name=True, numbered=numbered)


def _with(function: Any) -> Any:
    """Hand parameters on in one dictionary, as MLflow does."""

    def predict(data: Any, **params: Any) -> Any:
        return function(data, params=params or None)

    return predict
