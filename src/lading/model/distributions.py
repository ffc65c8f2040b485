"""Distributions that modules come from: module names go in, requirements with their origins come out.

The versions are those installed here where this is the environment that the model was trained in, which the
scikit-learn that a pickle names tells; elsewhere they are left open.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from lading.core.builds import builds_of
from lading.core.model import Requirement

_DISTRIBUTIONS = {
    "_loss": "scikit-learn",  # what some releases of scikit-learn call their sklearn._loss._loss
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python-headless",
    "dateutil": "python-dateutil",
    "docx": "python-docx",
    "dotenv": "python-dotenv",
    "fitz": "pymupdf",
    "git": "gitpython",
    "imblearn": "imbalanced-learn",
    "PIL": "pillow",
    "pkg_resources": "setuptools",
    "psycopg2": "psycopg2-binary",
    "pydantic_settings": "pydantic-settings",
    "sentence_transformers": "sentence-transformers",
    "serial": "pyserial",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "sklearn_pandas": "sklearn-pandas",
    "skopt": "scikit-optimize",
    "umap": "umap-learn",
    "yaml": "pyyaml",
}
_KNOWN = {
    "catboost",
    "cloudpickle",
    "joblib",
    "lightgbm",
    "lz4",
    "numpy",
    "pandas",
    "scipy",
    "skops",
    "torch",
    "xgboost",
}
_OF_SOME_VERSIONS = frozenset(
    {
        *("aifc", "annotationlib", "asynchat", "asyncore", "audioop", "binhex", "cgi", "cgitb", "chunk"),
        *("compression", "crypt", "distutils", "dummy_threading", "formatter", "imghdr", "imp", "lib2to3"),
        *("mailcap", "msilib", "nis", "nntplib", "ossaudiodev", "parser", "pipes", "smtpd", "sndhdr", "spwd"),
        *("sunau", "symbol", "telnetlib", "tomllib", "uu", "xdrlib"),
    }
)
"""What not every Python from 3.8 on has, so that facts do not depend on the one that runs lading."""
STANDARD = frozenset(sys.stdlib_module_names) | _OF_SOME_VERSIONS | {"__builtin__", "__main__", "copy_reg"}
ALWAYS_STANDARD = STANDARD - _OF_SOME_VERSIONS

_OF_SERVERS = ("azureml.contrib.services.", "azureml_inference_server_http.", "inference_schema.")
"""What Azure ML's server brings for its scripts, and the native one too."""


@dataclass(frozen=True, slots=True)
class Found:
    """What modules need, and those that nothing installed provides."""

    requirements: tuple[Requirement, ...]
    unknown: tuple[str, ...]


def distribution_of(requirement: Requirement) -> str:
    """Name the distribution that a requirement asks for."""
    name = requirement.text
    for mark in "=<>!~ ;[":
        name = name.partition(mark)[0]
    return name.lower().replace("_", "-")


def installed_version(distribution: str) -> str | None:
    """Return the public version of a distribution installed here, without a local label such as `+cpu`.

    Another build of the same library will do.
    """
    import importlib.metadata

    for build in builds_of(distribution):
        try:
            return importlib.metadata.version(build).partition("+")[0]
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


def pickled_requirements(modules: Iterable[str], pins: Mapping[str, str], *, trained_here: bool) -> Found:
    """Tell the requirements of modules that a pickle names; `pins` has what the file says (`numpy`: `>=2`).

    What is not a library that every installation spells the same has to be installed here to be known.
    """
    requirements = set()
    unknown = []
    for top in _tops(modules):
        name = _distribution(top)
        if name is None:
            unknown.append(top)
            continue
        version = installed_version(name)
        common = top in _KNOWN or top in _DISTRIBUTIONS
        if version is not None and name != "scikit-learn" and (trained_here or not common):
            requirements.add(Requirement(f"{name}=={version}", "installed"))
        else:
            requirements.add(Requirement(name + pins.get(name, ""), "pickle"))
    return Found(_sorted(requirements), tuple(unknown))


def installed_requirements(modules: Iterable[str]) -> Found:
    """Tell the requirements of modules that code imports, in the versions installed here."""
    requirements = set()
    unknown = []
    for module in sorted(set(modules)):
        if module.partition(".")[0] in STANDARD or f"{module}.".startswith(_OF_SERVERS):
            continue
        name = _distribution(module)
        version = installed_version(name) if name else None
        if version is None:
            unknown.append(module.partition(".")[0])
        else:
            requirements.add(Requirement(f"{name}=={version}", "installed"))
    return Found(_sorted(requirements), tuple(dict.fromkeys(unknown)))


def _tops(modules: Iterable[str]) -> list[str]:
    return sorted({module.partition(".")[0] for module in modules} - STANDARD)


def _sorted(requirements: set[Requirement]) -> tuple[Requirement, ...]:
    return tuple(sorted(requirements, key=lambda one: one.text))


def _distribution(module: str) -> str | None:
    """Name the distribution that provides a module, None where nothing here does."""
    import importlib.metadata

    top = module.partition(".")[0]
    if top in _DISTRIBUTIONS:
        return _DISTRIBUTIONS[top]
    if top in _KNOWN or installed_version(top) is not None:
        return top
    providers = sorted(set(_providers().get(top, ())))
    if len(providers) > 1:
        # a namespace that several share: the one that has the very module
        prefix = module.replace(".", "/")
        having = [one for one in providers if _has(importlib.metadata.files(one) or (), prefix)]
        providers = having or providers
    return providers[0] if providers else None


@cache
def _providers() -> Mapping[str, list[str]]:
    """Map top-level modules to distributions: it reads what every one of them lists, so once is enough."""
    import importlib.metadata

    return importlib.metadata.packages_distributions()


def _has(files: Iterable[object], prefix: str) -> bool:
    return any(str(file).startswith((f"{prefix}/", f"{prefix}.")) for file in files)
