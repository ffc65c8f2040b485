"""What a tracking store keeps, and the questions that each kind of store answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

COMMIT = "mlflow.source.git.commit"
READY = "READY"


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a registered model."""

    name: str
    version: str
    location: str
    """The URI of its artifacts, or of what it was registered from: `models:/m-…`, `runs:/…`, a place."""
    run_id: str | None = None
    model_id: str | None = None
    stage: str = "None"
    status: str = READY


@dataclass(frozen=True, slots=True)
class Made:
    """How something was made."""

    commit: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Run:
    """A run."""

    run_id: str
    experiment_id: str
    location: str
    made: Made = Made()


@dataclass(frozen=True, slots=True)
class Logged:
    """A logged model, as MLflow has them from version 3 on."""

    model_id: str
    name: str
    location: str
    run_id: str | None = None
    status: str = READY
    made: Made = Made()


class Store(Protocol):
    """A server, a file of SQLite, or a folder. What is not there is None; all else that is wrong raises."""

    @property
    def name(self) -> str:
        """What people call it, without credentials."""
        ...

    @property
    def is_local(self) -> bool:
        """Tell whether it lies on this machine, so that paths in it are this machine's."""
        ...

    def version(self, name: str, version: str) -> Version | None:
        """Find a version of a registered model."""
        ...

    def versions(self, name: str) -> Sequence[Version]:
        """List the latest versions of each stage at least; nothing for a model that is not registered."""
        ...

    def aliases(self, name: str) -> Mapping[str, str]:
        """Tell the version of each alias of a registered model."""
        ...

    def names(self) -> Sequence[str]:
        """List registered models, some of them where there are many."""
        ...

    def run(self, run_id: str) -> Run | None:
        """Find a run."""
        ...

    def logged(self, model_id: str) -> Logged | None:
        """Find a logged model."""
        ...

    def logged_by(self, run: Run, name: str) -> Logged | None:
        """Find the last model that a run has logged under a name."""
        ...
