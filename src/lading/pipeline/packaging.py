"""A model package as Azure ML describes it, and a model → the spec that is packed, with what was resolved."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lading.core.assets import Asset, AssetDraft, AssetReference, Used
from lading.core.bases import BaseName
from lading.core.digest import Digest
from lading.core.errors import Issue, SpecError
from lading.core.reference import Reference
from lading.core.spec import Example, PackageSpec, Route, ServerSettings
from lading.pipeline import assets, building, supplied
from lading.pipeline.assets import Found
from lading.pipeline.context import Context
from lading.spec.azureml import package as azure
from lading.spec.azureml.environment import included
from lading.spec.azureml.package import InferenceConfiguration, InferencingServer, ModelPackage
from lading.spec.azureml.text import Place

_ROUTES = ("liveness_route", "readiness_route", "scoring_route")
_WITH_SCRIPT = frozenset({"azureml_online", "azureml_batch"})
"""Servers that call a scoring script, which of an MLflow model is made."""
_MODELS = "/var/azureml-app/azureml-models"
"""What a relative mount path begins at."""


@dataclass(frozen=True, slots=True)
class Composed:
    """What is packed, and the assets that it is made from."""

    spec: PackageSpec
    package: ModelPackage
    """With every reference resolved: what is recorded."""
    model: Found


def compose(
    context: Context,
    package: ModelPackage,
    model: str | AssetReference,
    *,
    examples: tuple[Example, ...] = (),
) -> Composed:
    """Resolve what a package names, and say it as a spec; raise SpecError with every issue of it."""
    server = package.inferencing_server
    assert server is not None  # parse insists
    found = assets.resolve(context, model, "model")
    base = _base(context, package)
    issues = [*_problems(server, found.asset, base.asset if base else None)]
    if issues:
        raise SpecError(*issues)
    code, named = _code(context, server)
    inputs, besides = supplied.inputs(context, package)
    used = [_used("model", found), *([_used("environment", base)] if base else []), *besides]
    mode = package.model_configuration.delivery if package.model_configuration else "download"
    root = assets.root(assets.materialise(context, found), found.asset)
    name = repository(package.target.name)
    sources = supplied.sources(found) or supplied.beside(context, package.target, name)
    spec = PackageSpec(
        name=name,
        tags=package.tags,
        model=root,
        code=code,
        entry=server.code_configuration.scoring_script if server.code_configuration else None,
        server=server.type or "",
        server_settings=_settings(package, found.asset, base.asset if base else None, root),
        mode=mode,
        model_sources=sources if mode == "download" else (),
        inputs=inputs,
        environment_variables=package.environment_variables,
        examples=examples,
        used=tuple(used),
    )
    resolved = replace(
        package,
        inputs=supplied.named(package.inputs, besides),
        inferencing_server=replace(server, code_configuration=named),
        base_environment_source=replace(package.base_environment_source, resource_id=str(base.reference))
        if base and package.base_environment_source
        else None,
    )
    return Composed(_on(context, spec, base) if base else spec, resolved, found)


def repository(name: str) -> str:
    """Return the name of an environment as an image can have it.

    >>> repository("Sklearn_Regression--Pkg")
    'sklearn_regression--pkg'
    """
    words = re.sub(r"[^a-z0-9._-]", "-", name.lower()).strip("._-")
    try:
        Reference.parse(words)
    except SpecError:
        words = re.sub(r"[._-]+", "-", words)
    return words or "package"


def _base(context: Context, package: ModelPackage) -> Found | None:
    source = package.base_environment_source
    return (
        assets.resolve(context, source.resource_id, "environment") if source and source.resource_id else None
    )


def _used(role: str, found: Found) -> Used:
    return Used(role, str(found.reference), found.asset.content)


def _problems(server: InferencingServer, model: Asset, base: Asset | None) -> list[Issue]:
    """List what a server lacks of what it needs, in the words of the package's file."""
    key = "inferencing_server"
    kind = str(model.document.get("type", "custom_model"))
    issues = []
    script = server.code_configuration and server.code_configuration.scoring_script
    if server.type in _WITH_SCRIPT and kind != "mlflow_model" and not script:
        what = f"is missing: {model.name}:{model.version} is a {kind}, which a scoring script has to load"
        issues.append(Issue(f"{key}.code_configuration", what, "write code: FOLDER and scoring_script: FILE"))
    if server.type == "custom" and base is None:
        what = "is missing: a server of type 'custom' is an image of yours"
        issues.append(Issue("base_environment_source", what, "name an environment that has an 'image'"))
    if server.type == "custom":
        routes = _routes(server.inference_configuration, base)
        for name in _ROUTES:
            if (route := routes[name]) is None or route.port is None:
                what = "is missing, with its port and path" if route is None else "'port' is missing"
                issues.append(
                    Issue(f"{key}.inference_configuration.{name}", what, f"{name}: {{port: 8080, path: /}}")
                )
    return issues


