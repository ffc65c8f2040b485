"""A server and the version asked of it → its requirements, and how far back the resolver went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lading.core.errors import Issue, LockError, SpecError
from lading.core.server import NATIVE, ServerNeeds
from lading.lock import conflicts
from lading.lock.asked import Asked, demand_for
from lading.lock.python import Answer, Demand, Target, Uv
from lading.lock.sources import name_of
from lading.lock.ways import Ways, version_in

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet

_WHERE = "server version"
_WELL_KNOWN_PYTHON = "3.12"
"""One that the newest releases of servers are for."""


def requirements(server: ServerNeeds, version: str | None) -> tuple[str, ...]:
    """Return a server's requirements, the first of which, the server itself, in the version asked for.

    `version` is a version (`1.4.1`) or specifiers (`>=1.4,<2`). Raises SpecError where it is neither, and
    where the server has no version to choose.
    """
    if version is None:
        return server.requirements
    if server.name == NATIVE:
        what = f"got {version!r}, and the server {NATIVE!r} is lading's own, of its version"
        raise SpecError(Issue(_WHERE, what, "leave it out, or install another lading"))
    if not server.requirements:
        what = f"got {version!r}, and the server {server.name!r} is no Python package"
        raise SpecError(Issue(_WHERE, what, "leave it out, and name an image that has it in that version"))
    from packaging.requirements import Requirement

    own = Requirement(server.requirements[0])
    own.specifier = _specifiers(version)
    return (str(own), *server.requirements[1:])


def _specifiers(text: str) -> SpecifierSet:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet
    from packaging.version import InvalidVersion, Version

    try:
        return SpecifierSet(f"=={Version(text)}")
    except InvalidVersion:
        pass
    try:
        return SpecifierSet(text)
    except InvalidSpecifier as error:
        what = f"got {text!r}, expected a version such as '1.4.1', or versions such as '>=1.4,<2'"
        raise SpecError(Issue(_WHERE, what)) from error


@dataclass(frozen=True, slots=True)
class Look:
    """Looks whether the resolver went back to an old version of the server that nobody has asked for."""

    asked: Sequence[Asked]
    limits: Demand
    target: Target
    uv: Uv

    def back(self, answer: Answer) -> str | None:
        """Tell of an older version of the server than its newest, and why; None where it is the newest.

        Raises LockError where the newest is of another major version: that is no choice to make unasked.
        """
        own = next((one for one in self.asked if one.own), None)
        if own is None or self._is_asked_for(own):
            return None
        name = name_of(own.text)
        taken, newest = version_in(answer.text, name), self._newest(own)
        if newest is None or taken in {newest, "left out"}:
            return None
        wanted = replace(own, text=f"{_bare(own.text)}=={newest}", chosen=True)
        asked = [wanted if one is own else one for one in self.asked]
        core, why = self._why(asked, newest)
        if _major(taken) == _major(newest):
            return f"{name} {taken} was taken, newest is {newest}, {why}"
        what = f"{name} {taken} would be taken, of another major version than the newest, {newest}, {why}"
        fix = ", or ".join(Ways(asked, self.limits, self.target, self.uv).tried(core))
        raise LockError(
            Issue(f"server ({own.origin})", what, fix or f"ask for version {taken} of the server")
        )

    def _why(self, asked: Sequence[Asked], newest: str) -> tuple[list[Asked], str]:
        """Say what keeps the newest version of the server away, and the minimal set that does."""
        answer = self.uv.compile(demand_for(asked, self.limits), self.target)
        if answer.solved:
            why = f"because other packages are newer so: ask for version {newest} of the server to have it"
            return [one for one in asked if one.own], why
        if answer.lacks_network:
            return [one for one in asked if one.own], "and without the network there is no telling why"
        core, clause = conflicts.reason(asked, self.limits, self.target, self.uv, answer)
        return core, f"because {clause}"

    def _is_asked_for(self, own: Asked) -> bool:
        """Tell whether the author, or the model, says which version of the server it is to be."""
        name = name_of(own.text)
        texts = [*(one.text for one in self.asked if one.side == "model"), *self.limits.constraints]
        return own.chosen or any(_is_bound(one) for one in texts if name_of(one) == name)

    def _newest(self, own: Asked) -> str | None:
        """Find the newest version of the server alone, on this Python or on one that is well known."""
        from packaging.version import Version

        pythons = dict.fromkeys((self.target.minor, _WELL_KNOWN_PYTHON))
        # what the author's constraints keep away is newer all the same
        demand = replace(self.limits, sides={"server": (own.text,)}, constraints=())
        found = []
        for target in (replace(self.target, python=one) for one in pythons):
            answer = self.uv.compile(demand, target)
            if answer.solved:
                found.append(version_in(answer.text, name_of(own.text)))
        versions = [one for one in found if one != "left out"]
        return max(versions, key=Version) if versions else None


def _is_bound(text: str) -> bool:
    """Tell whether a requirement says anything of a version."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        return True
    return bool(requirement.specifier or requirement.url)


def _bare(text: str) -> str:
    from packaging.requirements import Requirement

    requirement = Requirement(text)
    return requirement.name + (f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else "")


def _major(version: str) -> tuple[int, int]:
    from packaging.version import Version

    return Version(version).epoch, Version(version).major
