"""What a model was saved with, as its own files tell: `python==3.9.18`, `scikit-learn==1.1.2`, `numpy<2`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lading.core.model import Requirement
from lading.model.documents import read_yaml
from lading.model.mlflow_requirements import FRAMEWORKS, framework_version, pinned

LIBRARIES = frozenset(
    {*FRAMEWORKS.values(), "cloudpickle", "joblib", "mlflow", "numpy", "pandas", "scipy", "skops"}
)
"""What predictions depend on, and what files are read with: of anything else a version says nothing."""
_PIN = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?\s*={1,3}\s*([0-9][\w.+!-]*)\s*(?:[;#].*)?\Z")
_MAX_BYTES = 1 << 20


def by_mlflow(
    root: Path, document: Mapping[str, Any], python: str | None, pickles: Iterable[str]
) -> tuple[str, ...]:
    """Join what MLmodel says of Python and every flavour, what the lists of requirements pin, and pickles.

    What a pickle says of itself is the strongest, then MLmodel.
    """
    flavors: Mapping[str, Any] = document["flavors"]
    pyfunc = flavors["python_function"]
    told = [pinned("mlflow", document.get("mlflow_version"))]
    told.append(pinned("cloudpickle", pyfunc.get("cloudpickle_version")))
    for name, settings in flavors.items():
        if name in FRAMEWORKS and isinstance(settings, dict):
            told.append(pinned(FRAMEWORKS[name], framework_version(name, settings)))
    told += [pinned("python", one) for one in (pyfunc.get("python_version"), python)]
    return joined((*pickles, *(one.text for one in (*told, *_listed(root)) if "==" in one.text)))


def joined(texts: Iterable[str]) -> tuple[str, ...]:
    """Keep the first word on each distribution that tells its version, else the first that tells bounds."""
    found: dict[str, str] = {}
    for one in sorted(texts, key=lambda one: "==" not in one):
        found.setdefault(_name(one), one)
    return tuple(found[name] for name in sorted(found))


def _name(text: str) -> str:
    return re.split(r"[=<>!~ ;\[]", text, maxsplit=1)[0].lower().replace("_", "-")


def _listed(root: Path) -> Iterator[Requirement]:
    """Read the pins that MLflow writes of the environment it saves in."""
    lines: list[object] = []
    path = root / "requirements.txt"
    if path.is_file() and path.stat().st_size <= _MAX_BYTES:
        lines += path.read_text(encoding="utf-8", errors="replace").splitlines()
    if (root / "conda.yaml").is_file():
        listed = read_yaml(root / "conda.yaml", "conda.yaml").get("dependencies")
        for one in listed if isinstance(listed, list) else ():
            lines += one["pip"] if isinstance(one, dict) and isinstance(one.get("pip"), list) else [one]
    for line in lines:
        match = _PIN.match(line.strip()) if isinstance(line, str) else None
        if match and (name := _name(match[1])) in LIBRARIES:
            yield pinned(name, match[2])
