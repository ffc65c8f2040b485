"""What the user says of base and Python, and what a base holds → the Pythons of a package."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from lading.core.bases import BASES
from lading.core.errors import Issue, LockError
from lading.core.lock import BaseFacts, Interpreter, LockedBase
from lading.core.platform import Libc, Platform
from lading.core.spec import PYTHONS

DEFAULT = "bookworm"
OLDEST_OF_SERVER = (3, 10)
"""The native server's own libraries are not made for an older one."""
_SECOND = ("3.12", "3.13", "3.11", "3.14", "3.10")


class Suite(NamedTuple):
    """What a Debian release brings along."""

    python: str
    release: str
    """The Python's full version; a stable release of Debian keeps it."""
    libc: Libc


SUITES = {
    "bookworm": Suite(BASES["debian:bookworm"], "3.11.2", Libc("glibc", 2, 36)),
    "trixie": Suite(BASES["debian:trixie"], "3.13.5", Libc("glibc", 2, 41)),
    "bullseye": Suite(BASES["debian:bullseye"], "3.9.2", Libc("glibc", 2, 31)),
}
"""In the order in which they are preferred."""


class Chosen(NamedTuple):
    """A base reference and the Python's minor version (`3.11`); None: whatever the base has."""

    reference: str
    minor: str | None

    @property
    def suite(self) -> Suite | None:
        """Return what is known of the base before it is read."""
        return SUITES.get(self.reference.removeprefix("debian:"))


BringPython = Callable[[Sequence[str], Platform, LockedBase], tuple[LockedBase, Interpreter]]
"""Adds to a base the first of some Pythons (`3.9`) that can be had; LockError where none can."""


def choose(base: str | None, python: str | None) -> Chosen:
    """Choose a base and a Python that go together.

    `base` is a reference or None, `python` a version such as `3.11` or `3.11.7` (of which the first two
    numbers count) or None. Where no base is named, one that brings the Python is taken. Raises LockError for
    a Python that nothing provides.
    """
    minor = ".".join(python.split(".")[:2]) if python else None
    if minor and minor not in PYTHONS:
        what = f"got Python {python!r}, expected {PYTHONS[0]} to {PYTHONS[-1]}"
        raise LockError(Issue("python", what, "choose one of these with 'python' in the spec or --python"))
    if base is None:
        # the server needs a newer Python than bullseye's, and an older Python is easily added to a newer base
        suites = (name for name, one in SUITES.items() if one.python == minor and not _is_old(one.python))
        return Chosen(f"debian:{next(suites, DEFAULT)}", minor or SUITES[DEFAULT].python)
    suite = SUITES.get(base.removeprefix("debian:")) if base.startswith("debian:") else None
    return Chosen(base, minor or (suite.python if suite else None))


def settle(
    chosen: Chosen,
    platform: Platform,
    facts: BaseFacts,
    bring: BringPython,
    *,
    allows: Callable[[str], bool],
    serves: bool,
) -> tuple[LockedBase, Interpreter, Interpreter | None]:
    """Take the model's Python from a base, or add it; and a second for the native server where that is old.

    `allows` tells whether the requirements run on a minor version. Raises LockError where none can be had.
    """
    base = facts.base
    # as the base lists them: the one that its own PATH finds comes first
    own = facts.interpreters
    fitting = (one for one in own if (chosen.minor or one.minor) == one.minor and allows(one.minor))
    model = next(fitting, None)
    if model is None:
        wanted = (chosen.minor,) if chosen.minor else tuple(filter(allows, known()))
        base, model = bring(wanted, platform, base)
    base, second = beside(model, platform, replace(facts, base=base), bring) if serves else (base, None)
    return base, model, second


def beside(
    model: Interpreter, platform: Platform, facts: BaseFacts, bring: BringPython
) -> tuple[LockedBase, Interpreter | None]:
    """Take a second Python from a base, or add it, for the native server where the model's is old."""
    if not _is_old(model.minor):
        return facts.base, None
    second = next((one for one in facts.interpreters if not _is_old(one.minor)), None)
    return (facts.base, second) if second else bring(_SECOND, platform, facts.base)


def ways() -> str:
    """List the Pythons that bases bring, and the base that brings each."""
    return ", ".join(f"{suite.python} (debian:{name})" for name, suite in SUITES.items())


def known() -> Iterable[str]:
    """List the minor versions that can be had: those that need no second first, Debian's before others."""
    debian = (suite.python for suite in SUITES.values() if not _is_old(suite.python))
    return dict.fromkeys((*debian, *_SECOND, *reversed(PYTHONS)))


def _is_old(minor: str) -> bool:
    return _numbers(minor) < OLDEST_OF_SERVER


def _numbers(minor: str) -> tuple[int, ...]:
    return tuple(map(int, minor.split(".")))
