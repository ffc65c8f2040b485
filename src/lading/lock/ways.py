"""A demand that cannot be met → the smallest changes that help, each of them tried."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from lading.core.spec import PYTHONS
from lading.lock import toml
from lading.lock.asked import Asked, demand_for
from lading.lock.python import Demand, Target, Uv
from lading.lock.sources import name_of

_SUGGESTIONS = 2
_MOST_PYTHONS = 4
NATIVE = "take the server 'lading', whose environment is its own, so that it cannot clash with the model's"


@dataclass(frozen=True, slots=True)
class Ways:
    """Tries changes to what is asked for together."""

    asked: Sequence[Asked]
    limits: Demand
    target: Target
    uv: Uv

    @property
    def jointly(self) -> bool:
        """Tell whether a server shares the model's environment."""
        return {one.side for one in self.asked} == {"model", "server"}

    def change(self, core: Sequence[Asked]) -> str:
        """Say what helps against a minimal set that fails."""
        tried = ", or ".join(self.tried(core))
        return tried or f"drop or loosen one of {', '.join(repr(one.text) for one in core)}"

    def tried(self, core: Sequence[Asked]) -> list[str]:
        """List the changes that help: to the server, to one of the model's own, to what surrounds them."""
        return [*self._of_server(core), *self._of_pins(core), *self._elsewhere(core)]

    def _elsewhere(self, core: Sequence[Asked]) -> Iterator[str]:
        """Say which other Python helps, and whether the native server does."""
        if not self.jointly or not any(one.side == "server" for one in core):
            return
        if python := self._python():
            yield f"take Python {python}"
        if self._solved([one for one in self.asked if one.side == "model"], self.target):
            yield NATIVE

    def _of_server(self, core: Sequence[Asked]) -> Iterator[str]:
        """Give up the version that was asked for of the server itself."""
        own = next((one for one in core if one.own and one.chosen), None)
        if own is None or not self.jointly:
            return
        loose = _without_versions(own.text)
        if loose and (version := self._instead(own, loose)):
            yield f"take version {version} of the server"

    def _of_pins(self, core: Sequence[Asked]) -> list[str]:
        """Give up the versions of one requirement at a time, the model's own; else the server's."""
        helpful: list[str] = []
        for one in sorted(core, key=lambda one: one.side == "server"):
            if one.side == "server" and (helpful or self.jointly):
                # the author can change the model's requirements, the server's only by changing the server
                break
            for loose in filter(None, (_near(one.text), _without_versions(one.text))):
                if version := self._instead(one, loose):
                    owner = f"the {one.side}'s " if one.side == "server" else ""
                    helpful.append(f"{loose!r} instead of {owner}{one.text!r} (it would be {version})")
                    break
            if len(helpful) == _SUGGESTIONS:
                break
        return ["ask for " + ", or for ".join(helpful)] if helpful else []

    def _python(self) -> str | None:
        """Find the nearest other Python on which all of it can be had."""
        here = int(self.target.minor.partition(".")[2])
        minors = sorted((abs(int(one[2:]) - here), -int(one[2:]), one) for one in PYTHONS)
        for _, _, minor in minors[1 : _MOST_PYTHONS + 1]:
            if self._solved(self.asked, replace(self.target, python=minor)):
                return minor
        return None

    def _instead(self, one: Asked, text: str) -> str | None:
        """Tell the version that another text of a requirement brings; None where it does not help."""
        changed = [replace(other, text=text) if other is one else other for other in self.asked]
        answer = self.uv.compile(demand_for(changed, self.limits), self.target)
        return version_in(answer.text, name_of(text)) if answer.solved else None

    def _solved(self, asked: Sequence[Asked], target: Target) -> bool:
        return self.uv.compile(demand_for(asked, self.limits), target).solved


def version_in(pylock: str, name: str) -> str:
    """Tell which version of a package uv's answer holds."""
    packages = toml.parse(pylock.encode(), "pylock.toml").get("packages", [])
    return next((str(one.get("version")) for one in packages if one.get("name") == name), "left out")


def _near(text: str) -> str | None:
    """Loosen a pin to the versions of its own series, as `numpy==1.26.4` to `numpy~=1.26`."""
    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet
    from packaging.version import InvalidVersion, Version

    requirement = Requirement(text)
    pins = [one.version for one in requirement.specifier if one.operator == "=="]
    try:
        release = Version(pins[0]).release if len(pins) == 1 == len(requirement.specifier) else ()
    except InvalidVersion:  # `1.26.*`
        return None
    if len(release) < 2:
        return None
    requirement.specifier = SpecifierSet(f"~={release[0]}.{release[1]}")
    return str(requirement)


def _without_versions(text: str) -> str | None:
    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet

    requirement = Requirement(text)
    if not requirement.specifier:
        return None
    requirement.specifier = SpecifierSet()
    return str(requirement)
