"""The seams: what a stage asks of the world, as Protocols of a few methods."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, Protocol

from lading.core.descriptor import Descriptor
from lading.core.digest import Digest
from lading.core.image import Layer
from lading.core.reference import Reference


@dataclass(frozen=True, slots=True)
class Event:
    """Something happened in a stage; only `cli` and `ui` print.

    `progress` carries `done` of `total` in `unit`; the others carry a line for people: `stage` sums up a
    stage that has ended, `step` is a detail, `warning` must be seen.
    """

    stage: str
    kind: Literal["progress", "stage", "step", "warning"]
    text: str = ""
    done: int = 0
    total: int | None = None
    unit: Literal["bytes", "packages", "layers", "requests", "files"] = "bytes"


Events = Callable[[Event], None]


def ignore(_: Event) -> None:
    """Take no notice of an event."""


OpenAt = Callable[[int], AbstractContextManager[IO[bytes]]]
"""Opens a blob at an offset, as often as it is asked to; the bytes are checked by whoever takes them."""


class BlobWriter(Protocol):
    """A blob on its way in. Left without `commit`, nothing remains of it."""

    def write(self, data: bytes | bytearray | memoryview, /) -> int:
        """Append bytes."""
        ...

    def commit(self, expected: Digest | None = None) -> Digest:
        """Seal the blob under its digest; raise IntegrityError when it is not the expected one."""
        ...


class BlobSource(Protocol):
    """Where blobs are read."""

    def size_bytes(self, digest: Digest) -> int | None:
        """Return a blob's size, None where it is not there."""
        ...

    def open(self, digest: Digest) -> AbstractContextManager[IO[bytes]]:
        """Open a blob for reading; raise RegistryError where it is not there."""
        ...


class BlobSink(Protocol):
    """Where blobs are written; nothing is written that a digest does not vouch for."""

    def create(self) -> AbstractContextManager[BlobWriter]:
        """Begin a blob."""
        ...

    def take(self, descriptor: Descriptor, open_at: OpenAt, told: Callable[[int], None]) -> int:
        """Bring in a blob that is known by its digest and size; return how many bytes of it had to travel.

        Goes on where an earlier try broke off, of this process or another, as far as the medium can. `told`
        hears how many bytes are there. Raises IntegrityError, and keeps nothing, where the bytes are not what
        the descriptor says.
        """
        ...


class Store(BlobSource, BlobSink, Protocol):
    """Blobs, and names for some of them: memory, OCI layout folder, OCI registry."""

    def resolve(self, reference: Reference) -> Descriptor:
        """Find what a tag or digest names; raise RegistryError, with near names, where it is unknown."""
        ...

    def tag(self, reference: Reference, descriptor: Descriptor) -> None:
        """Name a manifest or index whose blobs are all there already."""
        ...

    def untag(self, reference: Reference) -> None:
        """Forget a name; the blobs stay. Raise RegistryError where it is unknown or may not be forgotten."""
        ...

    def tags(self) -> Iterator[tuple[Reference, Descriptor]]:
        """List names in order."""
        ...

    def refer(self, descriptor: Descriptor) -> None:
        """List a manifest, whose blobs are all there already, among the referrers of its `subject`."""
        ...

    def referrers(self, subject: Digest) -> Iterator[Descriptor]:
        """List the manifests that name this one as their subject, the oldest first."""
        ...

    def delete(self, digest: Digest) -> None:
        """Remove a blob, its names and its place among referrers; no error where it is not there.

        Raises RegistryError where the medium does not allow it.
        """
        ...

    def digests(self) -> Iterator[Digest]:
        """List every blob that a name or a referrer of it reaches; others where the medium can list them."""
        ...


class Fetch(Protocol):
    """Bring bytes here. Implementations honour proxies, SSL_CERT_FILE, netrc and `--offline`."""

    def file(self, url: str, digest: Digest, size_bytes: int | None = None) -> Path:
        """Return a local file with these contents, downloading and checking it if it is not there yet."""
        ...

    def text(self, url: str, limit_bytes: int = 64 << 20) -> bytes:
        """Return a document whose digest is not known yet; raise RegistryError if it cannot be had."""
        ...

    def size_bytes(self, url: str) -> int | None:
        """Ask how long a file is, without its bytes; None where the server does not tell."""
        ...


class LayerCache(Protocol):
    """Layers by what they were made from."""

    def get(self, key: str) -> Layer | None:
        """Return the layer made from this key, if its blob is still in the store."""
        ...

    def put(self, key: str, layer: Layer) -> None:
        """Remember a layer whose blob is in the store."""
        ...

    def recall(self, key: str) -> Any:  # noqa: ANN401 (any JSON value)
        """Return the JSON value noted under this key, None where there is none."""
        ...

    def note(self, key: str, value: Any) -> None:  # noqa: ANN401 (any JSON value)
        """Keep a JSON value that was worked out and can be worked out again."""
        ...


class Running(Protocol):
    """A process in a sandbox."""

    def poll(self) -> int | None:
        """Return the exit status, None while it runs."""
        ...

    def wait(self, timeout_s: float | None = None) -> int:
        """Wait for the end; raise TimeoutError if it does not come."""
        ...

    def stop(self, timeout_s: float = 10.0) -> int:
        """Send SIGTERM, then SIGKILL; return the exit status. Nothing is left behind."""
        ...

    def output(self) -> str:
        """Return the last 64 KiB of what it wrote to stdout and stderr."""
        ...

    def follow(self, log: IO[bytes]) -> None:
        """Copy the output to `log` as it comes, what came before first."""
        ...

    def peak_memory_bytes(self) -> int:
        """Return the highest memory use seen, 0 where it cannot be told."""
        ...


class Sandbox(Protocol):
    """An image's root file system, ready to run commands in: read-only, with a /tmp of its own."""

    @property
    def name(self) -> str:
        """Return the kind, and what emulates another processor: `bwrap`, or `unshare, qemu-aarch64`."""
        ...

    @property
    def emulated(self) -> bool:
        """Tell whether another processor's executables run in it, about ten times slower."""
        ...

    def start(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        tmp: Path,
        network: bool = False,
        mounts: Mapping[str, Path] | None = None,
    ) -> Running:
        """Start a command as the image's user.

        `tmp` is a host folder that appears, writable, as /tmp; `mounts` appear read-only at absolute paths.
        Without `network` there is no interface but a loopback of its own.
        """
        ...
