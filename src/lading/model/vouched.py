"""A file that was just written in, the names in it that nobody has vouched for out."""

from __future__ import annotations

from pathlib import Path

from lading.core.errors import ModelError
from lading.core.model import ModelFile
from lading.model import skops
from lading.model.code import FirstParty
from lading.model.mlflow import BY_MLFLOW
from lading.model.sklearn import follow


def untrusted(path: Path) -> tuple[str, ...]:
    """Name what a file of skops or pickle names and the list has not; the file itself where it is neither."""
    file = ModelFile(path.name, path, path.stat().st_size)
    try:
        if path.suffix == ".skops":
            return tuple(one.name for one in skops.inspect(file).risks if one.name not in BY_MLFLOW)
        return tuple(follow(file, FirstParty()).walked.risks)
    except ModelError:
        return (path.name,)
