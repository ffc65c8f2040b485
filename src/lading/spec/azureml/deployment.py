"""`deployment.yml` → OnlineDeployment: Azure ML's managed and Kubernetes online deployments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from lading.core.endpoint import Deployment, Probe, RequestSettings
from lading.core.ports import Events, ignore
from lading.spec.azureml.endpoint import check_name
from lading.spec.azureml.environment import Environment
from lading.spec.azureml.model import Model
from lading.spec.azureml.text import Place, Reader, dump
from lading.spec.typed import read_text

_MOST_MS = 180_000
_ELSEWHERE = "there is no such thing on this machine"


@dataclass(frozen=True)
class CodeConfiguration:
    """The folder and the script that score."""

    code: Place | None = None
    scoring_script: str | None = None


@dataclass(frozen=True)
class Requests:
    """`request_settings`."""

    request_timeout_ms: int = 5000
    max_concurrent_requests_per_instance: int = 1
    max_queue_wait_ms: int | None = None


@dataclass(frozen=True)
class Scale:
    """`scale_settings`; Azure has been dropping underscores in `type` too."""

    type: Literal["default", "target_utilization"] = "default"
    polling_interval: int | None = None
    target_utilization_percentage: int | None = None
    min_instances: int | None = None
    max_instances: int | None = None


@dataclass(frozen=True)
class Resources:
    """What an instance of a Kubernetes deployment asks for, and may have."""

    requests: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Data:
    """Where a collection is kept."""

    name: str | None = None
    path: str | None = None
    version: str | None = None


@dataclass(frozen=True)
class Collection:
    """What is collected under a name."""

    enabled: Literal["true", "false"] | None = None
    data: str | Data | None = None
    client_id: str | None = None
    sampling_rate: float | None = None


@dataclass(frozen=True)
class RequestLogging:
    """`request_logging`."""

    capture_headers: tuple[str, ...] = ()


@dataclass(frozen=True)
class DataCollector:
    """`data_collector`."""

    collections: Mapping[str, Collection] = field(default_factory=dict)
    rolling_rate: Literal["minute", "hour", "day", "month", "year"] | None = None
    sampling_rate: float | None = None
    request_logging: RequestLogging | None = None


@dataclass(frozen=True)
class OnlineDeployment:
    """The file, as it is written."""

    PRINTED: ClassVar = frozenset({"id", "creation_context", "provisioning_state"})
    """Keys that Azure prints of one and passes over when it reads them."""

    name: str | None = None
    endpoint_name: str | None = None
    type: Literal["managed", "kubernetes"] | None = None
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)
    model: str | Model | None = None
    code_configuration: CodeConfiguration | None = None
    environment: str | Environment | None = None
    environment_variables: Mapping[str, str] = field(default_factory=dict)
    instance_type: str | None = None
    instance_count: int = 1
    app_insights_enabled: bool = False
    model_mount_path: str | None = None
    egress_public_network_access: Literal["enabled", "disabled"] | None = None
    scale_settings: Scale | None = None
    request_settings: Requests = field(default_factory=Requests)
    liveness_probe: Probe = field(default_factory=Probe)
    readiness_probe: Probe = field(default_factory=Probe)
    startup_probe: Probe | None = None
    data_collector: DataCollector | None = None
    private_network_connection: bool | None = None
    resources: Resources | None = None

    @property
    def requests(self) -> RequestSettings:
        """Return what of `request_settings` is applied."""
        given = self.request_settings
        return RequestSettings(given.request_timeout_ms, given.max_concurrent_requests_per_instance)

    def not_applied(self) -> Iterator[tuple[str, str]]:
        """Tell which keys change nothing here, and why."""
        if self.type == "kubernetes":
            yield "type", f"instances run on this machine, in docker or in podman: {_ELSEWHERE}"
        if self.instance_type is not None:
            yield "instance_type", "instances have this machine"
        if self.app_insights_enabled:
            yield "app_insights_enabled", "Application Insights is Azure's; see `lading deployment get-logs`"
        if self.scale_settings is not None and self.scale_settings.type != "default":
            yield "scale_settings", "there are as many instances as instance_count says"
        if self.request_settings.max_queue_wait_ms is not None:
            yield (
                "request_settings.max_queue_wait_ms",
                "request_timeout_ms covers the wait, as Azure has it now",
            )
        if self.startup_probe is not None:
            yield "startup_probe", "an instance has until readiness_probe's last failure to start"
        if self.data_collector is not None:
            yield "data_collector", "it writes to Azure's storage; LADING_INFERENCE_LOG is lading's own"
        if self.private_network_connection is not None:
            yield "private_network_connection", _ELSEWHERE
        if self.resources is not None:
            yield "resources", "instances share this machine"


def of(deployment: Deployment) -> OnlineDeployment:
    """Write a deployment as its file."""
    asked = deployment.request_settings
    return OnlineDeployment(
        name=deployment.name,
        endpoint_name=deployment.endpoint_name,
        description=deployment.description,
        tags=deployment.tags,
        properties=deployment.properties,
        environment=deployment.environment,
        environment_variables=deployment.environment_variables,
        instance_count=deployment.instance_count,
        egress_public_network_access=None if deployment.egress else "disabled",
        request_settings=Requests(asked.request_timeout_ms, asked.max_concurrent_requests_per_instance),
        liveness_probe=deployment.liveness_probe,
        readiness_probe=deployment.readiness_probe,
    )


def load(
    path: Path | None,
    overrides: Sequence[str] = (),
    events: Events = ignore,
    *,
    known: OnlineDeployment | None = None,
) -> OnlineDeployment:
    """Read a file, else what is known, and what is given besides; raise SpecError with every issue."""
    reader = Reader(path, overrides)
    text = read_text(path) if path else dump(known) if known else ""
    found = reader.read(text, OnlineDeployment)
    _check(found, reader)
    reader.pass_over(found.not_applied())
    reader.finish(events)
    return found


def _check(found: OnlineDeployment, reader: Reader) -> None:
    check_name(reader, "name", found.name, also="_")  # `regular_deployment` of Azure's examples
    check_name(reader, "endpoint_name", found.endpoint_name)
    if found.instance_count < 0:
        reader.complain("instance_count", f"got {found.instance_count}, expected 0 or more")
    path = found.model_mount_path
    if path is not None and not path.startswith("/"):
        reader.complain("model_mount_path", f"got {path!r}, expected an absolute path")
    asked = found.request_settings
    if not 1 <= asked.request_timeout_ms <= _MOST_MS:
        what = f"got {asked.request_timeout_ms}, expected 1 to {_MOST_MS}"
        reader.complain("request_settings.request_timeout_ms", what)
    if asked.max_concurrent_requests_per_instance < 1:
        what = f"got {asked.max_concurrent_requests_per_instance}, expected 1 or more"
        reader.complain("request_settings.max_concurrent_requests_per_instance", what)
    _check_probes(found, reader)
    collector = found.data_collector
    if collector is not None and not 0 <= (collector.sampling_rate or 0) <= 1:
        reader.complain("data_collector.sampling_rate", f"got {collector.sampling_rate}, expected 0 to 1")


def _check_probes(found: OnlineDeployment, reader: Reader) -> None:
    for key, probe in (("liveness_probe", found.liveness_probe), ("readiness_probe", found.readiness_probe)):
        for name in ("period", "timeout", "success_threshold", "failure_threshold"):
            if getattr(probe, name) < 1:
                reader.complain(f"{key}.{name}", f"got {getattr(probe, name)}, expected 1 or more")
        if probe.initial_delay < 0:
            reader.complain(f"{key}.initial_delay", f"got {probe.initial_delay}, expected 0 or more")
