"""Conda packages → the wheels and Debian packages that stand for them, by the table conda_packages.toml."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

from lading.core import accelerator
from lading.core.errors import Issue
from lading.lock import toml
from lading.lock.conda import CondaFile, Package, plain
from lading.lock.conda_spec import MatchSpec, NotASpecError

_TABLE = Path(__file__).with_name("conda_packages.toml")
_PUBLIC = frozenset(
    {
        *(
            "anaconda",
            "bioconda",
            "conda-forge",
            "defaults",
            "fastai",
            "free",
            "huggingface",
            "intel",
            "main",
        ),
        *("microsoft", "msys2", "nodefaults", "nvidia", "pkgs/main", "pkgs/r", "pytorch", "pytorch-lts", "r"),
        *("pytorch-nightly", "pyg", "rapidsai", "xformers"),
    }
)
_CUDA = re.compile(r"(?:cuda|cu)_?(\d{1,2})\.?(\d)?", re.IGNORECASE)
_OPERATOR = re.compile(r"(>=|<=|==|!=|~=|>|<)(.*)\Z")
_SOLVE = "take all of conda's packages as they are with --conda solve"


@dataclass(slots=True)
class Mapped:
    """What stands for a file's conda packages."""

    wheels: list[tuple[str, str, str]] = field(default_factory=list)
    """Where, a requirement (PEP 508), and the conda package that it stands for."""
    system_packages: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """Which wheels were taken."""
    beside: list[str] = field(default_factory=list)
    """What Debian's packages stand for, and what is left out and why."""
    warnings: list[str] = field(default_factory=list)
    issues: list[Issue] = field(default_factory=list)


def translate(file: CondaFile) -> Mapped:
    """Find what stands for each conda package of a file; `issues` has all for which nothing does."""
    mapped = Mapped(issues=list(file.unmapped))
    left_out: dict[str, list[str]] = {}
    meant: dict[str, str] = {}
    for package in file.packages:
        spec = package.spec
        if reason := _reason(spec):
            left_out.setdefault(reason["reason"], []).append(spec.name)
        elif debian := _table()["system"].get(spec.normal_name):
            mapped.system_packages += debian.split()
            theirs = " and ".join(map(repr, debian.split()))
            version = ", in the version that it has" if spec.version else ""
            what = f"conda's {plain(spec.text)!r} is taken as Debian's {theirs}{version}"
            mapped.beside.append(f"{package.where}: {what}")
        else:
            _wheel(mapped, package)
        if kind := _accelerator(spec, accelerated=bool(reason and reason.get("accelerated"))):
            meant.setdefault(kind, f"{package.where}: {spec.text!r}")
    for reason_text, names in left_out.items():
        mapped.beside.append(f"left out, for {reason_text}: {', '.join(names)}")
    _tell_of_accelerators(mapped, meant)
    _tell_of_channels(mapped, file)
    return mapped


def _wheel(mapped: Mapped, package: Package) -> None:
    spec, where = package.spec, package.where
    name = spec.normal_name
    distribution = _table()["renamed"].get(name) or (name if name in _same() else None)
    if distribution is None:
        mapped.issues.append(_unknown(package))
        return
    try:
        specifier = spec.specifier
    except NotASpecError as error:
        mapped.issues.append(Issue(where, f"got {plain(spec.text)!r}: {error}"))
        return
    if name in _table()["shorter"]:
        specifier = _widened(specifier)
    marker = f" ; {package.condition}" if isinstance(package.condition, str) else ""
    requirement = f"{distribution}{specifier}{marker}"
    text = plain(spec.text)
    mapped.wheels.append((where, requirement, text))
    mapped.notes.append(f"{where}: conda's {text!r} is taken as {requirement!r}")
    if spec.channel and spec.channel.partition("/")[0] not in _PUBLIC:
        what = f"{distribution!r} comes from the Python index, not from the channel"
        mapped.warnings.append(f"{where}: {what} {plain(spec.channel)!r}")


