"""An environment's YAML, `az ml environment create -f`: text → AssetDraft and back.

Source: azure-ai-ml 1.35.2, `_schema/assets/environment.py`; what Azure complains of when the file is sent is
complained of here at once. Law: `parse(dump(draft, folder), path) == draft`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, cast

from lading.core import typed as nouns
from lading.core.assets import AssetDraft, is_below
from lading.core.errors import Issue, SpecError
from lading.core.ports import Events, ignore
from lading.core.spec import Route
from lading.spec.azureml import text
from lading.spec.azureml.text import Place
from lading.spec.typed import read_text

_INCLUDE = re.compile(r"-[rc]|--(?:requirement|constraint)\b")
_CONDA_KEYS = {"channels", "dependencies"}
_ROUTES = ("liveness_route", "readiness_route", "scoring_route")
_MAX_PORT = 65535


@dataclass(frozen=True, slots=True)
class InferenceConfig:
    """Where an image that serves by itself answers."""

    liveness_route: Route | None = None
    readiness_route: Route | None = None
    scoring_route: Route | None = None


@dataclass(frozen=True, slots=True)
class Build:
    """The context of a Dockerfile."""

    path: Place | None = None
    dockerfile_path: str | None = None


@dataclass(frozen=True, slots=True)
class Environment:
    """The file, as it is written."""

    PRINTED: ClassVar = frozenset({"id", "creation_context", "latest_version", "intellectual_property"})
    """Keys that Azure prints of one and passes over when it reads them."""

    name: str | None = None
    version: str | None = None
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)
    image: str | None = None
    conda_file: Place | Mapping[str, Any] | None = None
    build: Build | None = None
    inference_config: InferenceConfig | None = None
    os_type: Literal["linux", "windows"] | None = None
    datastore: str | None = None
    auto_delete_setting: Any = None

    def draft(self, conda: Mapping[str, Any] | None, file: Path | None) -> AssetDraft:
        """Return what of it is kept, with the conda file's contents."""
        rest = {
            "image": self.image,
            "conda_file": conda,
            "build": _build(self.build) if self.build else None,
            "inference_config": nouns.to_json(self.inference_config) if self.inference_config else None,
            "os_type": self.os_type,
            "datastore": self.datastore,
            "auto_delete_setting": self.auto_delete_setting,
        }
        return AssetDraft(
            "environment",
            self.name,
            self.version,
            self.description,
            self.tags,
            self.properties,
            {key: value for key, value in rest.items() if value is not None},
            self.build.path.path if self.build and self.build.path else None,
            file,
        )


@dataclass(frozen=True, slots=True)
class Given:
    """What is given besides a file, and wins over it. Paths are absolute."""

    image: str | None = None
    conda_file: Path | None = None
    build_context: Path | None = None
    dockerfile_path: str | None = None


def load(
    path: Path | None,
    overrides: Sequence[str] = (),
    events: Events = ignore,
    *,
    given: Given = Given(),
) -> AssetDraft:
    """Read an environment's file, None where all is given; raise SpecError with every issue."""
    return parse(read_text(path) if path else "", path, overrides, events, given=given)


def parse(
    written: str,
    path: Path | None,
    overrides: Sequence[str] = (),
    events: Events = ignore,
    *,
    given: Given = Given(),
) -> AssetDraft:
    """Read the text of the file at `path`; raise SpecError with every issue, each with line and column."""
    reader = text.Reader(path, overrides)
    try:
        found = reader.read(written, Environment)
    finally:
        _refuse_conda_file(reader)
    found = _with(found, given)
    conda = _conda(found, reader)
    _check(found, reader)
    reader.finish(events)
    return found.draft(conda, path)


def dump(draft: AssetDraft, folder: Path | None = None) -> str:
    """Write an environment as YAML, its conda file within it; its context's path is relative to a folder."""
    rest = dict(draft.document)
    build = rest.pop("build", None)
    routes = rest.pop("inference_config", None)
    where = Place(str(draft.path)) if draft.path else None
    environment = Environment(
        draft.name,
        draft.version,
        draft.description,
        draft.tags,
        draft.properties,
        build=Build(where or _place(build.get("path")), build.get("dockerfile_path")) if build else None,
        inference_config=nouns.from_json(InferenceConfig, routes, "inference_config") if routes else None,
        **rest,
    )
    return text.dump(environment, folder)


def _with(found: Environment, given: Given) -> Environment:
    """Let what is given win."""
    build = found.build
    if given.build_context or given.dockerfile_path:
        old = build or Build()
        context = Place(str(given.build_context)) if given.build_context else old.path
        build = Build(context, given.dockerfile_path or old.dockerfile_path)
    return replace(
        found,
        image=given.image or found.image,
        conda_file=Place(str(given.conda_file)) if given.conda_file else found.conda_file,
        build=build,
    )


