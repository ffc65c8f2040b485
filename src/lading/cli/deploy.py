"""`lading deploy …`: what puts a package on a platform of others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lading.cli import assets as shown
from lading.cli.assets import Where
from lading.cli.console import Console, GroupCommon
from lading.core.errors import DeployError, Issue
from lading.pipeline import azure

Image = Annotated[
    str | None, Parameter(name=["--image", "-i"], help="Where the image is pushed: registry/name:tag.")
]
DryRun = Annotated[bool, Parameter(negative="", help="Write and print what is to be done, and call nothing.")]


def azureml(
    package: str,
    /,
    *,
    image: Image = None,
    endpoint_name: Annotated[str | None, Parameter(name=["--endpoint-name", "-e"])] = None,
    name: Annotated[str, Parameter(name=["--name", "-n"])] = "blue",
    instance_type: str = "Standard_DS3_v2",
    instance_count: int = 1,
    output: Annotated[Path, Parameter(name=["--output", "-o"])] = Path(),
    dry_run: DryRun = False,
    where: Where = Where(),
    common: GroupCommon = GroupCommon(),
) -> int:
    """Write the YAML that puts a package on a managed online endpoint of Azure ML, image and all.

    It is an environment with `inference_config`, an endpoint, and a deployment that names the environment.

    For example:

        lading deploy azureml iris:1 --image myregistry.azurecr.io/iris:1 --dry-run

        lading deploy azureml iris-pkg:1 -i myregistry.azurecr.io/iris:1 -e flowers -o azure --dry-run

    Args:
        package: A package's name in the store, or an environment that is one.
        endpoint_name: Default: after the package.
        name: Name of the deployment.
        instance_type: Azure's name for the machine.
        instance_count: How many machines.
        output: Folder for the files; default: the current one.
    """
    console = Console(common)
    _insist(dry_run=dry_run)
    with shown.opened(console, where) as context:
        outside = azure.look(context, _reference(package, where), image)
    plan = azure.ml(
        outside,
        endpoint=endpoint_name or azure.endpoint_name(outside.name),
        deployment=name,
        instance_type=instance_type,
        instance_count=instance_count,
        folder=output,
    )
    paths = azure.write(plan, output)
    console.result(
        "\n".join([*map(str, paths), *_lines(plan)]), {**plan.to_json(), "paths": [*map(str, paths)]}
    )
    return 0


def app_service(
    package: str,
    /,
    *,
    image: Image = None,
    name: Annotated[str, Parameter(name=["--name", "-n"])],
    resource_group: Annotated[str, Parameter(name=["--resource-group", "-g"])] = "my-group",
    plan: Annotated[str, Parameter(name=["--plan", "-p"])] = "my-plan",
    dry_run: DryRun = False,
    where: Where = Where(),
    common: GroupCommon = GroupCommon(),
) -> int:
    """Print the settings with which Azure App Service runs a package's image, and the commands.

    For example:

        lading deploy app-service iris:1 --image myregistry.azurecr.io/iris:1 -n iris-app --dry-run

    Args:
        package: A package's name in the store, or an environment that is one.
        name: Name of the web app.
        resource_group: Its resource group.
        plan: Its plan of App Service.
    """
    console = Console(common)
    _insist(dry_run=dry_run)
    with shown.opened(console, where) as context:
        outside = azure.look(context, _reference(package, where), image)
    found = azure.app_service(outside, app=name, group=resource_group, plan=plan)
    console.result("\n".join(_lines(found)).strip(), found.to_json())
    return 0


def _reference(package: str, where: Where) -> str:
    return str(shown.One().reference("environment", package, where)) if where.registry_name else package


def _insist(*, dry_run: bool) -> None:
    if not dry_run:
        what = "nothing of Azure is called from here"
        raise DeployError(Issue("deploy", what, "add --dry-run, and run the commands that it prints"))


def _lines(plan: azure.Plan) -> Iterator[str]:
    yield ""
    for key, value in plan.settings.items():
        yield f"{key}={value}"
    if plan.settings:
        yield ""
    for command in plan.commands:
        yield f"$ {command}"
    for note in plan.notes:
        yield f"note: {note}"
