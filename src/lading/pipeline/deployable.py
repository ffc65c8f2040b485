"""What a deployment names goes in: a package, or a model, code and an environment; a package comes out."""

from __future__ import annotations

from typing import NamedTuple

from lading.core.digest import Digest
from lading.core.errors import Issue, LadingError, RegistryError, SpecError
from lading.core.ports import Event
from lading.pipeline import assets, packages, shelf
from lading.pipeline.assets import Found
from lading.pipeline.context import Context
from lading.spec.azureml import environment as environment_file
from lading.spec.azureml import model as model_file
from lading.spec.azureml import package as package_file
from lading.spec.azureml import text
from lading.spec.azureml.deployment import OnlineDeployment
from lading.spec.azureml.environment import Environment
from lading.spec.azureml.package import (
    BaseEnvironmentSource,
    InferencingServer,
    ModelConfiguration,
    ModelPackage,
    ServerType,
)


class Deployable(NamedTuple):
    """A package in this machine's store."""

    environment: str
    """The name by which it is found again."""
    digest: Digest


def find(context: Context, found: OnlineDeployment, allow_unsafe: tuple[str, ...] = ()) -> Deployable:
    """Find the package that a file names, or make one of what else it names, and what is allowed of it.

    Raises SpecError where it names too little, and what packaging raises.
    """
    if found.model is None and found.code_configuration is None:
        if isinstance(found.environment, str):
            return _named(context, found.environment)
        what = "has no model, so environment has to name a package, as NAME:VERSION"
        fix = "name one, or give a model with its environment"
        raise SpecError(Issue(f"deployment {found.name!r}", what, fix))
    return _made(context, found, allow_unsafe)


def _named(context: Context, name: str) -> Deployable:
    """Find a package by any reference to an environment, or by its name in the store."""
    try:
        package = packages.find(context, name)
    except (RegistryError, SpecError):
        bare = name.removeprefix("azureml:")
        try:
            return Deployable(bare, shelf.find(context, bare).descriptor.digest)
        except LadingError:
            pass
        raise
    return Deployable(str(package.reference), packages.bring(context, package))


def _made(context: Context, found: OnlineDeployment, allow_unsafe: tuple[str, ...]) -> Deployable:
    """Package what a file names, as Azure does with `--package-model`: here there is no other way."""
    name = f"{found.endpoint_name}-{found.name}"
    model = _model(context, found, name)
    base = _base(context, found)
    code = found.code_configuration
    server = _server(found, model, base)
    mount = found.model_mount_path
    place = f"{mount.rstrip('/')}/{model.asset.name}/{model.asset.version}" if mount else None
    package = ModelPackage(
        target_environment=name,
        base_environment_source=BaseEnvironmentSource("environment_asset", str(base.reference))
        if base
        else None,
        inferencing_server=InferencingServer(
            server,
            code_configuration=package_file.CodeConfiguration(code.code, code.scoring_script)
            if code
            else None,
        ),
        model_configuration=ModelConfiguration("copy", place),
        environment_variables=found.environment_variables,
    )
    made = packages.create(context, package, model.reference, allow_unsafe=allow_unsafe)
    context.events(Event("deploy", "stage", f"{found.name}: packaged as {made.environment.reference}"))
    return Deployable(str(made.environment.reference), packages.bring(context, made.environment))


def _server(found: OnlineDeployment, model: Found, base: Found | None) -> ServerType:
    """Say what answers, as Azure does: an image that serves by itself, Triton, or Azure's server."""
    if found.code_configuration is None:
        if base is not None and "inference_config" in base.asset.document:
            return "custom"
        if model.asset.document.get("type") == "triton_model":
            return "triton"
    return "azureml_online"


def _model(context: Context, found: OnlineDeployment, name: str) -> Found:
    """Return the model, in the version that its reference means now; register one that stands in the file."""
    if found.model is None:
        what = "has code and no model"
        raise SpecError(Issue(f"deployment {found.name!r}", what, "name one: model: azureml:NAME:VERSION"))
    if isinstance(found.model, str):
        return assets.resolve(context, found.model, "model")
    overrides = () if found.model.name else (f"name={name}",)
    draft = model_file.parse(text.dump(found.model), None, overrides, context.events)
    return assets.resolve(context, assets.create(context, draft).asset.reference, "model")


def _base(context: Context, found: OnlineDeployment) -> Found | None:
    """Return the environment below, None where the model brings its own, as MLflow's do."""
    if found.environment is None:
        return None
    base = _environment(context, found.environment)
    if packages.is_package(base.asset):
        what = f"{base.reference} is a package, which has its model and its code"
        raise SpecError(Issue(f"deployment {found.name!r}", what, "leave model and code_configuration away"))
    return base


def _environment(context: Context, given: str | Environment) -> Found:
    if isinstance(given, str):
        return assets.resolve(context, given, "environment")
    overrides = () if given.name else (f"name={assets.ANONYMOUS_ENVIRONMENT}",)
    draft = environment_file.parse(text.dump(given), None, overrides, context.events)
    return assets.anonymous(context, draft)