def _check(found: Environment, reader: text.Reader) -> None:
    if found.name is None and not reader.issues:
        reader.complain("name", "Environment name is required", "write name: NAME, or give -n NAME")
    if found.image and found.build:
        reader.complain("build", "Docker image or Dockerfile should be provided not both")
    if not (found.image or found.build or reader.issues):
        fix = "write image: debian:bookworm, or another image, or build: {path: FOLDER}"
        reader.complain("image", "Docker image or Dockerfile is required for environments", fix)
    if found.build:
        _check_build(found.build, reader)
        if found.conda_file:
            reader.complain("conda_file", "is laid upon an image, and a build context makes its own")
    if found.inference_config:
        _check_routes(found.inference_config, reader)
    if found.os_type == "windows":
        reader.complain("os_type", "got 'windows', expected 'linux': packages are for Linux")
    for key in ("datastore", "auto_delete_setting"):
        if getattr(found, key) is not None:
            reader.warn(key, "is not applied: there is no such thing here")


def _check_build(build: Build, reader: text.Reader) -> None:
    if build.path is None:
        reader.complain("build.path", "is missing", "name the folder of the Dockerfile")
        return
    if build.path.path is None:
        fix = "clone or download it, and give its folder here"
        reader.complain("build.path", f"{str(build.path)!r} is not on this machine", fix)
    elif not build.path.path.is_dir():
        reader.complain("build.path", f"No such file or directory: {build.path}")
    elif not is_below(build.dockerfile_path or "Dockerfile"):
        what = f"got {build.dockerfile_path!r}, expected a path below the context"
        reader.complain("build.dockerfile_path", what, "write dockerfile_path: NAME, relative to the context")
    elif not (build.path.path / (build.dockerfile_path or "Dockerfile")).is_file():
        what = f"there is no {build.dockerfile_path or 'Dockerfile'!r} in {build.path}"
        reader.complain("build.dockerfile_path", what, "write dockerfile_path: NAME, relative to the context")


def _check_routes(config: InferenceConfig, reader: text.Reader) -> None:
    for name in _ROUTES:
        route: Route | None = getattr(config, name)
        where = f"inference_config.{name}"
        if route is None:
            if not reader.issues:
                reader.complain(where, "is missing", f"write {name}: {{port: 8080, path: /}}")
        elif not 0 < route.port <= _MAX_PORT:
            reader.complain(f"{where}.port", f"got {route.port}, expected 1 to {_MAX_PORT}")
        elif not route.path.startswith("/"):
            reader.complain(f"{where}.path", f"got {route.path!r}, expected a path, such as '/score'")


def _conda(found: Environment, reader: text.Reader) -> Mapping[str, Any] | None:
    """Read what a conda file says, or is written in its place."""
    conda = found.conda_file
    if not isinstance(conda, Place):
        _check_conda(conda, reader)
        return conda
    if conda.path is None or not conda.path.is_file():
        reader.complain("conda_file", f"No such file or directory: {conda}")
        return None
    inner = text.Reader(conda.path)
    try:
        read: Mapping[str, Any] = inner.read(read_text(conda.path), cast("Any", Mapping[str, Any]))
        inner.finish()
    except SpecError as error:
        reader.issues += error.issues
        return None
    _check_conda(read, reader)
    return read


def _check_conda(conda: Mapping[str, Any] | None, reader: text.Reader) -> None:
    if conda is not None and not isinstance(conda.get("dependencies"), list):
        what = "has no list of 'dependencies'"
        reader.complain("conda_file", what, "as conda has it: dependencies: [python=3.11, {pip: [...]}]")
    for line in included(conda):
        what = f"{line!r} includes another file, and an environment keeps this one alone"
        reader.complain("conda_file", what, "write what it says in its place")


def included(conda: Mapping[str, Any] | None) -> list[str]:
    """List the lines below `pip` that include other files, which an environment cannot take along."""
    found = conda.get("dependencies") if isinstance(conda, Mapping) else None
    below = [one.get("pip") for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []
    lines = [str(line).strip() for one in below if isinstance(one, list) for line in one]
    return [line for line in lines if _INCLUDE.match(line)]


def _refuse_conda_file(reader: text.Reader) -> None:
    """Tell somebody who gave a conda file in the place of an environment."""
    if reader.path and any(issue.what.split(":")[0] in _CONDA_KEYS for issue in reader.issues):
        what = (
            "It looks like you are trying to specify a conda file for the --file/-f argument. --file/-f is "
            "reserved for the Azure ML Environment definition"
        )
        raise SpecError(Issue(reader.file, what, f"give it so: --conda-file {reader.path} --image IMAGE"))


def _build(build: Build) -> dict[str, Any]:
    """Write a build as it is kept: the context's own path matters to nobody."""
    return {"dockerfile_path": build.dockerfile_path or "Dockerfile"}


def _place(written: object) -> Place | None:
    return Place(written) if isinstance(written, str) else None
