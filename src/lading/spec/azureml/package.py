"""A model package's YAML, `az ml model package -f`: text → ModelPackage and back.

Source: azure-ai-ml 1.35.2, `_schema/assets/package/`, and REST 2023-08-01-preview for what that cannot load
(`inputs`, the routes of `custom` and `triton`). The keys of before 1.12 are taken too, with a warning.
Law: `parse(dump(package, folder), path) == package` for a path in the folder.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Literal, get_args

from lading.core.assets import AssetReference
from lading.core.errors import SpecError
from lading.core.ports import Events, ignore
from lading.spec.azureml import text
from lading.spec.azureml.text import Place
from lading.spec.typed import read_text

ServerType = Literal[
    "azureml_online",
    "azureml_batch",
    "custom",
    "triton",
    "lading",
    "mlflow",
    "mlserver",
    "bentoml",
    "cog",
    "torchserve",
    "tensorflow_serving",
]
"""Azure's four, then ours."""
Mode = Literal["copy", "download", "read_only_mount"]
"""Whether files lie in the image. `read_only_mount`, of drafts and of inputs, is a download for us."""
Delivery = Literal["copy", "download"]
PathType = Literal["path_id", "url", "path_version"]
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_MAX_PORT = 65535


@dataclass(frozen=True, slots=True)
class Route:
    """Where a server answers one kind of question."""

    port: int | None = None
    path: str | None = None


@dataclass(frozen=True, slots=True)
class InferenceConfiguration:
    """How a server of one's own is started, and where it answers."""

    liveness_route: Route | None = None
    readiness_route: Route | None = None
    scoring_route: Route | None = None
    entry_script: str | None = None
    """A script, or a command line."""
    configuration: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CodeConfiguration:
    """The scoring script, and the folder (or the code asset) that it lies in."""

    code: Place | None = None
    scoring_script: str | None = None


@dataclass(frozen=True, slots=True)
class InferencingServer:
    """What answers requests."""

    type: ServerType | None = None
    version: str | None = None
    """Of the server, such as `1.5.1` or `>=1.4`: ours, Azure has no such key."""
    code_configuration: CodeConfiguration | None = None
    inference_configuration: InferenceConfiguration | None = None


@dataclass(frozen=True, slots=True)
class BaseEnvironmentSource:
    """The environment that the package is laid upon."""

    type: Literal["environment_asset"] | None = None
    resource_id: str | None = None


@dataclass(frozen=True, slots=True)
class ModelConfiguration:
    """How the model comes into the package, and where it lies there."""

    mode: Mode | None = None
    mount_path: str | None = None

    @property
    def delivery(self) -> Delivery:
        """Azure's default is to download the model where the package is deployed."""
        return "copy" if self.mode == "copy" else "download"


@dataclass(frozen=True, slots=True)
class InputPath:
    """What an input is: an asset by its id, or by name and version, or a URL."""

    input_path_type: PathType | None = None
    resource_id: str | None = None
    url: str | None = None
    resource_name: str | None = None
    resource_version: str | None = None


@dataclass(frozen=True, slots=True)
class Input:
    """A further file or folder in the package."""

    type: Literal["uri_file", "uri_folder"] | None = None
    mode: Mode | None = None
    mount_path: str | None = None
    path: InputPath | None = None

    @property
    def delivery(self) -> Delivery:
        """Whether it lies in the image."""
        return "copy" if self.mode == "copy" else "download"


@dataclass(frozen=True, slots=True)
class ModelPackage:
    """A model package as Azure ML describes it. Local paths are absolute."""

    target_environment: str | None = None
    """Name, `name:version`, or a full location in another workspace or registry."""
    base_environment_source: BaseEnvironmentSource | None = None
    inferencing_server: InferencingServer | None = None
    model_configuration: ModelConfiguration | None = None
    inputs: tuple[Input, ...] = ()
    environment_variables: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def target(self) -> AssetReference:
        """Where the package is to be found, as an environment; without a version it gets the next."""
        assert self.target_environment is not None  # parse insists
        return AssetReference.parse(self.target_environment, "environment")


def load(path: Path, overrides: Sequence[str] = (), events: Events = ignore) -> ModelPackage:
    """Read a package's file; raise SpecError with all its issues, each with line and column."""
    return parse(read_text(path), path, overrides, events)


def parse(
    written: str, path: Path | None, overrides: Sequence[str] = (), events: Events = ignore
) -> ModelPackage:
    """Read the text of the file at `path`, None where it is all in the overrides; raise SpecError."""
    reader = text.Reader(path, overrides)
    package = _Checker(reader).package(reader.read(written, _Document))
    reader.finish(events)
    return package


