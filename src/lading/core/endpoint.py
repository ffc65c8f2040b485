"""Endpoints and deployments: the nouns, with Azure ML's own defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from lading.core import canonical, typed
from lading.core.digest import Digest

AuthMode = Literal["key", "aml_token", "aad_token"]
KeyType = Literal["primary", "secondary"]
TargetName = Literal["machine", "docker", "podman"]
State = Literal["creating", "updating", "succeeded", "failed", "deleting"]
PINS = "azureml-model-deployment"
"""The header by which a request asks for one deployment."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address in front of deployments. Shares are in per cent."""

    name: str
    auth_mode: AuthMode = "key"
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)
    traffic: Mapping[str, int] = field(default_factory=dict)
    mirror_traffic: Mapping[str, int] = field(default_factory=dict)
    host: str = "127.0.0.1"
    port: int = 0
    """Where it listens on this machine; 0 is any that is free, until it is known."""


@dataclass(frozen=True, slots=True)
class Probe:
    """How often an instance is asked how it is, and when that counts. Times in seconds."""

    initial_delay: int = 10
    period: int = 10
    timeout: int = 2
    success_threshold: int = 1
    failure_threshold: int = 30


@dataclass(frozen=True, slots=True)
class RequestSettings:
    """How long a request may take, the wait for its turn included, and how many an instance has at a time."""

    request_timeout_ms: int = 5000
    max_concurrent_requests_per_instance: int = 1


@dataclass(frozen=True, slots=True)
class Deployment:
    """A package that answers at an endpoint, in so many instances."""

    name: str
    endpoint_name: str
    environment: str
    """The package by its name, as it was asked for."""
    package: Digest
    """What that named then: what runs."""
    target: TargetName = "machine"
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)
    environment_variables: Mapping[str, str] = field(default_factory=dict)
    instance_count: int = 1
    request_settings: RequestSettings = field(default_factory=RequestSettings)
    liveness_probe: Probe = field(default_factory=Probe)
    readiness_probe: Probe = field(default_factory=Probe)
    egress: bool = True
    """Whether instances may reach the network."""

    @property
    def template(self) -> str:
        """Name what an instance is made from: instances of the same are not replaced."""
        made = {
            "package": str(self.package),
            "target": self.target,
            "variables": dict(self.environment_variables),
            "egress": self.egress,
            "timeout_ms": self.request_settings.request_timeout_ms,
        }
        return Digest.of(canonical.encode(made)).hex[:12]


@dataclass(frozen=True, slots=True)
class InstanceState:
    """One instance, as it is now."""

    name: str
    state: Literal["starting", "ready", "not ready", "restarting", "leaving"]
    template: str
    restarts: int = 0
    reason: str = ""
    """Why it is not ready, with the last that it wrote."""


@dataclass(frozen=True, slots=True)
class DeploymentState:
    """A deployment, as it is now."""

    deployment: Deployment
    state: State
    instances: tuple[InstanceState, ...] = ()
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            **typed.to_json(self.deployment),
            "provisioning_state": self.state.capitalize(),
            "reason": self.reason,
            "instances": [typed.to_json(one) for one in self.instances],
        }
