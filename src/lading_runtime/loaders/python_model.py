"""A `PythonModel` of MLflow's, pickled or as code, in; something to predict with, without MLflow, out.

Where the model's environment has MLflow, it is used; else a stand-in of a few names is: packing has made sure
that they are all that the model asks for (lading.model.mlflow_lean).
"""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import bz2
import gzip
import importlib.util
import inspect
import json
import lzma
import os
import sys
import typing
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from lading_runtime.loaders.table import Table

_OPEN: Mapping[Any, Callable[..., Any]] = {
    None: open,
    "lzma": lzma.open,
    "bzip2": bz2.open,
    "gzip": gzip.open,
}


class PythonModel:
    """The base of a user's model."""

    def load_context(self, context: Any) -> None:
        """Load artifacts, where the user's class does."""


class PythonModelContext:
    """What a model is told: paths of its `artifacts`, and its `model_config`."""

    def __init__(self, artifacts: Mapping[str, str], model_config: Any) -> None:
        """Keep both."""
        self.artifacts = artifacts
        self.model_config = model_config


class TypeHints:
    """What a pickled model keeps of its own hints: `input` and `output`."""

    input: Any = None


class ModelConfig:
    """`mlflow.models.ModelConfig`: the configuration that the model was saved with."""

    saved: Any = None

    def __init__(self, *, development_config: Any = None) -> None:
        """Prefer what was saved, as MLflow does."""
        self._values = ModelConfig.saved if ModelConfig.saved is not None else development_config or {}

    def get(self, key: str) -> Any:
        """Return a value; raise KeyError where it is not there."""
        return self._values[key]

    def to_dict(self) -> Any:
        """Return all of them."""
        return self._values


def load(path: str, options: Mapping[str, Any]) -> Table:
    """Load `file` (with its `compression`), or run `code_file`; then `load_context`."""
    config = _configured(options.get("config"))
    made: list[Any] = []
    is_there = (
        importlib.util.find_spec("mlflow") is not None
    )  # a library beside the model may have brought it
    if not is_there:
        _stand_in(made.append, config)
    artifacts = {name: os.path.join(path, one) for name, one in (options.get("artifacts") or {}).items()}  # noqa: PTH118
    if options.get("code_file"):
        file = os.path.join(path, str(options["code_file"]))  # noqa: PTH118
        model = _run_by_mlflow(file, config) if is_there else _run(file, made)
    else:
        import cloudpickle  # type: ignore[import-not-found,import-untyped,unused-ignore]

        with _OPEN[options.get("compression")](os.path.join(path, str(options["file"])), "rb") as stream:  # noqa: PTH118
            model = cloudpickle.load(stream)
    context = PythonModelContext(artifacts, config)
    as_mlflow: dict[str, Any] = {
        "by_columns": True,
        "by_name": True,
        "numbered": bool(options.get("numbered")),
    }
    if hasattr(model, "load_context"):
        model.load_context(context)
    if options.get("code_file") and callable(model):
        return Table(lambda data: model(_as_hinted(data, _hint(model, 0))), **as_mlflow)
    function = getattr(model, str(options.get("predict") or "predict"))
    known = inspect.signature(function).parameters
    takes_context = "context" in known or len([name for name in known if name != "params"]) > 1
    kept = getattr(model, "_predict_type_hints", None)
    hint = kept.input if kept is not None else _hint(function, int(takes_context))

    def predict(data: Any, **params: Any) -> Any:
        more = {"params": params or None} if "params" in known else {}
        given = _as_hinted(data, hint)
        return function(context, given, **more) if takes_context else function(given, **more)

    return Table(predict, takes_params=True, **as_mlflow)


def _hint(function: Callable[..., Any], position: int) -> Any:
    """Return what a parameter is to be; None where that is not said, or cannot be understood."""
    try:
        hints = typing.get_type_hints(function)
    except (NameError, TypeError, AttributeError):
        return None
    names = list(inspect.signature(function).parameters)
    return hints.get(names[position]) if position < len(names) else None


def _as_hinted(data: Any, hint: Any) -> Any:
    """Turn a frame into what MLflow makes of it for `list[str]` and `list[dict[str, str]]`."""
    kind = str(hint).replace("typing.", "").lower()
    if not hasattr(data, "columns") or kind not in {"list[str]", "list[dict[str, str]]"}:
        return data
    texts = [name for name, value in data.iloc[0].items() if isinstance(value, str)]
    if kind == "list[dict[str, str]]":
        return data.to_dict(orient="records")
    if not texts:
        message = "expected at least one column of text"
        raise ValueError(message)
    return data[texts[0]].tolist()


def _configured(saved: Any) -> Any:
    """Let `MLFLOW_PYFUNC_INFERENCE_CONFIG` replace values that the configuration has, as MLflow does."""
    text = os.environ.get("MLFLOW_PYFUNC_INFERENCE_CONFIG")
    if not text or not isinstance(saved, dict):
        return saved
    return {**saved, **{key: value for key, value in json.loads(text).items() if key in saved}}


def _run(file: str, made: list[Any]) -> Any:
    """Run a model that is code, and return what it gave to `mlflow.models.set_model`."""
    stem = os.path.splitext(os.path.basename(file))[0]  # noqa: PTH119, PTH122
    spec = importlib.util.spec_from_file_location(stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(stem, module)
    spec.loader.exec_module(module)
    if not made:
        message = f"{file}: did not call mlflow.models.set_model"
        raise RuntimeError(message)
    return made[-1]


def _run_by_mlflow(file: str, config: Any) -> Any:
    """Run a model that is code where MLflow itself is there, whose `set_model` it then calls."""
    from mlflow.models import utils  # type: ignore[import-not-found,import-untyped,unused-ignore]

    return utils._load_model_code_path(file, config)  # noqa: SLF001 - what its own loader calls


def _stand_in(set_model: Callable[[Any], None], config: Any) -> None:
    """Let `import mlflow` find the few names that a model may ask for."""
    ModelConfig.saved = config
    pyfunc = {"PythonModel": PythonModel, "PythonModelContext": PythonModelContext}
    models = {"set_model": set_model, "ModelConfig": ModelConfig}
    signature = {"_TypeHints": TypeHints}
    for name, members in (
        ("mlflow", {}),
        ("mlflow.pyfunc", pyfunc),
        ("mlflow.pyfunc.model", pyfunc),
        ("mlflow.models", models),
        ("mlflow.models.signature", signature),
    ):
        module = ModuleType(name)
        module.__path__ = []
        vars(module).update(members)
        sys.modules[name] = module
        parent, _, last = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], last, module)
