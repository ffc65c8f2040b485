"""What every kind of sandbox is opened with: unpacked layers, a user, an environment."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lading.core.errors import Issue, VerifyError
from lading.core.image import Layer
from lading.core.platform import Platform
from lading.core.ports import BlobSource
from lading.sandbox.emulator import Emulator
from lading.sandbox.hold import Hold
from lading.sandbox.tree import MountPoints, merge, resolve

_USER = re.compile(r"(\d{1,9}):(\d{1,9})\Z", re.ASCII)
_OWN = ("/proc", "/dev", "/tmp")  # noqa: S108 - places in the image
_PROGRAMS = {
    "bwrap": ("bwrap", "bubblewrap"),
    "podman": ("podman", "podman"),
    "docker": ("docker", "docker.io"),
}
_OF_HOST = ("/etc/hosts", "/etc/resolv.conf")


@dataclass(frozen=True, slots=True)
class User:
    """Numeric user and group, as an image's config names them."""

    uid: int
    gid: int

    @classmethod
    def parse(cls, text: str) -> User:
        """Read `65532:0`."""
        if not (found := _USER.match(text)):
            raise VerifyError(Issue("sandbox", f"got user {text!r}, expected numbers, such as '65532:0'"))
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        """Print `uid:gid`."""
        return f"{self.uid}:{self.gid}"


@dataclass(frozen=True, slots=True)
class Root:
    """A root file system that is about to be entered. `paths` are the unpacked layers, top first."""

    layers: tuple[Layer, ...]
    source: BlobSource
    folder: Path
    paths: tuple[Path, ...]
    user: User
    environment: Mapping[str, str]
    platform: Platform = field(default_factory=Platform.current)
    emulator: Emulator | None = None
    """What runs its executables, where this machine's kernel cannot by itself."""
    hold: Hold = field(default_factory=Hold, compare=False)

    @property
    def emulated(self) -> str:
        """Name what runs its executables; empty where this machine's processor does."""
        if self.emulator:
            return self.emulator.name
        return "" if self.platform == Platform.current() else "an emulator of the kernel's"

    def named(self, kind: str) -> str:
        """Return the sandbox's name: its kind, and what emulates in it."""
        return f"{kind}, {self.emulated}" if self.emulated else kind

    def emulation(self) -> dict[str, str]:
        """Return what an order for a cell says of it."""
        return {"emulator": self.emulator.rule} if self.emulator else {}

    def merged(self, points: MountPoints) -> Path:
        """Return one tree that looks like the union of the layers, held as they are."""
        while True:
            tree = merge(self.paths, points, self.folder)
            if self.hold.take([tree]):
                return tree

    def binds(self, mounts: Mapping[str, Path] | None, *, network: bool) -> dict[str, Path]:
        """Return what appears read-only, and where, with the links of the image followed."""
        wanted = dict(mounts or {})
        # as engines do: without /etc/hosts nobody knows 'localhost'
        of_host = _OF_HOST if network else _OF_HOST[:1]
        wanted |= {path: Path(path) for path in of_host if Path(path).is_file()}
        problems = [
            Issue(f"mount {target}", "expected an absolute path and something that exists")
            for target, source in wanted.items()
            if not target.startswith("/") or not source.exists()
        ]
        if problems:
            raise VerifyError(*problems)
        return {resolve(self.paths, target): source.resolve() for target, source in wanted.items()}

    def mount_points(self, binds: Mapping[str, Path]) -> MountPoints:
        """Return the places that must exist in the root."""
        folders = [target for target, source in binds.items() if source.is_dir()]
        files = [target for target, source in binds.items() if not source.is_dir()]
        return MountPoints((*_OWN, *sorted(folders)), tuple(sorted(files)))


def find_program(kind: str) -> str:
    """Return the path of the program that a kind of sandbox needs; VerifyError, with its package, without."""
    name, package = _PROGRAMS[kind]
    if (path := shutil.which(name)) is None:
        raise VerifyError(
            Issue(f"sandbox {kind}", f"{name!r} is not found", f"on Debian: apt-get install {package}")
        )
    return path


def command_text(argv: Sequence[str]) -> str:
    """Return the program that a command runs."""
    if not argv:
        raise VerifyError(Issue("sandbox", "got an empty command"))
    return argv[0]
