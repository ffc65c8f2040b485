"""Which kind of sandbox works here: tried for real, once in a process."""

from __future__ import annotations

import contextlib
import functools
import gzip
import io
import os
import struct
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from lading.core.descriptor import LAYER_GZIP, Descriptor
from lading.core.digest import Digest
from lading.core.errors import IntegrityError, Issue, VerifyError
from lading.core.image import Layer
from lading.core.ports import BlobSource, Events, Sandbox, ignore
from lading.sandbox.bubblewrap import Bubblewrap
from lading.sandbox.engine import Docker, Podman
from lading.sandbox.roots import Root, User
from lading.sandbox.unpack import unpack
from lading.sandbox.unshare import Unshare

KINDS = ("unshare", "bwrap", "podman", "docker")
_TRIAL_S = 60.0
_MAKE = {"unshare": Unshare, "bwrap": Bubblewrap, "podman": Podman, "docker": Docker}
_NAMESPACES = "let users make namespaces (sysctl user.max_user_namespaces), or take another kind"


@dataclass(frozen=True, slots=True)
class Availability:
    """Whether a kind of sandbox works here, and if not, why not."""

    kind: str
    usable: bool
    why_not: str = ""
    fix: str | None = None
    overlay: bool = True
    """Whether layers can be overlaid; else a tree of hard links stands in for them."""


def open(  # noqa: A001 - `sandbox.open`, as `tarfile.open`
    layers: Sequence[Layer],
    *,
    source: BlobSource,
    unpacked: Path,
    kind: str | None = None,
    user: str = "65532:0",
    environment: Mapping[str, str] | None = None,
    events: Events = ignore,
) -> Sandbox:
    """Unpack what is not unpacked yet below `unpacked` and return a sandbox of the layers, lowest first.

    `environment` holds for every command. Raises VerifyError when the kind asked for, or every kind, does
    not work here, with each one's reason; IntegrityError for a layer that is not what its diff ID says.
    """
    if kind is not None and kind not in KINDS:
        raise VerifyError(Issue("sandbox", f"got {kind!r}, expected one of {', '.join(KINDS)}"))
    who = User.parse(user)
    unpacked.mkdir(parents=True, exist_ok=True)
    found = _choose((kind,) if kind else KINDS, unpacked)
    paths = () if found.kind == "docker" and not layers else unpack(layers, source, unpacked, events)
    root = Root(tuple(layers), source, unpacked, tuple(paths[::-1]), who, environment or {})
    return _make(found.kind, root, overlay=found.overlay)


def available(folder: Path | None = None) -> list[Availability]:
    """Try every kind, with its files below `folder` (the system's temporary folder)."""
    return [_tried(kind, folder or Path(tempfile.gettempdir())) for kind in KINDS]


def _make(kind: str, root: Root, *, overlay: bool) -> Sandbox:
    return Unshare(root, overlay=overlay) if kind == "unshare" else _MAKE[kind](root)


def _choose(kinds: Sequence[str], folder: Path) -> Availability:
    """Return the first kind that works."""
    issues = []
    for kind in kinds:
        found = _tried(kind, folder)
        if found.usable:
            return found
        issues.append(Issue(f"sandbox {kind}", found.why_not, found.fix))
    raise VerifyError(*issues)


def _tried(kind: str, folder: Path) -> Availability:
    return _try(kind, folder.absolute())


@functools.cache
def _try(kind: str, folder: Path) -> Availability:
    """Run a program that does nothing, on two layers, in each of the kind's forms."""
    issue = None
    for overlay in (True, False) if kind == "unshare" else (True,):
        with tempfile.TemporaryDirectory(prefix=".trial-", dir=folder) as scratch:
            try:
                _run_trial(kind, Path(scratch), overlay=overlay)
            except VerifyError as error:
                issue = error.issues[0]
            else:
                return Availability(kind, usable=True, overlay=overlay)
    assert issue
    fix = issue.fix or (_NAMESPACES if kind == "unshare" else None)
    return Availability(kind, usable=False, why_not=issue.what, fix=fix)


def _run_trial(kind: str, scratch: Path, *, overlay: bool) -> None:
    """Raise VerifyError with what went wrong."""
    layers, source = _trial_layers()
    paths = unpack(layers, source, scratch / "unpacked", ignore)
    root = Root(layers, source, scratch / "unpacked", tuple(paths[::-1]), User(65532, 0), {})
    (tmp := scratch / "tmp").mkdir()
    running = _make(kind, root, overlay=overlay).start(["/true"], env={}, tmp=tmp)
    try:
        status = running.wait(_TRIAL_S)
    except TimeoutError as error:
        raise VerifyError(Issue(f"sandbox {kind}", str(error))) from error
    finally:
        running.stop(0)
    if status:
        lines = running.output().strip().splitlines()
        what = lines[-1][-300:] if lines else f"the trial ended with status {status}"
        raise VerifyError(Issue(f"sandbox {kind}", what))


class _Trial:
    """The blobs of the trial (core.ports.BlobSource)."""

    def __init__(self) -> None:
        self.blobs: dict[Digest, bytes] = {}

    def size_bytes(self, digest: Digest) -> int | None:
        return len(self.blobs[digest]) if digest in self.blobs else None

    @contextlib.contextmanager
    def open(self, digest: Digest) -> Iterator[IO[bytes]]:
        if digest not in self.blobs:
            raise IntegrityError(Issue("trial", f"no blob {digest}"))
        yield io.BytesIO(self.blobs[digest])


def _trial_layers() -> tuple[tuple[Layer, ...], BlobSource]:
    source = _Trial()
    layers = []
    for path, data in (("true", _program()), ("etc/trial", b"a second layer: overlays are of two\n")):
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(data), 0o755
            archive.addfile(entry, io.BytesIO(data))
        blob = gzip.compress(stream.getvalue(), mtime=0)
        descriptor = Descriptor(LAYER_GZIP, Digest.of(blob), len(blob))
        source.blobs[descriptor.digest] = blob
        layers.append(Layer(descriptor, Digest.of(stream.getvalue()), "base", "trial"))
    return tuple(layers), source


def _program() -> bytes:
    """Return an ELF executable whose one act is `exit(0)` (elf(5), syscall(2))."""
    machine, code = {
        "x86_64": (62, bytes.fromhex("31ff b83c000000 0f05")),
        "aarch64": (183, bytes.fromhex("000080d2 a80b80d2 010000d4")),
    }.get(os.uname().machine, (0, b""))
    if not code:
        raise VerifyError(Issue("sandbox", f"no trial for a {os.uname().machine!r} machine"))
    start, size = 0x400000, 120 + len(code)
    header = b"\x7fELF\x02\x01\x01" + bytes(9)
    header += struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, start + 120, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    return header + struct.pack("<IIQQQQQQ", 1, 5, 0, start, start, size, size, 0x1000) + code
