"""What tells one distribution of Debian packages from another: keys, components, how its mirror is named."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_HERE = Path(__file__).parent
_POCKETS = r"(?P<pocket>-updates|-security|/updates|-backports|-proposed-updates|-proposed)?/?\Z"


@dataclass(frozen=True, slots=True)
class Distribution:
    """A distribution whose packages are Debian's in form."""

    name: str
    title: str
    components: tuple[str, ...]
    """The parts of the archive that packages are taken from; others may be without updates or licence."""
    keys: Path
    """The public keys that vouch for the archive."""
    keyring: str
    """How apt's sources name the file of those keys."""
    suites: re.Pattern[str]
    """What suites apt's sources name; `pocket` is the part of one."""
    folders: tuple[str, ...]
    """How the URIs of its mirrors usually end."""
    variable: str
    security_variable: str
    keyring_variable: str
    """Names a file of further keys, for a mirror that signs with its own."""
    ports_variable: str | None = None
    """Names the mirror of the architectures that are not on the main one."""


DEBIAN = Distribution(
    "debian",
    "Debian",
    ("main",),
    _HERE / "debian-archive-keys.asc",
    "debian-archive",
    re.compile(
        r"(?P<suite>stable|oldstable|oldoldstable|testing|unstable|sid|buster|bullseye|bookworm|trixie"
        rf"|forky|duke){_POCKETS}"
    ),
    ("/debian", "/debian-security"),
    "LADING_DEBIAN_MIRROR",
    "LADING_DEBIAN_SECURITY_MIRROR",
    "LADING_DEBIAN_KEYRING",
)
UBUNTU = Distribution(
    "ubuntu",
    "Ubuntu",
    ("main", "universe"),
    _HERE / "ubuntu-archive-keys.asc",
    "ubuntu-archive",
    re.compile(rf"(?P<suite>focal|jammy|noble|oracular|plucky|questing|resolute){_POCKETS}"),
    ("/ubuntu", "/ubuntu-ports"),
    "LADING_UBUNTU_MIRROR",
    "LADING_UBUNTU_SECURITY_MIRROR",
    "LADING_UBUNTU_KEYRING",
    "LADING_UBUNTU_PORTS_MIRROR",
)
BY_NAME = {one.name: one for one in (DEBIAN, UBUNTU)}
_MAIN_ARCHITECTURES = {"amd64", "i386"}


def ported(distribution: Distribution, architecture: str) -> bool:
    """Tell whether a distribution keeps an architecture's packages on a mirror of ports."""
    return distribution.ports_variable is not None and architecture not in _MAIN_ARCHITECTURES
