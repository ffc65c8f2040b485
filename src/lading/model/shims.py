"""What `lading.save` writes beside a model: the loader that MLflow runs, the answers of the model itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lading.model.flavour import Flavour

SHIMS = frozenset({"lading_keras", "lading_pickle", "lading_skops", "lading_torch_export"})
"""Modules that load for MLflow what its own flavours cannot; we load by the flavour, and run none."""
_WRITTEN = Path(__file__).parents[1] / "saving" / "shims"


def without(document: Mapping[str, Any], flavour: str) -> dict[str, Any]:
    """Return an MLmodel as it would be if MLflow's own flavour loaded the model."""
    flavors = document["flavors"]
    pyfunc = flavors["python_function"]
    if "lading" not in document or pyfunc.get("loader_module") not in SHIMS:
        return dict(document)
    meant = {**pyfunc, "loader_module": f"mlflow.{flavour}"}
    return {**document, "flavors": {**flavors, "python_function": meant}}


def is_ours(loader: str, given: Flavour) -> bool:
    """Tell whether all the code that a model ships is its loader as `lading.save` writes it, to the byte."""
    code = f"{given.pyfunc.get('code')}/"
    shipped = [path for path in given.files if path.startswith(code)]
    ours = _WRITTEN / f"{loader}.py"
    if shipped != [f"{code}{loader}.py"] or not loader.isidentifier() or not ours.is_file():
        return False
    return given.text(shipped[0]) == ours.read_text(encoding="utf-8").strip()


def outputs(document: Mapping[str, Any]) -> str | None:
    """Name the file of what the model itself answered to the example, where there is one."""
    ours = document.get("lading")
    name = ours.get("outputs") if isinstance(ours, dict) else None
    return name if isinstance(name, str) else None
