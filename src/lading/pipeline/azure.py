"""A package goes in; what puts its image on Azure comes out: Azure ML's YAML, or the settings of App Service.

Nothing of Azure is called. Source: Azure's "Use a custom container to deploy a model to an online endpoint"
and "Deploy a model package to Azure App Service"; azure-ai-ml 1.35.2 reads the files.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lading.core.assets import PREFIX
from lading.core.bill import Bill
from lading.core.errors import Issue, LadingError, SpecError
from lading.core.platform import Platform
from lading.core.reference import Reference
from lading.pipeline import packages, shelf
from lading.pipeline.context import Context
from lading.pipeline.packaging import repository
from lading.servers.azureml_batch import NAME as BATCH
from lading.spec.azureml import text
from lading.spec.azureml.endpoint import LENGTH, name_problem
from lading.store.registry_api import is_loopback

_SCHEMAS = "https://azuremlschemas.azureedge.net/latest"
_PLATFORM = Platform("linux", "amd64")
_ROUTES = ("liveness", "readiness", "scoring")
_START_S = 600


@dataclass(frozen=True, slots=True)
class Outside:
    """A package as a platform is told of it."""

    name: str
    version: str
    image: Reference
    """In a registry, by tag and by digest."""
    port: int
    routes: Mapping[str, str]
    """`liveness`, `readiness`, `scoring`."""
    notes: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    """What the container has to be told."""
    is_pushed: bool = False
    """Whether the image is there already."""
    source: str = ""
    """What `lading push` takes it by: its name in the store, or its digest."""

    @property
    def tagged(self) -> str:
        """The image by its tag."""
        return str(self.image.with_tag(self.image.tag or "latest"))

    @property
    def pinned(self) -> str:
        """The image by its digest, which nobody can replace."""
        return str(Reference(self.image.registry, self.image.repository, None, self.image.digest))


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done: files by name, and commands in order."""

    files: Mapping[str, str] = field(default_factory=dict)
    commands: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "files": dict(self.files),
            "commands": list(self.commands),
            "settings": dict(self.settings),
            "notes": list(self.notes),
        }


def look(context: Context, package: str, image: str | None) -> Outside:
    """Read a package of the store or a workspace; `image` is where it is, or will be, pushed.

    Raises SpecError where that is in no registry, or the package is for another platform than Azure's.
    """
    name, digest, there = _find(context, package)
    found = shelf.find(context, digest, _PLATFORM)
    where = Reference.parse(image) if image else there
    if where.registry is None:
        example = f"myregistry.azurecr.io/{where.repository}:{where.tag or 'latest'}"
        fix = f"say where it is pushed: --image {example}"
        raise SpecError(Issue(package, "is in no registry that Azure could pull from", fix))
    bill = found.bill
    routes = packages.routes_of(bill)
    missing = [one for one in _ROUTES if one not in routes]
    if missing:
        what = f"its server {bill.server.name!r} has no route for {', '.join(missing)}"
        raise SpecError(Issue(package, what))
    reference = Reference(where.registry, where.repository, where.tag, found.descriptor.digest)
    version = name.tag or where.tag or "1"
    called = name.repository.rpartition("/")[2]
    return Outside(
        called,
        version,
        reference,
        bill.server.port,
        routes,
        _notes(bill, where),
        _variables(bill, reference),
        where == there,
        package if any(str(one) == package for one, _ in context.store.tags()) else digest,
    )


