"""What can be known of a model without running it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from lading.core.signature import Signature
from lading.core.spec import Example

NEVER_PACKAGED = frozenset(
    {
        *("__pycache__", ".git", ".hg", ".svn", ".venv", ".tox", ".nox", ".ipynb_checkpoints", ".DS_Store"),
        *(".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis", ".idea", ".vscode"),
        *(".env", ".netrc", ".pypirc"),  # secrets by custom
    }
)
"""Names of files and folders that lie beside a model or its code, and are left out of every package."""

Origin = Literal["pickle", "file", "mlflow", "spec", "installed"]


@dataclass(frozen=True, slots=True)
class Requirement:
    """A PEP 508 requirement and where it was learnt.

    `pickle`, `file`: the model's file names the library; `mlflow`: the model's own requirements; `spec`: the
    author's; `installed`: the version found in the environment that packs.
    """

    text: str
    origin: Origin
    mapped_from: str | None = None
    """The conda package that it stands for, such as `numpy=1.26`."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A file of the model. `path` is relative, with forward slashes; `source` is where its bytes lie."""

    path: str
    source: Path
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Risk:
    """Something in the model that could run code when it is loaded."""

    where: str
    """File and position, such as `model.pkl:1042`."""
    name: str
    """The global, such as `os.system`."""
    why: str


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """A model, read but never executed."""

    root: Path
    """The file or folder given."""
    format: str
    """The name of a row of `lading.model.formats`: `sklearn`, `mlflow`, `xgboost`, …"""
    flavour: str
    """What it is, for people: `sklearn RandomForestClassifier`."""
    loader: str
    """The module of `lading_runtime.loaders` that loads it, or, dotted, one of the model's environment."""
    loader_options: Mapping[str, Any] = field(default_factory=dict)
    """JSON values; paths in it are relative to the model's folder in the package."""
    files: tuple[ModelFile, ...] = ()
    framework: str | None = None
    framework_version: str | None = None
    python: str | None = None
    """The Python it was saved under (`3.11.7`), where the file tells."""
    signature: Signature | None = None
    requirements: tuple[Requirement, ...] = ()
    """What loading and predicting needs, as far as the files tell."""
    requirements_file: Path | None = None
    """requirements.txt or conda.yaml of the model, when there is one; `requirements` is then empty."""
    examples: tuple[Example, ...] = ()
    risks: tuple[Risk, ...] = ()
    modules: tuple[str, ...] = ()
    """The modules that loading imports, as the pickle names them."""
    code: Path | None = None
    """The file or folder of the inference routine, where there is one."""
    entry: str | None = None
    """`file.py`, `file.py:function` or `file.py:Class`, relative to `code`."""
    notes: tuple[str, ...] = ()
    """Short facts for people, such as `pickle protocol 5`."""
    missing: tuple[str, ...] = ()
    """Modules that nothing installed here provides: no bill has them, for elsewhere they may be."""
    saved_with: tuple[str, ...] = ()
    """What the files tell of what it was saved with: `python==3.9.18`, `scikit-learn==1.1.2`, `numpy<2`."""
