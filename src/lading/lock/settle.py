"""A question and an older lock in; the question as it was when it was locked, where they agree, out.

What is installed where a model is packed tells versions that its files leave open. A lock has settled them:
it stays fresh on a machine that has other versions, or none, while it allows all that the files tell.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from lading.core.lock import Lock
from lading.core.model import Requirement
from lading.lock.question import Question

if TYPE_CHECKING:
    from packaging.requirements import Requirement as Parsed

_TOLD = ("pickle", "file")
_LEARNT = (*_TOLD, "installed")


def settled(question: Question, lock: Lock, *, python_told: bool, missing: bool) -> Iterator[Question]:
    """Yield the questions that the lock may have answered, instead of this one.

    `python_told`: the author or the model's files say which Python. `missing`: a module is needed that
    nothing installed here provides, so that the lock may have a distribution more.
    """
    stated = tuple(one for one in question.requirements if one.origin not in _LEARNT)
    learnt = {_name(one): one for one in question.requirements if one.origin in _LEARNT}
    locked = {_name(one): one for one in lock.requirements if one.origin in _LEARNT}
    more = [one for name, one in locked.items() if name not in learnt]
    if learnt.keys() - locked.keys() or (more and not (missing and all(map(_is_installed, more)))):
        return
    if not all(_agree(one, locked[name]) for name, one in learnt.items()):
        return
    kept = tuple(sorted(locked.values(), key=lambda one: one.text))
    pythons = [question.python] if python_told else [None, *_minors(lock)]
    for python in pythons:
        yield replace(question, requirements=(*stated, *kept), python=python)


def _minors(lock: Lock) -> Iterator[str]:
    yield from dict.fromkeys(one.interpreter.minor for one in lock.platforms)


def _name(requirement: Requirement) -> str:
    from packaging.utils import canonicalize_name

    return canonicalize_name(_parsed(requirement).name)


def _parsed(requirement: Requirement) -> Parsed:
    from packaging.requirements import Requirement as Parser

    return Parser(requirement.text)


def _is_installed(requirement: Requirement) -> bool:
    return requirement.origin == "installed"


def _agree(told: Requirement, locked: Requirement) -> bool:
    """Tell whether what is locked is what the files tell, as far as they do."""
    if told == locked:
        return True
    one, other = _parsed(told), _parsed(locked)
    if told.origin == locked.origin in _TOLD or (one.marker, one.url) != (other.marker, other.url):
        return False
    if told.origin == locked.origin:
        # the files leave it open; another major version tells of another training
        return _pins(one)[:1] == _pins(other)[:1]
    pinned, left_open = (one, other) if told.origin == "installed" else (other, one)
    versions = [each.version for each in pinned.specifier]
    return all(left_open.specifier.contains(each, prereleases=True) for each in versions)


def _pins(requirement: Parsed) -> tuple[int, ...]:
    """Return the release that an installed distribution has: its requirement is `name==version`."""
    from packaging.version import Version

    return Version(next(iter(requirement.specifier)).version).release
