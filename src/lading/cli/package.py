"""`lading package …`: model packages, made and found as `az ml model package` has them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from lading.cli import assets as shown
from lading.cli import verbs
from lading.cli.assets import File, Name, One, Reference, Set, Where, WorkspaceName
from lading.cli.console import Console, GroupCommon, SandboxKind, size
from lading.cli.options import AllowUnsafe
from lading.core.assets import AssetReference
from lading.core.errors import Issue, SpecError
from lading.pipeline import packages

_PACKAGES = verbs.Group(
    "environment", "a package", "iris-pkg", stays="; its image keeps its name, until lading rm takes it"
)
archive = verbs.archive(_PACKAGES)
restore = verbs.restore(_PACKAGES)
delete = verbs.delete(_PACKAGES)


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class How:
    """How a package is made."""

    sample_request: Annotated[
        Path | None, Parameter(name=["--sample-request", "-r"], help="JSON file of a request to verify with.")
    ] = None
    sample_response: Annotated[
        Path | None, Parameter(help="JSON file of what the sample request has to be answered.")
    ] = None
    upgrade: Annotated[bool, Parameter(negative="", help="Resolve libraries anew.")] = False
    offline: Annotated[bool, Parameter(negative="", help="Use what is cached, reach no network.")] = False
    verify: Annotated[bool, Parameter(help="Run the package in a sandbox before it is kept.")] = True
    sandbox: Annotated[SandboxKind | None, Parameter(help="Where to verify.")] = None
    allow_unsafe: AllowUnsafe = ()


def create(
    *,
    model: Annotated[str, Parameter(name=["--model", "-m"])],
    file: File = None,
    set_: Set = (),
    how: How = How(),
    workspace: WorkspaceName = None,
    common: GroupCommon = GroupCommon(),
) -> int:
    """Package a model with its inference server, and keep it as an environment that serves by itself.

    For example:

        lading package create -f package.yml --model iris:1

        lading package create -f package.yml -m azureml://registries/team/models/iris/versions/3

        lading package create -m iris@latest --set target_environment=iris-pkg inferencing_server.type=lading

    Args:
        model: NAME:VERSION, NAME@LABEL, or another reference of Azure's.
    """
    return make(model, file, set_, how, Console(common), where=Where(workspace))


def show(
    asset: Reference = None,
    /,
    *,
    one: One = One(),
    yaml: Annotated[bool, Parameter(negative="")] = False,
    where: Where = Where(),
    common: GroupCommon = GroupCommon(),
) -> int:
    """Show a package: model, base environment, server, routes and image, each as it was resolved.

    For example:

        lading package show iris-pkg:1

        lading package show -n iris-pkg -v 1 --yaml > package.yml

    Args:
        yaml: Print the file that makes it again.
    """
    console = Console(common)
    with shown.opened(console, where) as context:
        found = packages.find(context, one.reference("environment", asset, where))
    text = packages.written(found) if yaml else "\n".join(_lines(packages.shown(found)))
    console.result(text.rstrip("\n"), packages.shown(found))
    return 0


def list_(
    *,
    name: Name = None,
    listed: verbs.Listed = verbs.Listed(),
    where: Where = Where(),
    common: GroupCommon = GroupCommon(),
) -> int:
    """List the packages, each by its latest version, or the versions of one.

    For example:

        lading package list

        lading package list -n iris-pkg --include-archived
    """
    console = Console(common)
    with shown.opened(console, where) as context:
        workspace = shown.place(context, where)
        found = packages.listed(workspace, name, registry=where.registry_name, which=listed.which)
    documents = [packages.shown(one) for one in found]
    rows = [
        [
            one["name"],
            one["version"],
            one["package"]["model"],
            one["package"]["inferencing_server"]["type"],
            one["package"].get("model_configuration", {}).get("mode", "download"),
            one["created"][:19].replace("T", " "),
            "archived" if one["archived"] else "",
        ]
        for one in documents
    ]
    console.table(["NAME", "VERSION", "MODEL", "SERVER", "MODE", "CREATED", ""], rows, documents)
    return 0


def make(
    model: str | AssetReference,
    file: Path | None,
    overrides: Set,
    how: How,
    console: Console,
    *,
    where: Where,
) -> int:
    """Package a model, and print the environment that it has become."""
    if file is None and not overrides:
        raise SpecError(Issue("package", "nothing says what it is", "give -f package.yml"))
    with shown.opened(console, where, offline=how.offline) as context:
        described = packages.describe(file, overrides, console.event)
        examples = packages.samples(how.sample_request, how.sample_response)
        made = packages.create(
            context,
            described,
            model,
            examples=examples,
            upgrade=how.upgrade,
            verify=how.verify,
            sandbox=how.sandbox,
            allow_unsafe=how.allow_unsafe,
        )
    asset = made.environment.asset
    told = {"reused": "  reused: the same package was there", "updated": "  edited"}.get(made.how, "")
    amount = size(made.packed.size_bytes)
    console.result(
        f"{asset.name}:{asset.version}  {made.packed.digest}  {amount}  {made.image}{told}", made.to_json()
    )
    return 0


def _lines(found: dict[str, Any]) -> Iterator[str]:
    archived = "  archived" if found["archived"] else ""
    package = found["package"]
    yield f"{found['name']}:{found['version']}  {package['digest']}{archived}"
    yield ""
    server = package["inferencing_server"]
    code = server.get("code_configuration") or {}
    base = package.get("base_environment_source") or {}
    configuration = package.get("model_configuration") or {}
    rows = {
        "model": package["model"],
        "mode": configuration.get("mode", "download"),
        "mount path": configuration.get("mount_path"),
        "environment": base.get("resource_id"),
        "server": " ".join(filter(None, (server["type"], server.get("version")))),
        "code": " ".join(filter(None, (code.get("code"), code.get("scoring_script")))),
        "image": found["image"],
        "tags": ", ".join(f"{key}={value}" for key, value in found["tags"].items()),
        "created": found["created"][:19].replace("T", " "),
    }
    for key, value in rows.items():
        if value:
            yield f"{key:<12} {value}"
    for key, route in found.get("inference_config", {}).items():
        yield f"{key.removesuffix('_route'):<12} {route['port']}{route['path']}"
    for key, value in package.get("environment_variables", {}).items():
        yield f"{'variable':<12} {key}={value}"
