"""A model's files go in; what is wrong with them, for the type that the model is said to be, comes out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import yaml

from lading.core.errors import Issue
from lading.core.model import ModelFile

MLMODEL = "MLmodel"
_MAX_BYTES = 16 << 20


def problems(kind: str, files: Sequence[ModelFile], where: str) -> Iterator[Issue]:
    """Say why files are no model of a type: `mlflow_model` or `triton_model`; nothing of another.

    `files` are as an asset keeps them: a folder's own name first.
    """
    if kind == "mlflow_model":
        yield from _mlflow(files, where)
    elif kind == "triton_model":
        yield from _triton(files, where)


def looks_like_mlflow(files: Sequence[ModelFile]) -> bool:
    """Tell whether there is an MLmodel where an MLflow model has it."""
    return any(_below(one) == MLMODEL for one in files)


def _below(file: ModelFile) -> str:
    return file.path.partition("/")[2]


def _mlflow(files: Sequence[ModelFile], where: str) -> Iterator[Issue]:
    found = next((one for one in files if _below(one) == MLMODEL), None)
    if found is None:
        deeper = next((one.path for one in files if one.path.endswith(f"/{MLMODEL}")), None)
        fix = (
            f"name its folder: {deeper.rpartition('/')[0]}" if deeper else "type: custom_model, if it is none"
        )
        yield Issue(where, f"has no {MLMODEL} in its folder, so it is no mlflow_model", fix)
        return
    if found.size_bytes > _MAX_BYTES:
        yield Issue(where, f"{MLMODEL}: got {found.size_bytes} bytes, expected {_MAX_BYTES} at most")
        return
    try:
        document = yaml.safe_load(found.source.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError, OSError) as error:
        yield Issue(where, f"{MLMODEL} is no YAML: {' '.join(str(error).split())[:120]}")
        return
    if not isinstance(document, dict) or not isinstance(document.get("flavors"), dict):
        yield Issue(where, f"{MLMODEL} has no 'flavors', so MLflow could not load it")


def _triton(files: Sequence[ModelFile], where: str) -> Iterator[Issue]:
    """Check a model repository: `NAME/VERSION/FILE`, each version a number, and perhaps config.pbtxt."""
    models: dict[str, list[str]] = {}
    for file in files:
        name, slash, rest = _below(file).partition("/")
        if slash:
            models.setdefault(name, []).append(rest)
    expected = "expected MODEL/VERSION/FILE, such as model_1/1/model.onnx"
    if not models:
        yield Issue(where, f"is no Triton model repository: {expected}", "name the folder of the repository")
    elif all(name.isdecimal() for name in models):
        fix = "name the folder above it"
        yield Issue(where, f"is a model, where a Triton repository holds models: {expected}", fix)
    else:
        for name, paths in models.items():
            is_ensemble = "config.pbtxt" in paths and len(paths) == 1
            if not is_ensemble and not any(
                path.partition("/")[0].isdecimal() and "/" in path for path in paths
            ):
                yield Issue(where, f"{name!r} has no version: {expected}", f"put its files into {name}/1")
