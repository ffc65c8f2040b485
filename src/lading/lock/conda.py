"""conda.yaml and python_env.yaml → requirement lines, a Python version, and notes of what was mapped.

conda packages are not installed: those whose wheel is the same library are mapped to it, others are issues.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lading.core.errors import Issue

if TYPE_CHECKING:
    import yaml

MAPPED = {
    name: name
    for name in (
        *("catboost", "cloudpickle", "dill", "fastapi", "flask", "hdbscan", "imbalanced-learn", "joblib"),
        *(
            "jsonschema",
            "lightgbm",
            "matplotlib",
            "networkx",
            "nltk",
            "numba",
            "numpy",
            "onnx",
            "onnxruntime",
        ),
        *("pandas", "pillow", "plotly", "polars", "psutil", "pyarrow", "pydantic", "python-dateutil", "pytz"),
        *("pyyaml", "requests", "scikit-learn", "scipy", "seaborn", "shap", "six", "skops", "statsmodels"),
        *("threadpoolctl", "tqdm", "transformers", "typing-extensions", "tzdata", "xgboost"),
    )
} | {"matplotlib-base": "matplotlib", "py-xgboost": "xgboost", "py-xgboost-cpu": "xgboost"}
_INSTALLERS = {"pip", "setuptools", "wheel"}
_SPEC = re.compile(r"(?:[^\s:]+::)?([A-Za-z0-9_.-]+)\s*(.*)\Z")
_PINNED = re.compile(r"(=?)=?\s*([0-9][\w!+]*(?:\.[\w!+]+)*)(\.?\*)?(?:[=\s]\s*([\w.*]+))?\Z")
_RANGE = re.compile(r"(?:[<>!~]=?|==)\s*[\w.!+*]+(?:\s*,\s*(?:[<>!~]=?|==)\s*[\w.!+*]+)*\Z")


@dataclass(slots=True)
class CondaFile:
    """What the file asks for. `lines` are requirements.txt lines, each with its place."""

    lines: list[tuple[str, str]] = field(default_factory=list)
    python: str | None = None
    """A version, such as `3.11.7`."""
    requires_python: str | None = None
    """A range, such as `>=3.10`."""
    notes: list[str] = field(default_factory=list)
    issues: list[Issue] = field(default_factory=list)


def load(path: Path) -> CondaFile:
    """Read conda.yaml, environment.yml or MLflow's python_env.yaml; what is wrong is in `issues`."""
    import yaml

    found = CondaFile()
    try:
        root = yaml.compose(path.read_text(encoding="utf-8-sig"), Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path.name}:{mark.line + 1}" if mark else path.name
        found.issues.append(Issue(where, f"not YAML: {getattr(error, 'problem', None) or error}"))
        return found
    keys = _mapping(root)
    if root is None or not keys:
        found.issues.append(Issue(path.name, "got no mapping, expected 'dependencies'"))
        return found
    if "python" in keys or "build_dependencies" in keys:
        _python_env(found, keys, path)
    else:
        _conda(found, keys, path)
    return found


def _python_env(found: CondaFile, keys: dict[str, yaml.Node], path: Path) -> None:
    if python := keys.get("python"):
        found.python = str(python.value)
    found.lines += _scalars(found, keys.get("dependencies"), path)


def _conda(found: CondaFile, keys: dict[str, yaml.Node], path: Path) -> None:
    for node in _items(found, keys.get("dependencies"), path):
        if inner := _mapping(node):
            found.lines += _scalars(found, inner.pop("pip", None), path)
            found.issues += [
                Issue(_where(path, one), f"got {name!r}, expected 'pip'") for name, one in inner.items()
            ]
        else:
            _package(found, str(node.value), _where(path, node))


def _package(found: CondaFile, text: str, where: str) -> None:
    match = _SPEC.match(text.strip())
    name, rest = (match[1].lower(), match[2].strip()) if match else (text, "")
    specifier = _specifier(rest)
    if specifier is None:
        found.issues.append(Issue(where, f"got {text!r}, expected a conda package and versions"))
    elif name == "python":
        exact = specifier.startswith("==")
        found.python = specifier.removeprefix("==").removesuffix(".*") if exact else None
        found.requires_python = specifier if specifier and not exact else None
    elif name in MAPPED:
        requirement = MAPPED[name] + specifier
        found.lines.append((where, requirement))
        found.notes.append(f"{where}: conda's {text!r} is taken as {requirement!r}")
    elif name not in _INSTALLERS:
        fix = (
            "name the same library under 'pip:' if it has wheels, or remove it if the model does not need it"
        )
        found.issues.append(Issue(where, f"conda package {name!r} has no known wheel", fix))


def _specifier(rest: str) -> str | None:
    """Translate conda's match specification to PEP 440; None where it is neither."""
    if not rest or rest == "*":
        return ""
    if _RANGE.match(rest) and not rest.startswith("=="):
        return rest.replace(" ", "")
    pinned = _PINNED.match(rest)
    if not pinned:
        return rest.replace(" ", "") if _RANGE.match(rest) else None
    # conda: '==1.2' and '=1.2=build' are exact, '=1.2' and '1.2.*' are fuzzy
    exact = rest.startswith("==") or bool(pinned[4])
    star = ".*" if pinned[3] or (not exact and rest.startswith("=")) else ""
    return f"=={pinned[2]}{star}"


def _mapping(node: yaml.Node | None) -> dict[str, yaml.Node]:
    import yaml

    if not isinstance(node, yaml.MappingNode):
        return {}
    return {str(key.value): value for key, value in node.value}


def _items(found: CondaFile, node: yaml.Node | None, path: Path) -> Iterator[yaml.Node]:
    import yaml

    if node is None:
        return
    if not isinstance(node, yaml.SequenceNode):
        found.issues.append(Issue(_where(path, node), "got no list, expected one"))
        return
    for item in node.value:
        if isinstance(item, (yaml.ScalarNode, yaml.MappingNode)):
            yield item
        else:
            found.issues.append(Issue(_where(path, item), "got a list, expected a requirement"))


def _scalars(found: CondaFile, node: yaml.Node | None, path: Path) -> Iterator[tuple[str, str]]:
    for item in _items(found, node, path):
        yield _where(path, item), str(item.value).strip()


def _where(path: Path, node: yaml.Node) -> str:
    return f"{path.name}:{node.start_mark.line + 1}"
