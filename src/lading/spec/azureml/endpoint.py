"""`endpoint.yml` → OnlineEndpoint → Endpoint: Azure ML's managed and Kubernetes online endpoints."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from lading.core.endpoint import AuthMode, Endpoint
from lading.core.ports import Events, ignore
from lading.spec.azureml.text import Reader, dump
from lading.spec.typed import read_text

_NAME = re.compile(r"[a-zA-Z](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?\Z")
LENGTH = range(3, 33)
"""Of the name of an endpoint, or of a deployment."""
_MOST_MIRRORED = 50
_ELSEWHERE = "there is no such thing on this machine"


@dataclass(frozen=True)
class OnlineEndpoint:
    """The file, as it is written."""

    PRINTED: ClassVar = frozenset(
        {"id", "kind", "location", "provisioning_state", "scoring_uri", "openapi_uri"}
    )
    """Keys that Azure prints of one and passes over when it reads them."""

    name: str | None = None
    auth_mode: AuthMode = "key"
    traffic: Mapping[str, int] = field(default_factory=dict)
    mirror_traffic: Mapping[str, int] = field(default_factory=dict)
    public_network_access: Literal["enabled", "disabled"] | None = None
    compute: str | None = None
    identity: Any = None
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)

    def endpoint(self, host: str = "127.0.0.1", port: int = 0) -> Endpoint:
        """Return what of it is applied."""
        return Endpoint(
            self.name or "",
            self.auth_mode,
            self.description,
            self.tags,
            self.properties,
            self.traffic,
            self.mirror_traffic,
            host,
            port,
        )

    def not_applied(self) -> Iterator[tuple[str, str]]:
        """Tell which keys change nothing here, and why."""
        if self.public_network_access is not None:
            yield (
                "public_network_access",
                "who reaches an endpoint is decided by --host: 127.0.0.1 by default",
            )
        if self.compute is not None:
            yield "compute", f"a Kubernetes compute: {_ELSEWHERE}"
        if self.identity is not None:
            yield "identity", f"Azure's managed identities: {_ELSEWHERE}"


def of(endpoint: Endpoint) -> OnlineEndpoint:
    """Write an endpoint as its file."""
    return OnlineEndpoint(
        name=endpoint.name,
        auth_mode=endpoint.auth_mode,
        traffic=endpoint.traffic,
        mirror_traffic=endpoint.mirror_traffic,
        description=endpoint.description,
        tags=endpoint.tags,
        properties=endpoint.properties,
    )


def load(
    path: Path | None,
    overrides: Sequence[str] = (),
    events: Events = ignore,
    *,
    known: OnlineEndpoint | None = None,
) -> OnlineEndpoint:
    """Read a file, else what is known, and what is given besides; raise SpecError with every issue."""
    reader = Reader(path, overrides)
    text = read_text(path) if path else dump(known) if known else ""
    found = reader.read(text, OnlineEndpoint)
    check(found, reader)
    reader.pass_over(found.not_applied())
    reader.finish(events)
    return found


def check(found: OnlineEndpoint, reader: Reader) -> None:
    """Complain of what no endpoint can be."""
    check_name(reader, "name", found.name)
    if found.auth_mode != "key":
        what = f"{found.auth_mode!r} are tokens that Azure gives out: {_ELSEWHERE}"
        reader.complain("auth_mode", what, "have keys: auth_mode: key, or --set auth_mode=key")
    for problem in traffic_problems(found.traffic):
        reader.complain("traffic", problem)
    for problem in mirror_problems(found.mirror_traffic):
        reader.complain("mirror_traffic", problem)


def check_name(reader: Reader, key: str, name: str | None, *, also: str = "-") -> None:
    """Complain of a name that is missing, or none; what is `also` in it counts as a hyphen."""
    if name is not None:
        if (problem := name_problem(name)) and name_problem(name.replace(also, "-")):
            reader.complain(key, problem)
    elif not reader.issues:
        option = f"--{key.replace('_', '-')}"
        reader.complain(key, "is missing", f"write {key}: NAME, or give {option} NAME")


def name_problem(name: str) -> str | None:
    """Say why a text cannot name an endpoint or a deployment; None where it can."""
    if _NAME.match(name) and len(name) in LENGTH:
        return None
    expected = "3 to 32 letters, digits and '-', a letter first and no '-' last"
    return f"got {name[:60]!r}, expected {expected}"


def traffic_problems(traffic: Mapping[str, int]) -> Iterator[str]:
    """Say what is wrong with shares of traffic."""
    for name, share in traffic.items():
        if not 0 <= share <= 100:
            yield f"got {share} for {name!r}, expected 0 to 100"
    if sum(traffic.values()) > 100:
        yield "Traffic rule percentages must sum to less than or equal to 100%"


def mirror_problems(mirror: Mapping[str, int]) -> Iterator[str]:
    """Say what is wrong with what is mirrored."""
    if len(mirror) > 1:
        yield f"got {len(mirror)} deployments, expected one"
    for name, share in mirror.items():
        if not 0 <= share <= _MOST_MIRRORED:
            yield f"got {share} for {name!r}, expected 0 to {_MOST_MIRRORED}"
