"""Libraries that are distributed in several builds under names of their own.

Their wheels have the same modules, so that no two may be in one environment.
"""

from __future__ import annotations

_LIBRARIES = {
    "onnxruntime-gpu": "onnxruntime",
    "tensorflow-cpu": "tensorflow",
    "xgboost-cpu": "xgboost",
}
"""A build → the library by the name that models tell."""


def library_of(distribution: str) -> str:
    """Name the library that a distribution is a build of; itself where there is but one."""
    return _LIBRARIES.get(distribution, distribution)


def builds_of(library: str) -> tuple[str, ...]:
    """List the distributions that may have a library, the one of its own name first."""
    return (library, *(build for build, of in _LIBRARIES.items() if of == library))
