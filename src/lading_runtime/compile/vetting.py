"""A model in, whether all of it is its libraries' own: what is known of their classes holds for it then."""

# models have no type here
# ruff: noqa: ANN401

from __future__ import annotations

import sys
from typing import Any

from lading_runtime.compile.notes import NotCompiled
from lading_runtime.loaders import forest

_LIBRARIES = {"xgboost", "lightgbm"} | frozenset(
    ("builtins", "collections", "ctypes", "functools", "mmap", "numpy", "pandas", "scipy", "sklearn")
)
_HEAP_TYPE = 1 << 9
"""The flag of a class that Python text has made; what C has made cannot be changed."""


def vet(model: Any, method: str) -> None:
    """Raise NotCompiled where a part of a model is of a class, or has a method, that is not its library's."""
    answers: Any = getattr(type(model), method, None)
    if _library(answers) not in _LIBRARIES:
        raise NotCompiled(f"{method!r} is not the library's own")
    seen: set[int] = set()
    kept, left = [], [model]  # kept, so that no number is given twice
    while left:
        one = left.pop()
        if id(one) in seen or isinstance(one, (str, bytes, int, float, type(None))):
            continue
        seen.add(id(one))
        kept.append(one)
        left += _parts(one)


def _parts(one: Any) -> list[Any]:
    """Vet one object; return what it holds."""
    if type(one) in {list, tuple, set, frozenset}:
        return list(one)
    if type(one) is dict:
        return list(one.values())
    is_defined = isinstance(one, type) or hasattr(one, "__code__")
    made = one if is_defined else type(one)
    if not _is_own(made):
        raise NotCompiled(f"{made.__module__}.{made.__qualname__}, which is not a library's own")
    if is_defined:
        return []
    if getattr(getattr(one, "dtype", None), "kind", "") == "O" and hasattr(one, "ravel"):
        return list(one.ravel())
    held = getattr(one, "__dict__", {})
    for name in [name for name, value in held.items() if _module(value) != forest.__name__]:
        if callable(getattr(type(one), name, None)):
            raise NotCompiled(f"{type(one).__qualname__} has a {name!r} of its own")
    return [value for value in held.values() if _module(value) != forest.__name__]  # which proves its own


def _is_own(made: Any) -> bool:
    if isinstance(made, type) and not made.__flags__ & _HEAP_TYPE:
        return True
    if _library(made) not in _LIBRARIES:
        return False
    found: Any = sys.modules.get(made.__module__)
    for name in made.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is made or not isinstance(made, type)


def _library(one: Any) -> str:
    return _module(one).partition(".")[0]


def _module(one: Any) -> str:
    return str(getattr(one, "__module__", None) or "")
