"""A model that a tracking server keeps: how it is asked for in MLflow's words, and what is recorded of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from lading.core.errors import Issue, SpecError, without_secrets

Asked = Literal["version", "latest", "stage", "alias", "model_id", "run", "artifacts"]
"""What a URI names its model by."""

FORMS = "models:/NAME/VERSION, models:/NAME@ALIAS, models:/m-ID, runs:/RUN/PATH or mlflow-artifacts:/PATH"
_SCHEME = re.compile(r"(models|runs|mlflow-artifacts):/")
_MODEL_ID = re.compile(r"m-[0-9a-f]{32}\Z")
_HOST = re.compile(r"//(?P<host>[^/@?#]+)(?P<path>/.*)?\Z", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f\x7f\\]")


def is_tracked(text: str) -> bool:
    """Tell whether a text is such a URI, and no path.

    >>> is_tracked("models:/iris@champion"), is_tracked("./models/iris")
    (True, False)
    """
    return _SCHEME.match(text) is not None


@dataclass(frozen=True, slots=True)
class ModelURI:
    """A URI of a tracked model. Law: `str(ModelURI.parse(text)) == text`, but for slashes at the end."""

    asked: Asked
    text: str
    name: str = ""
    """Of the registered model."""
    which: str = ""
    """Its version, stage or alias; the logged model's or the run's id; the server's host and port."""
    path: str = ""
    """What lies below, without a slash at either end."""

    @classmethod
    def parse(cls, text: str) -> ModelURI:
        """Read any of the forms; raise SpecError for anything else."""
        bare = text.rstrip("/")
        found = _parse(bare)
        words = {found.name, found.which, *found.path.split("/")} if found else {".."}
        if found is None or _CONTROL.search(bare) or words & {".", ".."}:
            raise SpecError(
                Issue(without_secrets(f"model {text!r}"), "is no URI of a model", f"write {FORMS}")
            )
        return found

    def __str__(self) -> str:
        """Print it as it was written."""
        return self.text

    @property
    def called(self) -> str:
        """What people would call the model: the registered name, else the last word of the path."""
        return self.name or self.path.rpartition("/")[2] or self.which


def _parse(text: str) -> ModelURI | None:
    scheme, _, rest = text.partition(":")
    if scheme == "models" and rest.startswith("/") and not rest.startswith("//"):
        return _registered(text, rest[1:])
    if scheme == "runs" and rest.startswith("/") and not rest.startswith("//"):
        run, _, path = rest[1:].partition("/")
        return ModelURI("run", text, "", run, path) if run and _is_path(path) else None
    if scheme == "mlflow-artifacts":
        if match := _HOST.match(rest):
            path = (match["path"] or "/")[1:]
            return ModelURI("artifacts", text, "", match["host"], path) if path and _is_path(path) else None
        path = rest[1:]
        return ModelURI("artifacts", text, "", "", path) if path and _is_path(path) else None
    return None


def _registered(text: str, rest: str) -> ModelURI | None:
    """Read `NAME/VERSION`, `NAME/STAGE`, `NAME/latest`, `NAME@ALIAS` or an id, and what lies below."""
    first, _, path = rest.partition("/")
    if not first or not _is_path(path):
        return None
    if _MODEL_ID.match(first) or (not path and "@" not in first):
        return ModelURI("model_id", text, "", first, path)
    if "@" in first:
        name, _, alias = first.rpartition("@")
        return ModelURI("alias", text, name, alias, path) if name and alias else None
    which, _, path = path.partition("/")
    if which.isdecimal() and which.isascii():
        return ModelURI("version", text, first, which, path)
    return ModelURI("latest" if which.lower() == "latest" else "stage", text, first, which, path)


def _is_path(path: str) -> bool:
    return not path or all(path.split("/"))


@dataclass(frozen=True, slots=True)
class Record:
    """How a model was made, as its tracking server tells: no credentials, no times, no path of a machine."""

    asked: str
    """The URI as it was written, such as `models:/iris@champion`."""
    server: str | None = None
    """The tracking server; None is a store in a folder or file."""
    name: str | None = None
    """Of the registered model."""
    version: str | None = None
    model_id: str | None = None
    run_id: str | None = None
    location: str | None = None
    """Where the artifacts are, such as `mlflow-artifacts:/0/models/m-1/artifacts`; None is a local folder."""
    commit: str | None = None
    """Of the git repository that the run was started in."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
