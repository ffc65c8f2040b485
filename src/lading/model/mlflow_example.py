"""The input example of an MLflow model: the folder goes in, a body for /invocations comes out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lading.core.errors import Issue, ModelError
from lading.core.model import ModelFile
from lading.core.spec import Example
from lading.model import shims
from lading.model.documents import read_json

_MESSAGES = frozenset({"messages", "prompt", "input"})
"""Keys that make MLflow's server take an object as it is (mlflow/pyfunc/scoring_server)."""


def read_examples(
    root: Path, document: Mapping[str, Any], files: Mapping[str, ModelFile]
) -> tuple[Example, ...]:
    """Read the example that was logged with the model, if there is one.

    `serving_input_example.json` is a request already; older models have `input_example.json` alone, whose
    form `saved_input_example_info` tells (mlflow/models/utils.py). Sparse matrices are left out.
    Raises ModelError for a file that is not in the folder.
    """
    info = document.get("saved_input_example_info")
    if not isinstance(info, dict):
        return ()
    serving = info.get("serving_input_path")
    if isinstance(serving, str):
        _check_listed(serving, files)
        answer = _answer(root, document, files)
        return (Example(read_json(root / serving, serving), answer, name="input_example"),)
    path = info.get("artifact_path")
    if not isinstance(path, str):
        return ()
    _check_listed(path, files)
    inputs = _request(read_json(root / path, path), info)
    return () if inputs is None else (Example(inputs, name="input_example"),)


def _answer(root: Path, document: Mapping[str, Any], files: Mapping[str, ModelFile]) -> Any:  # noqa: ANN401 - any JSON value
    """Read what the model itself answered, which `lading.save` has kept."""
    name = shims.outputs(document)
    if name is None:
        return None
    _check_listed(name, files)
    return read_json(root / name, name)


def _check_listed(path: str, files: Mapping[str, ModelFile]) -> None:
    if path not in files:
        raise ModelError(
            Issue("MLmodel", f"names {path!r}, which is not in the folder", "copy the whole folder")
        )


def _request(example: Any, info: Mapping[str, Any]) -> dict[str, Any] | None:  # noqa: ANN401 - any JSON value
    """Wrap what was logged in the key that the server expects."""
    params: dict[str, Any] = {}
    if str(info.get("params")).lower() == "true" and isinstance(example, dict) and "inputs" in example:
        params = {"params": example.get("params")}
        example = example["inputs"]
    match info.get("type"):
        case "dataframe":
            if isinstance(example, list):
                return {"dataframe_split": {"data": example}, **params}
            return {"dataframe_split": example, **params}
        case "ndarray":
            return {"inputs": example, **params}
        case "json_object":
            if isinstance(example, dict) and _MESSAGES & example.keys():
                return {**example, **(params.get("params") or {})}
            return {"inputs": example, **params}
        case _:
            return None