def _unknown(package: Package) -> Issue:
    name = package.spec.name
    if name.startswith(("r-", "bioconductor-")):
        what = f"conda package {name!r} is of R, which no wheel stands for"
        return Issue(package.where, what, f"remove it, or {_SOLVE}")
    if name.startswith("pypy"):
        return Issue(package.where, f"got {name!r}, expected CPython: there is no PyPy in a package")
    way = _table()["otherwise"].get(package.spec.normal_name) or (
        f"write {name!r} under 'pip:' if the Python index has it, by this name or another, "
        "or what it is for in 'system_packages', or remove it"
    )
    return Issue(package.where, f"conda package {name!r} has no known wheel", f"{way}, or {_SOLVE}")


def _widened(specifier: str) -> str:
    """Let a version of three parts mean all of four: `==4.8.1` is `==4.8.1.*`, `<=4.8.1` is `<4.8.2`."""
    clauses = []
    for clause in filter(None, specifier.split(",")):
        match = _OPERATOR.match(clause)
        assert match is not None
        operator, version = match[1], match[2]
        first, second, third = [*map(int, re.findall(r"\d+", version)), 0, 0][:3]
        next_one = f"{first}.{second}.{third + 1}"
        match operator:
            case "==" | "!=" if not version.endswith("*"):
                clauses.append(f"{operator}{version}.*")
            case "<=":
                clauses.append(f"<{next_one}")
            case ">":
                clauses.append(f">={next_one}")
            case _:
                clauses.append(clause)
    return ",".join(clauses)


def _accelerator(spec: MatchSpec, *, accelerated: bool) -> str | None:
    """Tell what a package says of the processor: `cpu`, `cuda`, or `cu118` where it names a version."""
    build, name = spec.build or "", spec.normal_name
    if name in {"cpuonly", "pytorch-cpu", "tensorflow-cpu"} or re.search(r"(?:\A|[_*])cpu", build):
        return "cpu"
    if "cuda" in build or "gpu" in build or name.endswith("-gpu"):
        match = _CUDA.search(build)
        return f"cu{match[1]}{match[2] or ''}" if match and len(match[1] + (match[2] or "")) == 3 else "cuda"
    if not accelerated:
        return None
    version = re.match(r"[=~]*(\d+)\.(\d+)", spec.version or "")
    named = name in {"pytorch-cuda", "cudatoolkit", "cuda-version", "cuda-toolkit", "cuda"}
    return f"cu{version[1]}{version[2]}" if named and version else "cuda"


def _tell_of_accelerators(mapped: Mapped, meant: Mapping[str, str]) -> None:
    versions = sorted(one for one in meant if accelerator.problem(one) is None and one != "cpu")
    if "cpu" in meant and len(meant) == 1:
        way = "'accelerator: cpu' chooses such builds of PyTorch"
        mapped.notes.append(f"{meant['cpu']} means the build for the processor alone: {way}")
    elif versions:
        way = f"'accelerator: {versions[0]}' chooses such builds of PyTorch"
        mapped.warnings.append(f"{meant[versions[0]]} asks for CUDA: {way}")
    elif cuda := next((one for one in meant if one != "cpu"), None):
        way = "'accelerator' chooses builds of PyTorch for one"
        mapped.warnings.append(f"{meant[cuda]} asks for CUDA: {way}")


def _tell_of_channels(mapped: Mapped, file: CondaFile) -> None:
    if not file.packages:
        return
    for where, channel in file.channels:
        if "://" in channel or channel.partition("/")[0] not in _PUBLIC:
            what = f"channel {plain(channel)!r} is not asked: what it alone has is not known"
            mapped.warnings.append(f"{where}: {what}")


def _reason(spec: MatchSpec) -> Mapping[str, Any] | None:
    """Find why a package is left out, None where it is not."""
    exact, patterns = _left_out()
    name = spec.normal_name
    return exact.get(name) or next((why for one, why in patterns if fnmatchcase(name, one)), None)


@cache
def _table() -> dict[str, Any]:
    return toml.parse(_TABLE.read_bytes(), _TABLE.name)


@cache
def _same() -> frozenset[str]:
    return frozenset(_table()["same"])


@cache
def _left_out() -> tuple[dict[str, Mapping[str, Any]], list[tuple[str, Mapping[str, Any]]]]:
    named = [(name, group) for group in _table()["left_out"] for name in group["names"]]
    return (
        {name: group for name, group in named if "*" not in name},
        [(name, group) for name, group in named if "*" in name],
    )
