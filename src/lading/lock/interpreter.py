"""What the user says of base and Python → a base, its Debian suite and a Python version."""

from __future__ import annotations

from typing import NamedTuple

from lading.core.errors import Issue, LockError
from lading.core.spec import BASES

DEFAULT = "bookworm"


class Suite(NamedTuple):
    """What a Debian release brings along."""

    python: str
    release: str
    """The Python's full version; a stable release of Debian keeps it."""
    glibc: tuple[int, int]


SUITES = {
    "bookworm": Suite(BASES["debian:bookworm"], "3.11.2", (2, 36)),
    "trixie": Suite(BASES["debian:trixie"], "3.13.5", (2, 41)),
    "bullseye": Suite(BASES["debian:bullseye"], "3.9.2", (2, 31)),
}
"""In the order in which they are preferred."""


class Chosen(NamedTuple):
    """A base reference (`debian:bookworm`), its suite and its Python's minor version (`3.11`)."""

    reference: str
    suite: str
    minor: str


def choose(base: str | None, python: str | None) -> Chosen:
    """Choose a base and a Python that go together.

    `base` is `debian:SUITE` or None, `python` a version such as `3.11` or `3.11.7` (of which the first two
    numbers count) or None. Raises LockError, listing the ways, where nothing has both.
    """
    minor = ".".join(python.split(".")[:2]) if python else None
    suite = _suite(base) if base else None
    if suite is None:
        suite = next((name for name in SUITES if minor in {None, SUITES[name].python}), None)
    if suite is None:
        what = f"got Python {python!r}, expected one that a base has: {ways()}"
        fix = "choose one of these with 'python' in the spec or --python"
        raise LockError(Issue("python", what, fix))
    if minor not in {None, SUITES[suite].python}:
        what = f"got Python {python!r} with base {base!r}, which has Python {SUITES[suite].python}"
        raise LockError(Issue("python", what, f"let either go, or choose a pair of: {ways()}"))
    return Chosen(f"debian:{suite}", suite, SUITES[suite].python)


def ways() -> str:
    """List the Pythons there are, and the base that brings each."""
    return ", ".join(f"{suite.python} (debian:{name})" for name, suite in SUITES.items())


def _suite(base: str) -> str:
    distribution, _, suite = base.partition(":")
    if distribution != "debian" or suite not in SUITES:
        expected = " or ".join(repr(f"debian:{name}") for name in SUITES)
        raise LockError(Issue("base", f"got {base!r}, expected {expected}"))
    return suite
