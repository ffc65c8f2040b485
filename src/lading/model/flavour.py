"""What MLmodel says of a flavour, and how a loader of our own loads it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from lading.core.model import ModelFile, Requirement
from lading.core.signature import Signature
from lading.model.files import read_text

SKLEARN = Requirement("scikit-learn", "mlflow")
"""What MLflow itself brings."""
_VERSION = re.compile(r"(\d+)\.(\d+)")
_CODE_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Lean:
    """A module of `lading_runtime.loaders`, its options, and what it needs that the model may not list."""

    loader: str
    options: Mapping[str, Any]
    requirements: tuple[Requirement, ...] = ()
    modules: tuple[str, ...] = ()
    """What loading imports beside the library itself."""


@dataclass(frozen=True, slots=True)
class Flavour:
    """What there is to decide by: `asked` is what the model's pickles name of MLflow (see `asked`)."""

    settings: Mapping[str, Any]
    pyfunc: Mapping[str, Any]
    files: Mapping[str, ModelFile]
    signature: Signature | None
    document: Mapping[str, Any]
    asked: frozenset[str]
    unfollowed: frozenset[str]
    """Files of which that is not known."""

    @property
    def pandas(self) -> Requirement:
        """Return what MLflow brings, within the bounds that its version set: below 4 since 3.16."""
        told = _VERSION.match(str(self.document.get("mlflow_version")))
        is_new = told is not None and (int(told[1]), int(told[2])) >= (3, 16)
        return Requirement("pandas<4" if is_new else "pandas<3", "mlflow")

    @property
    def rows(self) -> Requirement:
        """Return what requests are made of, which MLflow brings."""
        return self.pandas if self.has_columns else Requirement("numpy", "mlflow")

    @property
    def has_columns(self) -> bool:
        """Tell whether requests are tables."""
        inputs = self.signature.inputs if self.signature else ()
        return not inputs or inputs[0].type != "tensor"

    @property
    def has_words(self) -> bool:
        """Tell whether columns are of more than numbers, for which a library wants a DataFrame."""
        numbers = {"boolean", "integer", "long", "float", "double", "tensor"}
        return self.signature is not None and any(one.type not in numbers for one in self.signature.inputs)

    @property
    def numbered(self) -> dict[str, bool]:
        """The option of loaders by which columns that have no names have numbers, as MLflow numbers them."""
        inputs = self.signature.inputs if self.signature else ()
        is_numbered = bool(inputs) and all(one.name is None and one.type != "tensor" for one in inputs)
        return {"numbered": True} if is_numbered else {}

    def file(self, *candidates: object) -> str | None:
        """Return the first of these paths that is a file of the model, or a folder of files."""
        for one in candidates:
            path = str(PurePosixPath(str(one))) if one else ""
            if path and (path in self.files or any(name.startswith(f"{path}/") for name in self.files)):
                return path
        return None

    def text(self, path: str) -> str | None:
        """Read a small text file of the model."""
        file = self.files.get(path)
        if file is None or file.size_bytes > _CODE_BYTES:
            return None
        return read_text(file.source, path, _CODE_BYTES).strip()
