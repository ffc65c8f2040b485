"""Every byte of a package's environment, pinned."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import unquote

from lading.core import typed
from lading.core.descriptor import Descriptor
from lading.core.digest import Digest
from lading.core.model import Requirement
from lading.core.platform import Libc, Platform


@dataclass(frozen=True, slots=True, order=True)
class LockedWheel:
    """One wheel; `digest` and `size_bytes` are its own, also where it is built from source."""

    name: str
    version: str
    filename: str
    url: str
    """Of the wheel or, with `source`, of the source distribution; without credentials."""
    digest: Digest
    size_bytes: int
    source: LockedSource | None = None


@dataclass(frozen=True, slots=True, order=True)
class LockedSource:
    """A source distribution that a wheel is built from, and the wheels that its build imports."""

    digest: Digest
    size_bytes: int
    requirements: tuple[LockedWheel, ...]


@dataclass(frozen=True, slots=True, order=True)
class LockedDeb:
    """One Debian package. `filename` is relative to the mirror (`pool/main/…`)."""

    name: str
    version: str
    architecture: str
    filename: str
    digest: Digest
    size_bytes: int


@dataclass(frozen=True, slots=True)
class LockedBase:
    """A base: an image that is taken as it is, or none, and the Debian packages that lading adds to it."""

    reference: str
    """As the author names it: `debian:bookworm`, `docker.io/library/python:3.12-slim`."""
    suite: str | None
    """The release of Debian that its packages come from, None where it has none."""
    packages: tuple[LockedDeb, ...]
    libc: Libc
    image: Descriptor | None = None
    """The manifest of the image for one platform."""


@dataclass(frozen=True, slots=True, order=True)
class LockedArchive:
    """An interpreter in an archive that can be laid out anywhere, as uv provides it."""

    name: str
    """`cpython`."""
    version: str
    filename: str
    url: str
    digest: Digest
    size_bytes: int


@dataclass(frozen=True, slots=True, order=True)
class LockedConda:
    """One conda package, laid out below `/opt/lading/conda`."""

    name: str
    version: str
    build: str
    url: str
    """Without credentials."""
    digest: Digest
    size_bytes: int
    distributions: tuple[str, ...] = ()
    """The Python distributions in it, such as `numpy==1.26.4`."""

    @property
    def filename(self) -> str:
        """The last part of its URL; a package's own lock has of a local file's its name alone."""
        return unquote(self.url.rpartition("/")[2].removeprefix("file:"))


@dataclass(frozen=True, slots=True)
class CondaFacts:
    """What a conda package's file tells of itself."""

    distributions: tuple[str, ...]
    """The Python distributions in it, such as `numpy==1.26.4`."""
    scripts: tuple[str, ...]
    """What an installer would run, and activating its environment: nothing of it is run here."""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python of a package: where it lies in the image and its version (`3.11.2`)."""

    path: str
    version: str
    archive: LockedArchive | None = None
    """What it is laid out from, where the base does not bring it."""

    @property
    def minor(self) -> str:
        """`3.11` of `3.11.2`."""
        return ".".join(self.version.split(".")[:2])


NO_PYTHON = Interpreter("", "")
"""Of an image in which nothing of lading's runs: what answers there is the base's own."""


@dataclass(frozen=True, slots=True)
class BaseFacts:
    """A base that was read and never run: what it is, and the Pythons that lie in it."""

    base: LockedBase
    interpreters: tuple[Interpreter, ...]


ALONE = "nothing else needs it"
"""Why what is required by nothing but what is dropped is dropped, too."""


@dataclass(frozen=True, slots=True, order=True)
class Dropped:
    """A distribution that was asked for, itself or by another, and that serving does not need."""

    name: str
    version: str
    size_bytes: int
    """Of its wheel."""
    why: str
    """What it is for (`plotting`), `by hand`, or ALONE."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What a model was tried without, by name: what its predictions do not need, and what they do."""

    dropped: tuple[str, ...]
    needed: tuple[str, ...] = ()
    brought: tuple[str, ...] = ()
    """What came with what is left out (MLflow brings PyYAML), and is needed, as requirements."""


@dataclass(frozen=True, slots=True)
class PlatformLock:
    """What one platform gets: a base, an interpreter, the model's wheels and the server's."""

    platform: Platform
    base: LockedBase
    interpreter: Interpreter
    model: tuple[LockedWheel, ...]
    server: tuple[LockedWheel, ...]
    second: Interpreter | None = None
    """What carries the server, where the model's interpreter is too old for it."""
    conda: tuple[LockedConda, ...] = ()
    """The conda packages, where they were solved; the interpreter is then among them."""
    dropped: tuple[Dropped, ...] = field(default=(), metadata=typed.RARE)
    """What of the model's wheels is left out."""

    @property
    def server_interpreter(self) -> Interpreter:
        """The interpreter of the server's environment."""
        return self.second or self.interpreter


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock knows the digest of the question it answers, so that a stale one is refused."""

    spec_digest: Digest
    """Of everything the resolution depended on: requirements, indexes, base, Python, server, platforms."""
    server: str
    requirements: tuple[Requirement, ...]
    """What was asked for, and where each was learnt."""
    platforms: tuple[PlatformLock, ...]
    accelerator: str | None = None
    """What the builds of PyTorch are for, where that was asked for."""
    trial: Trial | None = None

    def on(self, platform: Platform) -> PlatformLock:
        """Return the part for one platform."""
        return next(one for one in self.platforms if one.platform == platform)
