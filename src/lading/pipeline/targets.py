"""A deployment goes in; an instance that runs in a sandbox, or in a container of an engine, comes out."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from lading import servers
from lading.core.assets import PREFIX, AssetReference
from lading.core.endpoint import Deployment
from lading.core.errors import DeployError, VerifyError
from lading.core.server import NATIVE, Server
from lading.deploy import Address, Started, Target
from lading.pipeline import delivery, packages, shelf
from lading.pipeline.context import Context
from lading.pipeline.publish import free_port
from lading.pipeline.running import on_port, on_socket, user

_SOCKET = "s"
_HOST = "127.0.0.1"
# who may ask, and where it listens, is the endpoint's affair
_OURS = (
    "LADING_TOKEN",
    "LADING_TLS_",
    "LADING_HOST",
    "LADING_PORT",
    "LADING_UDS",
    "LADING_GRPC_",
    "LADING_LAME_DUCK_S",
)


@dataclass
class Sandboxes:
    """Instances in sandboxes of one kind: the first that works where none is named (deploy.Target)."""

    context: Context
    kind: str | None = None
    _opening: threading.Lock = field(default_factory=threading.Lock)

    def start(self, deployment: Deployment, folder: Path, log: IO[bytes]) -> Started:
        """Start a server; raise LadingError where the package is gone or the sandbox refuses."""
        package = shelf.find(self.context, str(deployment.package))
        image, bill = package.image, package.bill
        with self._opening:  # several unpack the same layers otherwise
            opened = self.context.sandbox(image.layers, self.kind, platform=image.platform, user=user(image))
        server = servers.find(bill.server.name)
        # several that cannot be told where to listen would be in each other's way
        is_apart = not deployment.egress or not server.is_told_port
        if is_apart or bill.server.name == NATIVE:
            argv, env = on_socket(image, bill, f"/tmp/{_SOCKET}")  # noqa: S108 - in its sandbox
            address = Address(socket=str(folder / _SOCKET))
        else:
            address = Address(host=_HOST, port=free_port(_HOST))
            argv, env = on_port(image, bill, _HOST, address.port)
        lent = delivery.lend(self.context, bill)
        settings = _settings(deployment, server)
        env |= {**shelf.identity(package, *_served_as(deployment)), **settings, **lent.env}
        running = opened.start(argv, env=env, tmp=folder, network=not is_apart, mounts=lent.mounts)
        running.follow(log)
        routes = packages.routes_of(bill)
        return Started(running, address, routes["liveness"], routes["readiness"], routes["scoring"])


def _served_as(deployment: Deployment) -> tuple[str, str]:
    """Return the name and the version by which the package was asked for."""
    if deployment.environment.startswith(PREFIX):
        reference = AssetReference.parse(deployment.environment, "environment")
        return reference.name, reference.version or ""
    name, _, version = deployment.environment.rpartition(":")
    return name, version


def _settings(deployment: Deployment, server: Server) -> dict[str, str]:
    given = {
        name: value for name, value in deployment.environment_variables.items() if not name.startswith(_OURS)
    }
    # whoever asks is told by the endpoint, which gives up first
    timeout_s = deployment.request_settings.request_timeout_ms / 1000 + 1
    return {"LADING_GRPC_PORT": "0", **server.give_up(timeout_s), **given}


def all_targets(context: Context) -> Mapping[str, Target]:
    """Return every target by its name."""
    return {
        "machine": Sandboxes(context),
        "docker": Sandboxes(context, "docker"),
        "podman": Sandboxes(context, "podman"),
    }


def check(context: Context, deployment: Deployment) -> list[str]:
    """Find out before anything is started whether a target works; return what there is to be warned of."""
    package = shelf.find(context, str(deployment.package))
    kind = None if deployment.target == "machine" else deployment.target
    image = package.image
    try:
        context.sandbox(image.layers, kind, platform=image.platform, user=user(image))
    except VerifyError as error:
        raise DeployError(*error.issues) from error
    server = package.bill.server.name
    if server == NATIVE or not deployment.egress:
        return []
    if not servers.find(server).is_told_port:
        return [
            f"{server} cannot be told where to listen: each instance has a network of its own, and no way out"
        ]
    what = f"{server} listens on ports of this machine, where no key is asked for"
    return [f"{what}; with egress_public_network_access: disabled it has a network of its own"]
