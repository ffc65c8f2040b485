"""Azure ML's deployment files go in; packages that answer at an endpoint, in so many instances, come out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from lading import deploy
from lading.core import typed
from lading.core.endpoint import Deployment, TargetName
from lading.core.errors import DeployError, Issue, RegistryError, SpecError
from lading.core.patience import Patience
from lading.core.ports import Event
from lading.pipeline import deployable, endpoints, targets
from lading.pipeline.context import Context
from lading.pipeline.endpoints import Given
from lading.spec.azureml import deployment as deployment_file
from lading.spec.azureml.deployment import OnlineDeployment

_LOOK_S = 0.1


def create(
    context: Context,
    given: Given,
    *,
    target: TargetName | None = None,
    all_traffic: bool = False,
    wait: bool = True,
) -> dict[str, Any]:
    """Create a deployment and wait until it answers; one that is there is changed without a gap.

    `all_traffic`: it has all of it once it answers. Raises DeployError, with the last that an instance wrote,
    where it does not come up.
    """
    found = deployment_file.load(given.file, given.all(), context.events)
    known = {one["name"]: one for one in _listed(context, str(found.endpoint_name))}
    before = known.get(found.name or "")
    target = target or (before["target"] if before else "machine")
    deployment = _deployment(context, found, target, allow_unsafe=given.allow_unsafe)
    return _put(context, deployment, all_traffic=all_traffic, wait=wait)


def update(
    context: Context,
    given: Given,
    *,
    target: TargetName | None = None,
    wait: bool = True,
) -> dict[str, Any]:
    """Change a deployment: what a file or overrides say of it; the rest stays, and so do answers."""
    if given.file is not None:
        return create(context, given, target=target, wait=wait)
    before = _found(context, given.endpoint_name, given.name)
    found = deployment_file.load(None, given.all(), context.events, known=deployment_file.of(before))
    deployment = _deployment(context, found, target or before.target, before, allow_unsafe=given.allow_unsafe)
    return _put(context, deployment, wait=wait)


def show(context: Context, endpoint: str, name: str) -> dict[str, Any]:
    """Tell of a deployment and its instances, as they are now; RegistryError where there is none."""
    found = _listed(context, endpoint)
    for one in found:
        if one["name"] == name:
            return one
    known = ", ".join(one["name"] for one in found) or "none"
    where = f"deployment {name!r} of endpoint {endpoint!r}"
    raise RegistryError(Issue(where, f"there is no such deployment; there are: {known}"))


def list_all(context: Context, endpoint: str | None) -> list[dict[str, Any]]:
    """Tell of every deployment, or every one of an endpoint."""
    if endpoint is not None:
        return _listed(context, endpoint)
    return [one for each in endpoints.look(context) for one in _with_shares(each)]


def delete(context: Context, endpoint: str, name: str) -> None:
    """Delete a deployment that has no traffic; what is being answered is."""
    if not endpoints.folder(context).has(endpoint, name):
        show(context, endpoint, name)
    endpoints.ask(context, {"do": "delete deployment", "endpoint": endpoint, "name": name})


def logs(
    context: Context, endpoint: str, name: str, *, lines: int, instance: str | None, follow: bool
) -> Iterator[str]:
    """Yield the last lines that each instance wrote and, to `follow`, those that come, until interrupted."""
    show(context, endpoint, name)
    home = endpoints.folder(context).logs(endpoint, name)
    paths = sorted(one for one in home.glob("*.log") if instance in {None, one.stem})
    if instance is not None and not paths:
        known = ", ".join(sorted(one.stem for one in home.glob("*.log"))) or "none"
        raise RegistryError(Issue(f"instance {instance!r}", f"has no log; there are: {known}"))
    for path in paths:
        for line in deploy.last_lines(path, lines):
            yield line if len(paths) == 1 else f"[{path.stem}] {line}"
    if follow:
        yield from deploy.follow(home, instance)


def _listed(context: Context, endpoint: str) -> list[dict[str, Any]]:
    return _with_shares(endpoints.show_endpoint(context, endpoint))


def _with_shares(endpoint: dict[str, Any]) -> list[dict[str, Any]]:
    shares, mirrored = endpoint["traffic"], endpoint["mirror_traffic"]
    return [
        {**one, "traffic": shares.get(one["name"], 0), "mirror_traffic": mirrored.get(one["name"], 0)}
        for one in endpoint["deployments"]
    ]


def _found(context: Context, endpoint: str | None, name: str | None) -> Deployment:
    if endpoint is None or name is None:
        raise SpecError(Issue("deployment", "is not named", "give --name and --endpoint-name, or --file"))
    return typed.from_json(Deployment, show(context, endpoint, name), "deployment")


def _deployment(
    context: Context,
    found: OnlineDeployment,
    target: TargetName,
    before: Deployment | None = None,
    *,
    allow_unsafe: tuple[str, ...] = (),
) -> Deployment:
    """Find what a file names; raise where it is not there, or cannot run there."""
    if before is not None and found.environment == before.environment and found.model is None:
        environment, package = before.environment, before.package  # whatever its name means by now
    else:
        environment, package = deployable.find(context, found, allow_unsafe)
    deployment = Deployment(
        name=str(found.name),
        endpoint_name=str(found.endpoint_name),
        environment=environment,
        package=package,
        target=target,
        description=found.description,
        tags=found.tags,
        properties=found.properties,
        environment_variables=found.environment_variables,
        instance_count=found.instance_count,
        request_settings=found.requests,
        liveness_probe=found.liveness_probe,
        readiness_probe=found.readiness_probe,
        egress=found.egress_public_network_access != "disabled",
    )
    for warning in targets.check(context, deployment):
        context.events(Event("deploy", "warning", warning))
    return deployment


def _put(
    context: Context, deployment: Deployment, *, all_traffic: bool = False, wait: bool
) -> dict[str, Any]:
    name, endpoint = deployment.name, deployment.endpoint_name
    order = {"do": "put deployment", "deployment": typed.to_json(deployment), "all_traffic": all_traffic}
    endpoints.ask(context, order)
    if wait:
        _wait(context, endpoint, name)
    return show(context, endpoint, name)


def _wait(context: Context, endpoint: str, name: str) -> None:
    """Wait until a deployment is whole, telling of each that changes; raise DeployError where it fails."""
    told: dict[str, str] = {}
    waiting = Patience(context.events, "deploy", f"{name} to be ready")
    while True:
        found = show(context, endpoint, name)
        for one in found["instances"]:
            line = one["state"] + (f": {one['reason'].splitlines()[0]}" if one["reason"] else "")
            if told.get(one["name"]) != line:
                told[one["name"]] = line
                context.events(Event("deploy", "stage", f"{one['name']}: {line}"))
        if found["provisioning_state"] == "Failed":
            fix = f"its whole log: lading deployment get-logs -n {name} -e {endpoint}"
            raise DeployError(Issue(f"deployment {name!r}", found["reason"], fix))
        if found["provisioning_state"] == "Succeeded":
            ready = sum(one["state"] == "ready" for one in found["instances"])
            context.events(Event("deploy", "stage", f"{name}: {ready} of {found['instance_count']} ready"))
            return
        waiting.tell(", ".join(f"{one['name']} is {one['state']}" for one in found["instances"]))
        time.sleep(_LOOK_S)
