"""A model's URI and the stores that know it in; where its artifacts lie, and how it was made, out.

Source: `mlflow/store/artifact/{models,runs}_artifact_repo.py`. Of what a run and a model logged by it have
under one name the model is taken.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from urllib.parse import unquote, urlsplit

from lading.core.errors import IntegrityError, Issue, RegistryError, without_secrets
from lading.core.tracked import ModelURI, Record, is_tracked
from lading.tracking.kept import READY, Logged, Made, Run, Store, Version

_MOST_STEPS = 5
_MOST_TOLD = 12


@dataclass(frozen=True, slots=True)
class Found:
    """Where artifacts lie, and what the server could be asked for them by, besides."""

    location: str
    """A URI of another scheme than `models` and `runs`, or a path."""
    told_by: Store | None
    """Who says so; None is the user."""
    record: Record
    run_id: str | None = None
    model_id: str | None = None
    path: str = ""
    """Below the run's, or else the logged model's, artifacts."""


def find(uri: ModelURI, tracking: Store, registry: Store) -> Found:
    """Follow a URI to its artifacts; RegistryError, with what there is, for what is not there."""
    finder = _Finder(uri, tracking, registry)
    record = Record(uri.text, None if tracking.is_local else tracking.name)
    found = finder.follow(uri, record, None)
    location = found.location
    is_here = not urlsplit(location).scheme or location.startswith("file:")
    told = None if is_here else without_secrets(location.partition("?")[0])
    return replace(found, record=replace(found.record, location=told))


class _Finder:
    """Follows one URI from store to store."""

    def __init__(self, uri: ModelURI, tracking: Store, registry: Store) -> None:
        self._uri, self._tracking, self._registry = uri, tracking, registry
        self._steps = 0

    def follow(self, uri: ModelURI, record: Record, told_by: Store | None) -> Found:
        """Take one step: from a name to a version, a model or a run, or from these to a place."""
        self._steps += 1
        if self._steps > _MOST_STEPS:
            raise IntegrityError(Issue(self._where, "leads from one URI to the next without end"))
        if uri.asked == "artifacts":
            return Found(uri.text, told_by, record)
        if uri.asked == "run":
            return self._of_run(uri, record)
        if uri.asked == "model_id":
            return self._of_model(self._logged(uri.which), uri.path, record)
        return self._of_version(self._version(uri), uri.path, record)

    @property
    def _where(self) -> str:
        return str(self._uri)

    def _of_version(self, version: Version, path: str, record: Record) -> Found:
        if version.status != READY:
            what = f"version {version.version} of {version.name!r} is {version.status}, and not {READY}"
            raise RegistryError(Issue(self._where, what, "wait for it, or register it again"))
        record = replace(record, name=version.name, version=version.version)
        record = replace(record, run_id=version.run_id, model_id=version.model_id)
        location = _below(version.location, path)
        if is_tracked(location):
            uri = ModelURI.parse(location)
            if uri.asked != "artifacts":
                return self.follow(uri, record, self._registry)
        logged = self._tracking.logged(version.model_id) if version.model_id else None
        run = self._tracking.run(version.run_id) if version.run_id else None
        record = _with(record, [one.made for one in (logged, run) if one])
        found = Found(location, self._registry, record)
        return _asked_by(found, logged, run)

    def _of_model(self, logged: Logged, path: str, record: Record) -> Found:
        if logged.status not in {READY, "UNSPECIFIED"}:
            what = f"the logged model {logged.model_id} is {logged.status}, and not {READY}"
            raise RegistryError(Issue(self._where, what, "wait for it, or log it again"))
        run = self._tracking.run(logged.run_id) if logged.run_id else None
        record = replace(record, model_id=logged.model_id, run_id=record.run_id or logged.run_id)
        record = _with(record, [one.made for one in (logged, run) if one])
        found = Found(_below(logged.location, path), self._tracking, record)
        return _asked_by(found, logged, run)

    def _of_run(self, uri: ModelURI, record: Record) -> Found:
        run = self._tracking.run(uri.which)
        if run is None:
            fix = _elsewhere(self._tracking)
            raise RegistryError(
                Issue(self._where, f"there is no run {uri.which!r} at {self._tracking.name}", fix)
            )
        record = replace(record, run_id=run.run_id)
        name, _, path = uri.path.partition("/")
        if name and (logged := self._tracking.logged_by(run, name)):
            return self._of_model(logged, path, record)
        found = Found(_below(run.location, uri.path), self._tracking, _with(record, [run.made]))
        return replace(found, run_id=run.run_id, path=uri.path)

    def _logged(self, model_id: str) -> Logged:
        found = self._tracking.logged(model_id)
        if found is None:
            what = f"there is no logged model {model_id!r} at {self._tracking.name}"
            if model_id.startswith("m-"):
                raise RegistryError(Issue(self._where, what, _elsewhere(self._tracking)))
            fix = f"name a version or an alias: models:/{model_id}/VERSION or models:/{model_id}@ALIAS"
            raise RegistryError(Issue(self._where, what, fix))
        return found

    def _version(self, uri: ModelURI) -> Version:
        registry, name = self._registry, uri.name
        version = uri.which
        if uri.asked == "alias":
            aliases = registry.aliases(name)
            if uri.which not in aliases:
                self._refuse_name(name)
                raise RegistryError(
                    Issue(self._where, f"{name!r} has no alias {uri.which!r}", _there("aliases", aliases))
                )
            version = aliases[uri.which]
        elif uri.asked in {"latest", "stage"}:
            version = self._latest(uri)
        found = registry.version(name, version)
        if found is None:
            self._refuse_name(name)
            there = sorted((one.version for one in registry.versions(name)), key=_number)
            fix = _there("versions", there) if registry.is_local else _there("latest versions", there)
            raise RegistryError(Issue(self._where, f"{name!r} has no version {version}", fix))
        return found

    def _latest(self, uri: ModelURI) -> str:
        """Find the highest version, of all or of a stage."""
        versions = self._registry.versions(uri.name)
        is_any = uri.asked == "latest"
        fitting = [one for one in versions if is_any or one.stage.lower() == uri.which.lower()]
        if not fitting:
            self._refuse_name(uri.name)
            if is_any:
                raise RegistryError(Issue(self._where, f"{uri.name!r} has no versions", "register one"))
            stages = sorted({one.stage for one in versions})
            what = f"{uri.name!r} has no version in the stage {uri.which!r}"
            raise RegistryError(Issue(self._where, what, _there("stages with versions", stages)))
        return max((one.version for one in fitting), key=_number)

    def _refuse_name(self, name: str) -> None:
        """Raise RegistryError where nothing of a name is registered."""
        registry = self._registry
        names = registry.names()
        if name not in names and not registry.versions(name) and not registry.aliases(name):
            near = difflib.get_close_matches(name, names, 1)
            fix = f"did you mean {near[0]!r}?" if near else _there("registered models", names)
            raise RegistryError(
                Issue(self._where, f"no model {name!r} is registered at {registry.name}", fix)
            )


def _asked_by(found: Found, logged: Logged | None, run: Run | None) -> Found:
    """Say what the server could be asked by, where it lets nobody else at the artifacts."""
    for one in (logged, run):
        if one and one.location and f"{found.location}/".startswith(f"{one.location.rstrip('/')}/"):
            path = found.location[len(one.location.rstrip("/")) :].strip("/")
            if isinstance(one, Run):
                return replace(found, run_id=one.run_id, path=path)
            return replace(found, model_id=one.model_id, path=path)
    return found


def _with(record: Record, made: Iterable[Made]) -> Record:
    """Add how it was made: a logged model's own before its run's."""
    commit: str | None = None
    metrics: dict[str, float] = {}
    params: dict[str, str] = {}
    for one in made:
        commit = commit or one.commit
        metrics = {**one.metrics, **metrics}
        params = {**one.params, **params}
    return replace(record, commit=commit, metrics=metrics, params=params)


def _below(location: str, path: str) -> str:
    return f"{location.rstrip('/')}/{path}" if path else location


def _number(version: str) -> int:
    return int(version) if version.isdecimal() else 0


def _there(what: str, names: Iterable[str]) -> str:
    listed = sorted(names, key=lambda one: (_number(one), one))
    if not listed:
        return f"there are no {what}"
    more = f" and {len(listed) - _MOST_TOLD} more" if len(listed) > _MOST_TOLD else ""
    return f"{what} there: {', '.join(listed[:_MOST_TOLD])}{more}"


def _elsewhere(store: Store) -> str:
    return f"MLFLOW_TRACKING_URI names {store.name}: is it kept elsewhere?"


def local_path(location: str) -> str:
    """Return the path that a location on this machine means."""
    if location.startswith("file:"):
        parts = urlsplit(location)
        if parts.netloc not in {"", "localhost"}:
            raise RegistryError(
                Issue(without_secrets(location), "names another machine, expected file:///path")
            )
        return unquote(parts.path)
    return location