def _routes_of(base: Asset) -> Mapping[str, azure.Route]:
    """Read the routes of an environment, which others may have written."""
    try:
        found = dict(base.document.get("inference_config") or {}).items()
        return {name: azure.Route(int(one["port"]), str(one["path"])) for name, one in found}
    except (TypeError, ValueError, KeyError) as error:
        what = "its inference_config has other than routes of a port and a path"
        raise SpecError(Issue(f"environment {base.name}:{base.version}", what)) from error


def _routes(given: InferenceConfiguration | None, base: Asset | None) -> Mapping[str, azure.Route | None]:
    """Take each route from the package, else from the base environment; a missing port from another route."""
    there = _routes_of(base) if base else {}
    found: dict[str, azure.Route | None] = {}
    for name in _ROUTES:
        own = getattr(given, name) if given else None
        found[name] = own or there.get(name)
    port = next((one.port for one in reversed(found.values()) if one and one.port), None)
    return {name: one and replace(one, port=one.port or port) for name, one in found.items()}


def _settings(package: ModelPackage, model: Asset, base: Asset | None, root: Path) -> ServerSettings:
    server = package.inferencing_server
    assert server is not None
    given = server.inference_configuration
    routes = {
        name: Route(one.port, one.path) if one and one.port and one.path else None
        for name, one in _routes(given, base if server.type == "custom" else None).items()
    }
    mount = package.model_configuration.mount_path if package.model_configuration else None
    return ServerSettings(
        server.version,
        liveness=routes["liveness_route"],
        readiness=routes["readiness_route"],
        scoring=routes["scoring_route"],
        command=tuple(shlex.split(given.entry_script)) if given and given.entry_script else (),
        configuration=given.configuration if given else {},
        model_name=model.name,
        model_version=model.version,
        model_folder=root.name if root.is_dir() else None,
        mount_path=str(Path(_MODELS) / mount) if mount is not None else None,
    )


def _code(context: Context, server: InferencingServer) -> tuple[Path | None, azure.CodeConfiguration | None]:
    """Return the folder of the scoring script, and what names it for ever: Azure keeps code as an asset."""
    given = server.code_configuration
    if given is None or given.code is None:
        return None, given
    if path := given.code.path:
        name = (
            re.sub(r"[^A-Za-z0-9_-]+", "-", path.stem if path.is_file() else path.name).strip("-") or "code"
        )
        asset = assets.create(context, AssetDraft("code", name, path=path)).asset
        found = assets.resolve(context, asset.reference, "code")
    else:
        found = assets.resolve(context, str(given.code), "code")
    folder = assets.root(assets.materialise(context, found), found.asset)
    return folder, replace(given, code=Place(str(found.reference)))


def _on(context: Context, spec: PackageSpec, base: Found) -> PackageSpec:
    """Lay a spec upon an environment: its image, or what is built, and its conda file's libraries."""
    document = base.asset.document
    if "build" in document:
        return replace(spec, base=building.built(context, base))
    image, conda = document.get("image"), document.get("conda_file")
    if not image:
        raise SpecError(Issue(str(base.reference), "has neither an image nor a build context"))
    spec = replace(spec, base=BaseName.parse(str(image), Path.cwd()))
    if lines := included(conda):
        # it would be read of this machine
        raise SpecError(Issue(str(base.reference), f"its conda_file includes another file: {lines[0]!r}"))
    if conda is not None:
        spec = replace(spec, requirements=_conda_file(context, conda))
    return spec


def _conda_file(context: Context, conda: Any) -> Path:  # noqa: ANN401 - JSON values
    """Write a conda file where the resolver reads it; JSON is YAML."""
    data = json.dumps(conda, indent=1).encode()
    path = context.settings.cache / "assets" / Digest.of(data).hex / "conda.yaml"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return path
