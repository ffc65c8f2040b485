"""Platforms, as the OCI image index names them: `os/architecture[/variant]`."""

from __future__ import annotations

import platform as host
import re
from dataclasses import dataclass

from lading.core.errors import IntegrityError, Issue, SpecError

_ALIASES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64"}
_KNOWN = ("amd64", "arm64")
_LIBC = re.compile(r"(glibc|musl) (\d{1,4})\.(\d{1,4})\Z", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class Platform:
    """An operating system and a processor. Law: `Platform.parse(str(p)) == p`."""

    os: str
    architecture: str
    variant: str | None = None

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Read `linux/amd64` or `linux/arm64[/v8]`; `x86_64` and `aarch64` are understood.

        Raises SpecError for a platform that packages cannot be made for.
        """
        parts = text.strip().lower().split("/")
        if len(parts) == 1:
            parts = ["linux", *parts]
        system, architecture = parts[0], _ALIASES.get(parts[1], parts[1])
        variant = parts[2] if len(parts) == 3 else None
        fits = len(parts) <= 3 and system == "linux" and architecture in _KNOWN
        if not fits or (variant is not None and (architecture, variant) != ("arm64", "v8")):
            what = f"got {text!r}, expected {' or '.join(f'linux/{known}' for known in _KNOWN)}"
            raise SpecError(Issue("platform", what))
        # v8 is what arm64 means without a variant (OCI image-index.md): one spelling, one digest
        return cls(system, architecture)

    @classmethod
    def current(cls) -> Platform:
        """Name the platform this process runs on, as a Linux one."""
        return cls.parse(host.machine())

    def __str__(self) -> str:
        """Print `os/architecture[/variant]`."""
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))


@dataclass(frozen=True, slots=True, order=True)
class Libc:
    """A C library, which wheels are made for (PEP 600, PEP 656). Law: `Libc.parse(str(c)) == c`."""

    name: str
    """`glibc` or `musl`."""
    major: int
    minor: int

    @classmethod
    def parse(cls, text: str) -> Libc:
        """Read `glibc 2.36`; raise IntegrityError for anything else."""
        if not (found := _LIBC.match(text)):
            raise IntegrityError(Issue("libc", f"got {text!r}, expected 'glibc' or 'musl' and a version"))
        return cls(found[1], int(found[2]), int(found[3]))

    def __str__(self) -> str:
        """Print `glibc 2.36`."""
        return f"{self.name} {self.major}.{self.minor}"
