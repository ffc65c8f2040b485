"""What an MLflow model says of its environment, in MLflow's own order (mlflow/utils/virtualenv.py).

`python_env.yaml` comes first, and for its libraries mostly points to `requirements.txt`; then that file, then
`conda.yaml`. The first and the last may have other names, which MLmodel tells.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lading.core.errors import without_secrets
from lading.model.documents import read_yaml
from lading.model.files import read_text

_PYTHON_VERSION = re.compile(r"[0-9]+\.[0-9]+(\.[0-9]+)?\Z")
_CONDA_PYTHON = re.compile(r"python\s*={1,2}\s*([0-9]+\.[0-9]+(?:\.[0-9]+)?)\Z")
_INCLUDES = re.compile(r"(?:-r|--requirement)[\s=]+(?:\./)?(\S+)\Z")
_LONGEST_BYTES = 4 << 20
_LIBRARY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_REQUIREMENTS = "requirements.txt"


@dataclass(frozen=True, slots=True)
class Environment:
    """The file that lists what a model needs, and the Python that it was saved under."""

    requirements_file: Path | None
    python: str | None
    notes: tuple[str, ...] = ()
    """What another of its files names besides, and is not taken for that."""


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
    dependencies: object = None
    if virtual in files:
        document = read_yaml(root / virtual, virtual)
        listed = _listed(virtual, document.get("dependencies"), files)
        pythons.append(document.get("python"))
    if conda in files:
        dependencies = read_yaml(root / conda, conda).get("dependencies")
        named = dependencies if isinstance(dependencies, list) else []
        found = (_CONDA_PYTHON.match(one) for one in named if isinstance(one, str))
        pythons += [match[1] for match in found if match]
    pythons.append(pyfunc.get("python_version"))
    listed = listed or next((one for one in (_REQUIREMENTS, conda) if one in files), None)
    return Environment(
        root / listed if listed else None,
        next((one for one in pythons if isinstance(one, str) and _PYTHON_VERSION.match(one)), None),
        tuple(_unheeded(root, listed, conda, dependencies)) if listed and listed != conda else (),
    )


def _unheeded(root: Path, listed: str, conda: str, dependencies: object) -> Iterator[str]:
    """Tell what pip is told in the conda file alone, where another file is the one that counts."""
    parts = dependencies if isinstance(dependencies, list) else []
    lists = [part["pip"] for part in parts if isinstance(part, dict) and isinstance(part.get("pip"), list)]
    lines = [str(line).strip() for one in lists for line in one]
    listing = read_text(root / listed, listed, _LONGEST_BYTES).splitlines()
    # of a requirements file as they stand, of python_env.yaml as items of a list
    heeded = {_subject(line.strip(of)) for line in listing for of in (" ", " -'\"")}
    more = [line for line in lines if not _INCLUDES.match(line) and _subject(line) not in heeded]
    if more:
        names = ", ".join(repr(without_secrets(one)) for one in more[:5])
        yield f"{conda} names {names}, which is not heeded: {listed} counts, as for MLflow"


def _subject(line: str) -> str:
    """Return what a line of pip's is about: a library, or the whole of an option."""
    match = _LIBRARY.match(line)
    return re.sub(r"[-_.]+", "-", match[0]).lower() if match else line


def _listed(name: str, dependencies: object, files: Collection[str]) -> str | None:
    """Name the file whose list counts: this one, or the one that it takes whole; None for no list."""
    if not isinstance(dependencies, list) or not dependencies:
        return None
    match = _INCLUDES.match(str(dependencies[0])) if len(dependencies) == 1 else None
    if match is None:
        return name
    return match[1] if match[1] in files else None
