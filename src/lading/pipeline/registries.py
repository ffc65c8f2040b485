"""A registry's name or file goes in; where it is comes out, and is remembered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lading import settings as configuration
from lading.core.assets import word_problem
from lading.core.errors import Issue, SpecError
from lading.core.ports import Events, ignore
from lading.settings import Place, Settings
from lading.spec.azureml import registry


@dataclass(frozen=True, slots=True)
class Declared:
    """A registry, and where it is."""

    name: str
    at: str

    def to_json(self) -> dict[str, str]:
        """Return it as JSON values."""
        return {"name": self.name, "at": self.at}


def create(
    settings: Settings,
    file: Path | None,
    overrides: Sequence[str] = (),
    *,
    name: str | None = None,
    at: str | None = None,
    events: Events = ignore,
) -> Declared:
    """Remember where a registry is; SpecError where that is no place, or another is declared by the name."""
    given = [f"{key}={value}" for key, value in (("name", name), ("at", at)) if value is not None]
    found = registry.load(file, [*overrides, *given], events)
    assert found.name is not None  # load insists
    assert found.at is not None
    if problem := word_problem(found.name, "name"):
        raise SpecError(Issue("registry", problem))
    wanted = Place.parse(found.at)
    there = settings.registries.get(found.name)
    if there is not None and there != wanted:
        fix = f"forget it first: lading registry delete -n {found.name}"
        raise SpecError(Issue(f"registry {found.name!r}", f"is declared already, at {there}", fix))
    declared = configuration.declared(settings.home)
    configuration.declare(settings.home, {**declared, found.name: wanted})
    return Declared(found.name, str(wanted))


def place(settings: Settings, name: str) -> Place:
    """Return where a registry is; SpecError, with those that are declared, for another."""
    if found := settings.registries.get(name):
        return found
    known = ", ".join(settings.registries) or "none"
    fix = f"declare it: lading registry create -n {name} --at registry.example.com/path"
    raise SpecError(Issue(f"registry {name!r}", f"is not declared; known: {known}", fix))


def show(settings: Settings, name: str) -> Declared:
    """Return a registry; SpecError where it is not declared."""
    return Declared(name, str(place(settings, name)))


def listed(settings: Settings) -> list[Declared]:
    """List what is declared, by the configuration file and by command."""
    return [Declared(name, str(one)) for name, one in sorted(settings.registries.items())]


def delete(settings: Settings, name: str) -> Declared:
    """Forget a registry; SpecError where it is not declared, or the configuration file declares it."""
    found = show(settings, name)
    declared = configuration.declared(settings.home)
    if name not in declared:
        raise SpecError(
            Issue(f"registry {name!r}", "is declared in the configuration file", "take it out there")
        )
    configuration.declare(settings.home, {key: one for key, one in declared.items() if key != name})
    return found
