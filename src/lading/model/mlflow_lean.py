"""A flavour's part of an MLmodel in; how a loader of our own loads it, without MLflow, out.

Each row says what MLflow's own loader does (mlflow/<flavour>/__init__.py), and nothing where ours would do
otherwise; a test loads real saved models both ways and compares.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from lading.core.model import Requirement
from lading.model import catboost, keras, lightgbm, onnx, prophet, spacy, statsmodels, torch, xgboost
from lading.model.flavour import Flavour, Lean

# of these a pickle may have the names: MLflow wraps `predict` in a function of its own, pickled by value
_MENTIONED = frozenset(
    {
        "mlflow.models.signature",
        "mlflow.pyfunc.model",
        "mlflow.pyfunc.utils",
        "mlflow.pyfunc.utils.data_validation",
    }
)
# what the worker's stand-in for MLflow has: see lading_runtime/loaders/python_model.py
STOOD_IN_FOR = frozenset(
    {
        "mlflow.models.ModelConfig",
        "mlflow.models.set_model",
        "mlflow.models.signature._TypeHints",
        "mlflow.pyfunc.PythonModel",
        "mlflow.pyfunc.PythonModelContext",
        "mlflow.pyfunc.model.PythonModel",
        "mlflow.pyfunc.model.PythonModelContext",
    }
)
UNPICKLED = frozenset({"spacy"})
"""Loaders that unpickle nothing, though files of theirs (msgpack) may look like pickles."""


def find(flavour: str, given: Flavour) -> Lean | None:
    """Return how a flavour is loaded without MLflow, None where that is not the same."""
    loader_module = str(given.pyfunc.get("loader_module") or "")
    if loader_module.partition(".")[0] != "mlflow":
        return _module(loader_module, given)
    if loader_module in {"mlflow.pyfunc.model", "mlflow.pyfunc.loaders.code_model"}:
        return _python_model(given)
    make = FLAVOURS.get(flavour)
    return make(given) if make and loader_module == f"mlflow.{flavour}" else None


def own_loader(given: Flavour) -> str | None:
    """Name the `loader_module` that the model itself ships, None where it is installed or MLflow's."""
    name, code = str(given.pyfunc.get("loader_module") or ""), given.pyfunc.get("code")
    places = (f"{code}/{name.replace('.', '/')}{end}" for end in (".py", "/__init__.py"))
    return name if name and code and given.file(*places) else None


def asked(names: Iterable[tuple[str, str]], mentions: Iterable[str]) -> Iterator[str]:
    """List what a pickle asks of MLflow: globals, and modules that functions in it may use."""
    yield from (f"{module}.{name}" for module, name in names if module.partition(".")[0] == "mlflow")
    yield from (one for one in mentions if one.partition(".")[0] == "mlflow" and one not in _MENTIONED)


def _python_model(given: Flavour) -> Lean | None:
    """Load a PythonModel where all that it asks of MLflow has a stand-in, and no type hints say otherwise."""
    if given.document.get("is_signature_from_type_hint") or not _shipped_asks_little(given):
        return None
    options: dict[str, Any] = {
        "artifacts": {
            str(name): str(one.get("path")) for name, one in (given.pyfunc.get("artifacts") or {}).items()
        },
        "config": given.pyfunc.get("config"),
        "predict": str(given.pyfunc.get("predict_fn") or "predict"),
        **given.numbered,
    }
    needed = [given.rows]
    source = given.pyfunc.get("model_code_path")
    if source:
        file = given.file(PurePosixPath(str(source)).name)
        text = file and given.text(file)
        return (
            Lean("python_model", {**options, "code_file": file}, tuple(needed))
            if text and _asks_little(text)
            else None
        )
    file = given.file(given.pyfunc.get("python_model"))
    compression = given.pyfunc.get("python_model_compression")
    is_known = file in given.files and file not in given.unfollowed and given.asked <= STOOD_IN_FOR
    if not is_known or compression not in {None, "lzma", "bzip2", "gzip"}:
        return None
    options |= {"file": file, "compression": compression}
    return Lean("python_model", options, (Requirement("cloudpickle", "mlflow"), *needed))


def _module(name: str, given: Flavour) -> Lean | None:
    """Load by the author's own `loader_module`, which the model ships."""
    if own_loader(given) is None or not _shipped_asks_little(given):
        return None
    options = {
        "module": name,
        "data": given.pyfunc.get("data"),
        "config": given.pyfunc.get("config"),
        "predict": str(given.pyfunc.get("predict_fn") or "predict"),
        **given.numbered,
    }
    return Lean("module", options, (given.rows,))


FLAVOURS: Mapping[str, Callable[[Flavour], Lean | None]] = {
    "catboost": catboost.by_mlflow,
    "keras": keras.by_mlflow,
    "lightgbm": lightgbm.by_mlflow,
    "onnx": onnx.by_mlflow,
    "prophet": prophet.by_mlflow,
    "pytorch": torch.by_mlflow,
    "spacy": spacy.by_mlflow,
    "statsmodels": statsmodels.by_mlflow,
    "tensorflow": keras.by_mlflow,
    "xgboost": xgboost.by_mlflow,
}


def _shipped_asks_little(given: Flavour) -> bool:
    """Tell whether the code that a model brings asks nothing of MLflow that has no stand-in."""
    code = given.pyfunc.get("code")
    if not code:
        return True
    shipped = [name for name in given.files if name.startswith(f"{code}/") and name.endswith(".py")]
    texts = [given.text(name) for name in shipped]
    return all(text is not None and _asks_little(text) for text in texts)


def _asks_little(text: str) -> bool:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return False
    return set(_asked(tree)) <= STOOD_IN_FOR


def _asked(tree: ast.Module) -> Iterator[str]:
    """List what a file asks of MLflow, by dotted name; an import without a use is nothing."""
    aliases: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for one in node.names:
                if one.name.partition(".")[0] == "mlflow":
                    aliases[one.asname or "mlflow"] = one.name if one.asname else "mlflow"
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "mlflow":
            aliases.update({one.asname or one.name: f"{node.module}.{one.name}" for one in node.names})
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if id(node) not in inner and isinstance(node, (ast.Attribute, ast.Name)):
            name = _dotted(node)
            root, dot, rest = name.partition(".")
            if root in aliases:
                yield from _outermost(f"{aliases[root]}{dot}{rest}")


def _outermost(name: str) -> Iterable[str]:
    """Cut a name at what has a stand-in: attributes of that are its own affair."""
    parts = name.split(".")
    for length in range(1, len(parts) + 1):
        if ".".join(parts[:length]) in STOOD_IN_FOR:
            return [".".join(parts[:length])]
    return [name]


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    return f"{_dotted(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else ""
