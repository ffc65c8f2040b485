"""Modules that a model has imported in, the distributions that they come from, and that it needs, out."""

from __future__ import annotations

import importlib.metadata
import json
import re
import site
import sys
import sysconfig
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_OURS = frozenset({"lading"})
_NOT_OWN = frozenset({*sys.stdlib_module_names, "__main__", "__mp_main__", "lading", "lading_runtime"})
_MOST_TRIALS = 12
_USER_INFO = re.compile(r"(?<=://)[^/@]*@")
MLFLOW = "mlflow>=2.9,<4"
"""For those who load the folder by MLflow; a package of lading's leaves it out."""


@cache
def _providers() -> Mapping[str, list[str]]:
    return importlib.metadata.packages_distributions()


@cache
def _dists() -> Mapping[str, importlib.metadata.Distribution]:
    return {canonicalize_name(one.name): one for one in importlib.metadata.distributions() if one.name}


def look_again() -> None:
    """Forget what is installed: a notebook may have installed more since it last saved a model."""
    _providers.cache_clear()
    _dists.cache_clear()


def distributions_of(modules: Mapping[str, str]) -> frozenset[str]:
    """Name the distributions of modules, given with their files, by canonical name.

    Of several that have a module (`xgboost` and `xgboost-cpu`, `tensorflow` and `tensorflow-cpu`) the one
    that has this very file counts, and the first by name where several have.
    """
    found = set()
    for module, file in modules.items():
        names = sorted({canonicalize_name(one) for one in _providers().get(module.partition(".")[0], ())})
        if len(names) > 1:
            names = [one for one in names if _has(one, file)][:1] or names[:1]
        found.update(names)
    return frozenset(found) - _OURS


def not_installed(modules: Mapping[str, str], folder: Path) -> dict[str, Path]:
    """Name the author's own modules, which nothing brings elsewhere, and the file or folder of each.

    What is below `folder` is shipped with the model.
    """
    paths = {
        *sysconfig.get_paths().values(),
        *site.getsitepackages(),
        site.getusersitepackages(),
        str(folder),
    }
    there = tuple(Path(one).resolve() for one in paths)
    found = {}
    for name, file in modules.items():
        parts, path = name.split("."), Path(file).resolve()
        if parts[0] in _NOT_OWN or any(path.is_relative_to(one) for one in there):
            continue
        # what is installed as a link to its sources is in no index in this state
        if all(_link(one).get("dir_info", {}).get("editable") for one in distributions_of({name: file})):
            above = len(parts) - (1 if path.name == "__init__.py" else 2)
            found[parts[0]] = path if above < 0 else path.parents[above]
    return found


def _has(name: str, file: str) -> bool:
    listed = _dists()[name].files or () if name in _dists() else ()
    return any(file.endswith(f"/{one}") for one in listed)


def modules_of(names: Iterable[str]) -> frozenset[str]:
    """Name the top-level modules that distributions provide and no other does."""
    wanted = set(names)
    return frozenset(
        module
        for module, having in _providers().items()
        if {canonicalize_name(one) for one in having} <= wanted
    )


def closure(names: Iterable[str]) -> frozenset[str]:
    """Add what distributions require of one another, as far as it is installed; no extras."""
    found: set[str] = set()
    queue = [canonicalize_name(one) for one in names]
    while queue:
        name = queue.pop()
        if name in found or name not in _dists():
            continue
        found.add(name)
        for text in _dists()[name].requires or ():
            required = Requirement(text)
            if required.marker is None or required.marker.evaluate({"extra": ""}):
                queue.append(canonicalize_name(required.name))
    return frozenset(found)


def needed(
    traced: frozenset[str],
    libraries: frozenset[str],
    fails_without: Callable[[frozenset[str]], str | None],
) -> tuple[frozenset[str], frozenset[str]]:
    """Return what the model needs of what it imported, and what it does without.

    What its libraries require is kept. Of the rest as much is left out as `fails_without` allows, which
    returns what went wrong, or None: what that names is put back with its own requirements; else what is
    needed is found by halves. After a dozen rounds nothing is left out.
    """
    dropped = traced - closure(libraries)
    for _ in range(_MOST_TRIALS):
        if not dropped or (error := fails_without(dropped)) is None:
            break
        named = _named(error, dropped)
        # a frame is asked for its columns by models that name no library
        likely = frozenset({"pandas"}) & dropped
        if not named and likely and fails_without(dropped - closure(likely)) is None:
            named = likely
        dropped -= closure(named or _by_halves(sorted(dropped), fails_without))
    else:
        dropped = frozenset()
    return traced - dropped, dropped


def _by_halves(names: Sequence[str], fails_without: Callable[[frozenset[str]], str | None]) -> frozenset[str]:
    """Return one of the names that nothing works without, where it does not without all of them."""
    works, fails = 0, len(names)  # without that many of them
    while fails - works > 1:
        middle = (works + fails) // 2
        if fails_without(frozenset(names[:middle])) is None:
            works = middle
        else:
            fails = middle
    return frozenset(names[works:fails])


def _named(error: str, names: frozenset[str]) -> frozenset[str]:
    """Return the distributions that a message names, by their own names or by their modules'."""
    words = set(re.findall(r"\w[\w-]*", error))
    return frozenset(one for one in names if words & {one, *modules_of({one})})


def lines(names: Iterable[str]) -> tuple[list[str], list[str]]:
    """Pin distributions to what is installed: a version, or a commit or file where they came from.

    Notes tell of local versions, such as `+cpu`, and of what was installed from this machine.
    """
    found, notes = [], []
    for name in sorted(names):
        version = _dists()[name].version
        public, _, local = version.partition("+")
        if local:
            notes.append(f"{name} {version} was installed: a package for it takes `accelerator: {local}`")
        where = _link(name)
        url = _USER_INFO.sub("", str(where.get("url", "")))
        if repository := where.get("vcs_info"):
            url = f"{repository['vcs']}+{url}@{repository['commit_id']}"
            url += f"#subdirectory={where['subdirectory']}" if where.get("subdirectory") else ""
        elif url.startswith("file:"):
            notes.append(f"{name} {version} was installed from {url}: no index may have it, see requires=[…]")
            url = ""
        found.append(f"{_dists()[name].name} @ {url}" if url else f"{_dists()[name].name}=={public}")
    return found, notes


def _link(name: str) -> Mapping[str, Any]:
    """Return where a distribution was installed from, where that is no index (PEP 610)."""
    text = _dists()[name].read_text("direct_url.json") if name in _dists() else None
    found: Mapping[str, Any] = json.loads(text) if text else {}
    return found


def is_requirement(text: str) -> bool:
    """Tell whether an author's line reads as PEP 508 has it.

    >>> is_requirement("numpy>=2"), is_requirement("numpy 2")
    (True, False)
    """
    return re.fullmatch(r"[A-Za-z0-9][\w.-]*\s*(\[[^\]]*\])?\s*([=<>!~@;(].*)?", text) is not None