def dump(package: ModelPackage, folder: Path | None = None) -> str:
    """Write a package as YAML, today's keys alone."""
    return text.dump(package, folder)


@dataclass(frozen=True, slots=True)
class _Target:
    name: str | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True)
class _Code(CodeConfiguration):
    """`entry_script` is what documents of October 2023 wrote, which no version of Azure's SDK takes."""

    entry_script: str | None = None


@dataclass(frozen=True, slots=True)
class _Server(InferencingServer):
    code_configuration: _Code | None = None


@dataclass(frozen=True, slots=True)
class _Input(Input):
    path: str | InputPath | None = None  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class _Document(ModelPackage):
    """The keys of every era."""

    target_environment: str | _Target | None = None  # type: ignore[assignment]
    inferencing_server: _Server | None = None
    inputs: tuple[_Input, ...] = ()
    environment_variables: Mapping[str, str | None] = field(default_factory=dict)  # type: ignore[assignment]
    target_environment_name: str | None = None
    target_environment_version: str | None = None


class _Checker:
    """Turns a document into today's form, and checks what types cannot say."""

    def __init__(self, reader: text.Reader) -> None:
        self.reader = reader

    def package(self, found: _Document) -> ModelPackage:
        """Check every key, then build the package."""
        self._base(found.base_environment_source)
        for name in found.environment_variables:
            if not _VARIABLE.match(name):
                self.reader.complain("environment_variables", f"got {name!r}, expected a variable's name")
        if found.model_configuration:
            self._mode("model_configuration", found.model_configuration.mode)
            self._mount_path("model_configuration", found.model_configuration.mount_path)
        # one that could not be read is missing, and the numbers of those behind it would be others
        is_whole = all(not _INPUT.match(one.what) for one in self.reader.issues)
        inputs = found.inputs if is_whole else ()
        return ModelPackage(
            self._target(found),
            found.base_environment_source,
            self._server(found.inferencing_server),
            found.model_configuration,
            tuple(self._input(f"inputs[{number}]", one) for number, one in enumerate(inputs)),
            {name: value or "" for name, value in found.environment_variables.items()},
            found.tags,
        )

    def _is_new(self, key: str) -> bool:
        """Tell whether nothing was said yet of a key: what could not be read is missing for that alone."""
        place = self.reader.places.get(key)
        return place is None or all(issue.where != place for issue in self.reader.issues)

    def _target(self, found: _Document) -> str | None:
        key = "target_environment"
        given: object = found.target_environment
        target = given.name if isinstance(given, _Target) else str(given) if given is not None else None
        version = given.version if isinstance(given, _Target) else None
        if found.target_environment_name is not None:
            if target is not None:
                self.reader.complain(f"{key}_name", f"stands beside {key!r}, expected one of them")
            what = "is the spelling of before December 2023"
            self.reader.warn(f"{key}_name", what, f"write {key}: NAME, or {key}: NAME:VERSION")
            target, version = found.target_environment_name, found.target_environment_version
        elif found.target_environment_version is not None:
            self.reader.complain(f"{key}_version", f"stands without '{key}_name'")
        if target is None:
            if self._is_new(key) and self._is_new(f"{key}_name"):
                fix = "name the environment that the package becomes, such as target_environment: my-package"
                self.reader.complain(key, "is missing", fix)
            return None
        written = f"{target}:{version}" if version is not None else target
        if (reference := self._reference(key, written)) and reference.label:
            self.reader.complain(key, f"got the label {reference.label!r}, expected a version or none")
        return written

    def _reference(self, key: str, written: str) -> AssetReference | None:
        try:
            return AssetReference.parse(written, "environment")
        except SpecError as error:
            for issue in error.issues:
                self.reader.complain(key, f"{issue.where}: {issue.what}", issue.fix)
            return None

    def _base(self, base: BaseEnvironmentSource | None) -> None:
        key = "base_environment_source"
        if base is None:
            return
        if base.resource_id is not None:
            self._reference(f"{key}.resource_id", base.resource_id)
        elif self._is_new(f"{key}.resource_id"):
            self.reader.complain(key, "'resource_id' is missing", "write resource_id: azureml:NAME:VERSION")

    def _server(self, server: _Server | None) -> InferencingServer | None:
        key = "inferencing_server"
        kinds = ", ".join(get_args(ServerType))
        if server is None:
            if self._is_new(key):
                self.reader.complain(key, "is missing", f"write {key}: {{type: TYPE}}, one of {kinds}")
            return None
        if server.type is None and self._is_new(f"{key}.type"):
            self.reader.complain(key, "'type' is missing", f"one of {kinds}")
        routes = server.inference_configuration
        for name in ("liveness_route", "readiness_route", "scoring_route") if routes else ():
            self._route(f"{key}.inference_configuration.{name}", getattr(routes, name))
        code = self._code(f"{key}.code_configuration", server.code_configuration)
        return InferencingServer(server.type, server.version, code, routes)

    def _code(self, key: str, code: _Code | None) -> CodeConfiguration | None:
        if code is None:
            return None
        script = code.scoring_script
        if code.entry_script is not None:
            if script is not None:
                self.reader.complain(f"{key}.entry_script", "stands beside 'scoring_script'")
            self.reader.warn(f"{key}.entry_script", "is an older spelling", "write scoring_script")
            script = script or code.entry_script
        if code.code is not None and script is None and self._is_new(f"{key}.scoring_script"):
            self.reader.complain(key, "'scoring_script' is missing", "name the script, relative to 'code'")
        folder = code.code.path if code.code else None
        if folder and not folder.exists():
            self.reader.complain(f"{key}.code", f"{str(folder)!r} does not exist")
        elif (
            folder
            and script
            and not (folder / script if folder.is_dir() else folder.parent / script).is_file()
        ):
            self.reader.complain(f"{key}.scoring_script", f"there is no {script!r} in {str(folder)!r}")
        elif script and not _is_inside(script):
            self.reader.complain(f"{key}.scoring_script", f"got {script!r}, expected a path inside of 'code'")
        return CodeConfiguration(code.code, script)

    def _route(self, key: str, route: Route | None) -> None:
        if route is None:
            return
        if route.path is None and self._is_new(f"{key}.path"):
            self.reader.complain(key, "'path' is missing", "such as path: /score")
        if route.port is not None and not 0 < route.port <= _MAX_PORT:
            self.reader.complain(f"{key}.port", f"got {route.port}, expected 1 to {_MAX_PORT}")

    def _mode(self, key: str, mode: Mode | None) -> None:
        if mode == "read_only_mount":
            self.reader.warn(f"{key}.mode", "a package mounts nothing: it is downloaded", "write download")

    def _mount_path(self, key: str, path: str | None) -> None:
        if path is not None and (".." in PurePosixPath(path).parts or not path.isprintable()):
            self.reader.complain(f"{key}.mount_path", f"got {path!r}, expected a path without '..'")

    def _input(self, key: str, found: _Input) -> Input:
        self._mode(key, found.mode)
        self._mount_path(key, found.mount_path)
        return Input(found.type, found.mode, found.mount_path, self._input_path(f"{key}.path", found.path))

    def _input_path(self, key: str, path: str | InputPath | None) -> InputPath | None:
        """Let each way to name an input have its own keys; a text is an asset's id, or a URL."""
        if path is None:
            if self._is_new(key):
                self.reader.complain(key, "is missing", "write path: {input_path_type: url, url: URL}")
            return None
        if isinstance(path, str):
            is_id = path.startswith(("azureml:", "/subscriptions/")) or "://" not in path
            return InputPath("path_id", resource_id=path) if is_id else InputPath("url", url=path)
        given = {name for names in _OF_PATHS.values() for name in names if getattr(path, name) is not None}
        kinds = [kind for kind, names in _OF_PATHS.items() if given and given <= set(names)]
        kind = path.input_path_type or (kinds[0] if kinds else None)
        if kind is None:
            self.reader.complain(key, f"'input_path_type' is missing, one of {', '.join(_OF_PATHS)}")
            return path
        needed = set(_OF_PATHS[kind])
        if (missing := sorted(needed - given)) and all(self._is_new(f"{key}.{one}") for one in missing):
            self.reader.complain(key, f"{kind!r} needs {' and '.join(map(repr, missing))}")
        for name in sorted(given - needed):
            self.reader.complain(f"{key}.{name}", f"does not go with the type {kind!r}")
        return replace(path, input_path_type=kind)


_INPUT = re.compile(r"inputs\[\d+\]: ")
_OF_PATHS: Mapping[PathType, tuple[str, ...]] = {
    "path_id": ("resource_id",),
    "url": ("url",),
    "path_version": ("resource_name", "resource_version"),
}


def _is_inside(path: str) -> bool:
    return not path.startswith("/") and ".." not in PurePosixPath(path).parts


__all__ = [
    "BaseEnvironmentSource",
    "CodeConfiguration",
    "Delivery",
    "InferenceConfiguration",
    "InferencingServer",
    "Input",
    "InputPath",
    "ModelConfiguration",
    "ModelPackage",
    "Route",
    "ServerType",
    "dump",
    "load",
    "parse",
]
