"""`lading deployment`: packages that answer at an endpoint."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from cyclopts import Parameter

from lading.cli.assets import File, Name, Named, Set, WorkspaceName
from lading.cli.console import Console, GroupCommon
from lading.cli.endpoint import begin, confirm
from lading.cli.options import AllowUnsafe
from lading.pipeline import deployments
from lading.pipeline.endpoints import Given

EndpointName = Annotated[str, Parameter(name=["--endpoint-name", "--endpoint", "-e"])]
Maybe = Annotated[str | None, Parameter(name=["--endpoint-name", "--endpoint", "-e"])]
TargetKind = Literal["machine", "docker", "podman"]


def create(
    *,
    file: File = None,
    name: Annotated[str | None, Parameter(alias="-n")] = None,
    endpoint_name: Maybe = None,
    set_: Set = (),
    target: TargetKind | None = None,
    all_traffic: Annotated[bool, Parameter(negative="")] = False,
    package_model: Annotated[  # noqa: ARG001 - Azure's word for what is always done
        bool, Parameter(name=["--package-model", "--with-package"], negative="")
    ] = False,
    no_wait: Annotated[bool, Parameter(negative="")] = False,
    allow_unsafe: AllowUnsafe = (),
    workspace: WorkspaceName = None,
    common: GroupCommon = GroupCommon(),
) -> None:
    """Create a deployment and wait until it answers; one that is there is changed without a gap.

    Its environment names a package; a model, code and an environment are packaged first.

    For example:

        lading deployment create -f blue.yml --all-traffic

        lading deployment create -n blue -e my-endpoint --set environment=iris:1 --set instance_count=2

    Args:
        name: Its name, in place of the file's.
        endpoint_name: The endpoint that it belongs to, in place of the file's.
        target: Where instances run: machine (sandboxes), docker or podman; default: machine.
        all_traffic: Give it all of the traffic, once it answers.
        package_model: Package the file's model, code and environment, which is always done here.
        no_wait: Do not wait until it answers.
    """
    console, context = begin(common, workspace)
    given = Given(file, set_, name, endpoint_name, allow_unsafe)
    found = deployments.create(context, given, target=target, all_traffic=all_traffic, wait=not no_wait)
    _print(console, found)


def show(*, name: Named, endpoint_name: EndpointName, common: GroupCommon = GroupCommon()) -> None:
    """Show a deployment and the state of each of its instances.

    For example:

        lading deployment show -n blue -e my-endpoint

    Args:
        endpoint_name: The endpoint that it belongs to.
    """
    console, context = begin(common)
    _print(console, deployments.show(context, endpoint_name, name))


def list_(*, endpoint_name: Maybe = None, common: GroupCommon = GroupCommon()) -> None:
    """List the deployments of an endpoint, or all of them.

    For example:

        lading deployment list -e my-endpoint

    Args:
        endpoint_name: The endpoint; default: every one.
    """
    console, context = begin(common)
    found = deployments.list_all(context, endpoint_name)
    rows = [
        (
            one["endpoint_name"],
            one["name"],
            one["environment"],
            one["provisioning_state"],
            f"{_ready(one)}/{one['instance_count']}",
            f"{one['traffic']} %",
        )
        for one in found
    ]
    console.table(("ENDPOINT", "NAME", "PACKAGE", "STATE", "READY", "TRAFFIC"), rows, found)


def update(
    *,
    file: File = None,
    name: Name = None,
    endpoint_name: Maybe = None,
    instance_count: int | None = None,
    set_: Set = (),
    target: TargetKind | None = None,
    no_wait: Annotated[bool, Parameter(negative="")] = False,
    allow_unsafe: AllowUnsafe = (),
    workspace: WorkspaceName = None,
    common: GroupCommon = GroupCommon(),
) -> None:
    """Change a deployment, instance by instance, so that no request fails; one that fails goes back.

    For example:

        lading deployment update -n blue -e my-endpoint --set environment=iris:2

        lading deployment update -n blue -e my-endpoint --instance-count 3

    Args:
        endpoint_name: The endpoint that it belongs to.
        instance_count: How many instances there are to be.
        target: Where instances run: machine (sandboxes), docker or podman.
        no_wait: Do not wait until it is done.
    """
    console, context = begin(common, workspace)
    more = [] if instance_count is None else [f"instance_count={instance_count}"]
    given = Given(file, (*set_, *more), name, endpoint_name, allow_unsafe)
    _print(console, deployments.update(context, given, target=target, wait=not no_wait))


def delete(
    *,
    name: Named,
    endpoint_name: EndpointName,
    yes: Annotated[bool, Parameter(alias="-y", negative="")] = False,
    common: GroupCommon = GroupCommon(),
) -> None:
    """Delete a deployment that has no traffic; what is being answered is.

    For example:

        lading deployment delete -n blue -e my-endpoint --yes

    Args:
        endpoint_name: The endpoint that it belongs to.
        yes: Do not ask first.
    """
    console, context = begin(common)
    confirm(f"deployment {name!r} of {endpoint_name!r}", yes=yes)
    deployments.delete(context, endpoint_name, name)
    console.result(f"deleted {name}", {"deleted": name})


def get_logs(
    *,
    name: Named,
    endpoint_name: EndpointName,
    lines: Annotated[int, Parameter(alias="-l")] = 50,
    instance: str | None = None,
    follow: Annotated[bool, Parameter(alias="-f", negative="")] = False,
    common: GroupCommon = GroupCommon(),
) -> None:
    """Print what a deployment's instances wrote last.

    For example:

        lading deployment get-logs -n blue -e my-endpoint --lines 100

        lading deployment logs -n blue -e my-endpoint --follow

    Args:
        endpoint_name: The endpoint that it belongs to.
        lines: How many lines of each instance; default: 50.
        instance: One instance, such as blue-1; default: all of them.
        follow: Go on with what comes, until interrupted.
    """
    _, context = begin(common)
    for line in deployments.logs(context, endpoint_name, name, lines=lines, instance=instance, follow=follow):
        print(line, flush=True)


logs = get_logs


def _ready(found: dict[str, Any]) -> int:
    return sum(one["state"] == "ready" for one in found["instances"])


def _print(console: Console, found: dict[str, Any]) -> None:
    lines = [f"{found['name']}  {found['environment']}  {found['provisioning_state']}"]
    lines.append(f"  ready     {_ready(found)} of {found['instance_count']}")
    lines.append(f"  traffic   {found['traffic']} %")
    lines += [f"  reason    {found['reason']}"] if found["reason"] else []
    for one in found["instances"]:
        times = "once" if one["restarts"] == 1 else f"{one['restarts']} times"
        restarts = f", restarted {times}" if one["restarts"] else ""
        reason = f": {one['reason'].splitlines()[0]}" if one["reason"] else ""
        lines.append(f"  {one['name']:<9} {one['state']}{restarts}{reason}")
    console.result("\n".join(lines), found)
