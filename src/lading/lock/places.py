"""A base and a question → where wheels are to run: the base pinned, its Pythons, and what conda brings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from lading.core.errors import Issue, LockError
from lading.core.lock import (
    NO_PYTHON,
    BaseFacts,
    Interpreter,
    LockedBase,
    LockedConda,
    LockedWheel,
    PlatformLock,
)
from lading.core.platform import Platform
from lading.core.ports import Event, Events
from lading.core.server import NATIVE
from lading.lock import conda_solve, provided
from lading.lock.conda import CondaFile
from lading.lock.conda_solve import SolveConda
from lading.lock.interpreter import BringPython, Chosen, beside, settle
from lading.lock.python import Target
from lading.lock.question import Question
from lading.lock.sources import Sources

if TYPE_CHECKING:
    from concurrent.futures import Future

ResolveBase = Callable[[str, Platform], BaseFacts]
"""A base's reference → what of it a package gets; system packages are the caller's to add."""
Holds = Literal["model", "server", "both"]
"""What an environment is of."""


@dataclass(frozen=True, slots=True)
class Pin:
    """Pins the base and the Pythons of a platform, and conda's packages."""

    question: Question
    read: Sources
    chosen: Chosen
    allows: Callable[[str], bool]
    resolve_base: ResolveBase
    bring_python: BringPython
    solve_conda: SolveConda | None
    events: Events

    def __call__(self, platform: Platform) -> Pinned:
        facts = self.resolve_base(self.chosen.reference, platform)
        serves = self.question.server.name == NATIVE
        if self.read.conda_file and self.solve_conda:
            return self._solved(self.read.conda_file, self.solve_conda, platform, facts)
        if self._needs_no_python(facts):
            return Pinned(facts.base, NO_PYTHON, None)
        pinned = settle(self.chosen, platform, facts, self.bring_python, allows=self.allows, serves=serves)
        if not self.allows(pinned[1].minor):
            wanted = self.read.requires_python
            what = f"got Python {pinned[1].minor}, and the requirements are for Python {wanted}"
            raise LockError(Issue("python", what, "choose another base, or another Python"))
        self._tell(facts, pinned[1])
        return Pinned(*pinned)

    def _needs_no_python(self, facts: BaseFacts) -> bool:
        """Tell whether all that runs is what the base brings: then none is added to it."""
        asked = self.question.requirements or self.question.python or self.question.server.requirements
        listed = self.read.requirements or self.read.pylock or self.read.python
        return not (asked or listed or facts.interpreters or self.question.server.name == NATIVE)

    def _tell(self, facts: BaseFacts, python: Interpreter) -> None:
        """Tell where the Python is not quite the one that was asked for, or that the base seems to have."""
        asked = self.question.python or self.read.python
        if asked and asked.count(".") > 1 and asked != python.version:
            what = f"Python {asked} was asked for, and {python.version}, of the same minor version, is taken"
            self.events(Event("lock", "warning", what))
        if facts.base.image and self.chosen.minor is None and python not in facts.interpreters:
            what = (
                f"{facts.base.reference} has no Python that a package can run on: {python.version} is added"
            )
            self.events(Event("lock", "warning", what))

    def _solved(self, file: CondaFile, solve: SolveConda, platform: Platform, facts: BaseFacts) -> Pinned:
        asked = self.question.python
        packages = solve(file, platform, facts.base, asked)
        python = conda_solve.interpreter(packages)
        if asked and asked.split(".")[:2] != python.version.split(".")[:2]:
            what = f"Python {python.minor} comes from conda, and {asked} is asked for"
            self.events(Event("lock", "warning", what))
        serves = self.question.server.name == NATIVE
        base, second = beside(python, platform, facts, self.bring_python) if serves else (facts.base, None)
        return Pinned(base, python, second, packages)


class Pinned(NamedTuple):
    """A base, the model's Python, the server's where that needs another, and conda's packages."""

    base: LockedBase
    interpreter: Interpreter
    second: Interpreter | None
    conda: tuple[LockedConda, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """Where wheels are to run."""

    platform: Platform
    chosen: Chosen
    pinned: Future[Pinned]
    """The base, while it is being pinned beside all else."""

    def assumed(self, holds: Holds) -> Target | None:
        """Return the target that wheels are probably for, None where the base has to be read first."""
        suite = self.chosen.suite
        if suite is None or suite.python != self.chosen.minor:
            return None
        return Target(self.platform, suite.release, suite.libc) if holds != "server" else None

    def target(self, holds: Holds) -> Target:
        """Return the target of an environment, once the base is pinned."""
        base, interpreter, second, _ = self.pinned.result()
        python = second if second and holds == "server" else interpreter
        return Target(self.platform, python.version, base.libc)

    def provided(self, holds: Holds) -> Mapping[str, str]:
        """Return the distributions that an environment sees already, by name, with their versions."""
        return provided.versions(self.pinned.result().conda) if holds != "server" else {}

    def locked(self, model: tuple[LockedWheel, ...], server: tuple[LockedWheel, ...]) -> PlatformLock:
        """Put together what this place gets."""
        base, interpreter, second, packages = self.pinned.result()
        return PlatformLock(self.platform, base, interpreter, model, server, second, packages)
