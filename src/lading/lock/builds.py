"""A requirement that a model's files tell, and an accelerator → the build of the library that serves it."""

from __future__ import annotations

_FOR_CPU = {
    "tensorflow": ("tensorflow-cpu", "2.1.0", ("2.12.1", "2.15.1", "2.18.1", "2.21.0", "999")),
    "xgboost": ("xgboost-cpu", "2.1.1", ("2.1.4", "3.0.5", "999")),
}
"""A library → its build without CUDA (XGBoost's has 5 MB instead of 400), its first version, and others."""
_FOR_CUDA = {"onnxruntime": "onnxruntime-gpu[cuda,cudnn]"}
"""A library → its build for CUDA, with CUDA's own libraries, which no base of ours has."""


def chosen(requirement: str, accelerator: str | None) -> str:
    """Return the requirement of the build for an accelerator; the same where there is no other.

    `requirement` is a name with versions behind it, as a model's files tell it (PEP 508 without extras).
    """
    name = requirement.partition(";")[0].rstrip()
    for mark in "=<>!~ [":
        name = name.partition(mark)[0]
    versions = requirement[len(name) :]
    if accelerator is not None and accelerator.startswith("cu"):
        return f"{_FOR_CUDA[name]}{versions}" if name in _FOR_CUDA else requirement
    if name in _FOR_CPU and accelerator in {None, "cpu"}:
        build, first, known = _FOR_CPU[name]
        return f"{build}{versions}" if _allows(versions, first, known) else requirement
    return requirement


def _allows(versions: str, first: str, known: tuple[str, ...]) -> bool:
    """Tell whether a build has a version that is asked for: some release, or one that is not older."""
    from packaging.specifiers import SpecifierSet
    from packaging.version import Version

    allowed = SpecifierSet(versions.partition(";")[0])
    pins = [Version(one.version) for one in allowed if one.operator == "==" and "*" not in one.version]
    if pins:
        return pins[0] >= Version(first)
    return any(allowed.contains(one) for one in known)
