"""`[[IP:]HOST:]CONTAINER` goes in, as docker and podman write what they publish; an address comes out."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass

from lading.core.errors import Issue, SpecError

_FORM = re.compile(
    r"(?:(?:(?P<ip>\[[0-9a-fA-F:.]+\]|[0-9.]+):)?(?P<host>[0-9-]*):)?(?P<inner>[0-9-]+)(?:/(?P<kind>tcp|udp|sctp))?\Z"
)
_RANGE = re.compile(r"[0-9]{1,5}(?:-[0-9]{1,5})?\Z")


@dataclass(frozen=True, slots=True)
class Published:
    """A port of a container, and where it is to be reached; port 0 is any that is free."""

    host: str
    port: int
    container_port: int
    text: str

    @classmethod
    def parse(cls, text: str) -> Published:
        """Read one; a range counts by its first port. Raises SpecError."""
        found = _FORM.match(text)
        numbers = [found[name] for name in ("host", "inner") if found[name]] if found else []
        ports = [int(one.partition("-")[0]) for one in numbers if _RANGE.match(one)]
        if not found or len(ports) != len(numbers) or not all(0 < one < 1 << 16 for one in ports):
            what = f"got {text!r}, expected HOST:CONTAINER, such as 9000:8080 or 127.0.0.1:9000:8080"
            raise SpecError(Issue("--publish", what))
        host = (found["ip"] or "0.0.0.0").strip("[]")  # noqa: S104 - as engines have it
        return cls(host, ports[0] if found["host"] else 0, ports[-1], text)

    def url(self, scheme: str) -> str:
        """Return where to reach it from this machine."""
        return url(self.host, self.port, scheme)


def url(host: str, port: int, scheme: str) -> str:
    """Return where a server that listens on an address is reached from this machine."""
    here = near(host)
    return f"{scheme}://[{here}]:{port}" if ":" in here else f"{scheme}://{here}:{port}"


def near(host: str) -> str:
    """Return the host by which a server that listens on one is reached from this machine."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - as above


def refuse_taken(where: str, host: str, port: int, fix: str) -> None:
    """Find out before anything is loaded whether a port can be had; raise SpecError where it cannot."""
    try:
        _bind(host, port)
    except (OSError, OverflowError) as error:
        what = f"cannot listen on {host}:{port}: {getattr(error, 'strerror', None) or error}"
        raise SpecError(Issue(where, what, fix)) from error


def free_port(host: str) -> int:
    """Ask the kernel for a port that nobody listens on."""
    try:
        return _bind(host, 0)
    except OSError as error:
        raise SpecError(Issue("--publish", f"cannot listen on {host}: {error.strerror}")) from error


def _bind(host: str, port: int) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        trial.bind((host, port))
        return int(trial.getsockname()[1])
