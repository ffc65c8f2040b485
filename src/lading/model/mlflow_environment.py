"""What an MLflow model says of its environment, in MLflow's own order (mlflow/utils/virtualenv.py).

`python_env.yaml` comes first, and for its libraries mostly points to `requirements.txt`; then that file, then
`conda.yaml`. The first and the last may have other names, which MLmodel tells.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lading.model.documents import read_yaml

_PYTHON_VERSION = re.compile(r"[0-9]+\.[0-9]+(\.[0-9]+)?\Z")
_CONDA_PYTHON = re.compile(r"python\s*={1,2}\s*([0-9]+\.[0-9]+(?:\.[0-9]+)?)\Z")
_INCLUDES = re.compile(r"(?:-r|--requirement)[\s=]+(?:\./)?(\S+)\Z")
_REQUIREMENTS = "requirements.txt"


@dataclass(frozen=True, slots=True)
class Environment:
    """The file that lists what a model needs, and the Python that it was saved under."""

    requirements_file: Path | None
    python: str | None


def find(root: Path, pyfunc: Mapping[str, Any], files: Collection[str]) -> Environment:
    """Read what lies in the model's folder; raise ModelError where a file of it is no YAML."""
    written = pyfunc.get("env")
    names = written if isinstance(written, dict) else {"conda": written} if written else {}
    virtual, conda = (
        str(names.get(kind) or default)
        for kind, default in (("virtualenv", "python_env.yaml"), ("conda", "conda.yaml"))
    )
    listed: str | None = None
    pythons: list[object] = []
    if virtual in files:
        document = read_yaml(root / virtual, virtual)
        listed = _listed(virtual, document.get("dependencies"), files)
        pythons.append(document.get("python"))
    if conda in files:
        dependencies = read_yaml(root / conda, conda).get("dependencies")
        found = (_CONDA_PYTHON.match(one) for one in dependencies or () if isinstance(one, str))
        pythons += [match[1] for match in found if match]
    pythons.append(pyfunc.get("python_version"))
    listed = listed or next((one for one in (_REQUIREMENTS, conda) if one in files), None)
    return Environment(
        root / listed if listed else None,
        next((one for one in pythons if isinstance(one, str) and _PYTHON_VERSION.match(one)), None),
    )


def _listed(name: str, dependencies: object, files: Collection[str]) -> str | None:
    """Name the file whose list counts: this one, or the one that it takes whole; None for no list."""
    if not isinstance(dependencies, list) or not dependencies:
        return None
    match = _INCLUDES.match(str(dependencies[0])) if len(dependencies) == 1 else None
    if match is None:
        return name
    return match[1] if match[1] in files else None
