"""The port of this room: where instances run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from lading.core.endpoint import Deployment
from lading.core.ports import Running


@dataclass(frozen=True, slots=True)
class Address:
    """Where an instance answers: a Unix socket, or a port of this machine."""

    socket: str = ""
    host: str = ""
    port: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return what a router has to know."""
        return {"socket": self.socket} if self.socket else {"host": self.host, "port": self.port}


@dataclass(frozen=True, slots=True)
class Started:
    """An instance that has been started; it may not answer yet."""

    running: Running
    address: Address
    liveness: str
    readiness: str
    scoring: str


class Target(Protocol):
    """A place where instances run."""

    def start(self, deployment: Deployment, folder: Path, log: IO[bytes]) -> Started:
        """Start an instance whose own folder is `folder`, empty at first; raise LadingError."""
        ...