def ml(
    outside: Outside,
    *,
    endpoint: str,
    deployment: str,
    instance_type: str,
    instance_count: int,
    folder: Path = Path(),
) -> Plan:
    """Plan a managed online deployment of Azure ML, which takes the image as it is; files go to `folder`."""
    issues = [
        Issue(flag, problem)
        for flag, word in (("--endpoint-name", endpoint), ("--name", deployment))
        if (problem := name_problem(word))
    ]
    if instance_count < 1:
        issues.append(Issue("--instance-count", f"got {instance_count}, expected 1 or more"))
    if issues:
        raise SpecError(*issues)
    route = {f"{key}_route": {"port": outside.port, "path": outside.routes[key]} for key in _ROUTES}
    probe = {"initial_delay": 10, "period": 10, "timeout": 5, "failure_threshold": _START_S // 10}
    files = {
        "environment.yml": {
            "$schema": f"{_SCHEMAS}/environment.schema.json",
            "name": outside.name,
            "version": outside.version,
            "image": outside.pinned,
            "inference_config": route,
        },
        "endpoint.yml": {
            "$schema": f"{_SCHEMAS}/managedOnlineEndpoint.schema.json",
            "name": endpoint,
            "auth_mode": "key",
        },
        "deployment.yml": {
            "$schema": f"{_SCHEMAS}/managedOnlineDeployment.schema.json",
            "name": deployment,
            "endpoint_name": endpoint,
            "environment": f"azureml:{outside.name}:{outside.version}",
            **({"environment_variables": dict(outside.variables)} if outside.variables else {}),
            "instance_type": instance_type,
            "instance_count": instance_count,
            "request_settings": {"request_timeout_ms": 60000},
            "liveness_probe": probe,
            "readiness_probe": probe,
        },
    }
    told = {name.removesuffix(".yml"): shlex.quote(str(folder / name)) for name in files}
    commands = (
        *_push(outside),
        f"az ml environment create -f {told['environment']}",
        f"az ml online-endpoint create -f {told['endpoint']}",
        f"az ml online-deployment create -f {told['deployment']} --all-traffic",
        f"az ml online-endpoint invoke -n {endpoint} -r sample-request.json",
    )
    return Plan({name: text.dump_plain(one) for name, one in files.items()}, commands, notes=outside.notes)


def app_service(outside: Outside, *, app: str, group: str, plan: str) -> Plan:
    """Plan a web app of App Service, which is told the port, and where its health is asked."""
    settings = {
        "WEBSITES_PORT": str(outside.port),
        "WEBSITES_CONTAINER_START_TIME_LIMIT": str(_START_S),
        "WEBSITES_ENABLE_APP_SERVICE_STORAGE": "false",
        **outside.variables,
    }
    told = " ".join(f"{key}={value}" for key, value in settings.items())
    where = f"-g {shlex.quote(group)} -n {shlex.quote(app)}"
    health = json.dumps({"healthCheckPath": outside.routes["readiness"]})
    created = f"-p {shlex.quote(plan)} --deployment-container-image-name {outside.tagged}"
    url = f"https://{app}.azurewebsites.net{outside.routes['scoring']}"
    commands = (
        *_push(outside),
        f"az webapp create {where} {created}",
        f"az webapp config appsettings set {where} --settings {told}",
        f"az webapp config set {where} --always-on true --generic-configurations {shlex.quote(health)}",
        f"curl {shlex.quote(url)} -H 'content-type: application/json' -d @sample-request.json",
    )
    return Plan({}, commands, settings, outside.notes)


def endpoint_name(name: str) -> str:
    """Name an endpoint after a package, as Azure allows it.

    >>> endpoint_name("team_a.iris"), endpoint_name("7b")
    ('team-a-iris', 'model-7b')
    """
    words = re.sub(r"[^a-zA-Z0-9]+", "-", name).strip("-")
    words = words if len(words) >= LENGTH[0] and words[0].isalpha() else f"model-{words}"
    return words[: LENGTH[-1]].rstrip("-")


def write(plan: Plan, folder: Path) -> list[Path]:
    """Write a plan's files into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / name for name in plan.files]
    for path in paths:
        path.write_text(plan.files[path.name], encoding="utf-8")
    return paths


def _find(context: Context, package: str) -> tuple[Reference, str, Reference]:
    """Find a package by its name in the store, or as an asset: name, digest, and where it is kept."""
    try:
        found = packages.find(context, package)
    except LadingError:
        if package.startswith(PREFIX):
            raise
        descriptor = context.store.find(package)
        if any(str(name) == package for name, _ in context.store.tags()):
            own = Reference.parse(package)
        else:  # a digest, or the beginning of one
            bill = shelf.find(context, package).bill
            own = Reference(None, bill.name, bill.version)
        return own, str(descriptor.digest), own
    digest = packages.bring(context, found)
    image = Reference.parse(str(found.asset.document["image"]))
    name = Reference(None, repository(found.asset.name), found.asset.version)
    return name, str(digest), Reference(image.registry, image.repository, found.asset.version)


def _push(outside: Outside) -> tuple[str, ...]:
    return () if outside.is_pushed else (f"lading push {outside.source} {outside.tagged}",)


def _notes(bill: Bill, where: Reference) -> tuple[str, ...]:
    """Say what has to be known before a platform is trusted with a package."""
    found = []
    if bill.model.mode != "copy":
        found.append(
            "the model is downloaded at start: the platform has to let the container reach its source"
        )
    if is_loopback(where.registry or ""):
        found.append(f"{where.registry} is this machine: Azure cannot pull from it")
    if bill.server.name == BATCH:
        found.append('its script scores mini batches: a request has to bring files, {"files": {NAME: TEXT}}')
    return tuple(found)


def _variables(bill: Bill, image: Reference) -> dict[str, str]:
    """Tell a package whose model has no source of its own that it lies beside the image."""
    is_told = bill.model.mode == "copy" or bill.model.sources
    return {} if is_told else {"LADING_MODEL_SOURCE": f"oci://{image.registry}/{image.repository}"}
