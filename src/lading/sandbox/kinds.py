"""Which kind of sandbox works here: tried for real, once in a process."""

from __future__ import annotations

import contextlib
import functools
import gzip
import io
import struct
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

from lading.core.descriptor import LAYER_GZIP, Descriptor
from lading.core.digest import Digest
from lading.core.errors import DeployError, IntegrityError, Issue, VerifyError
from lading.core.image import Layer
from lading.core.platform import Platform
from lading.core.ports import BlobSource, Events, Sandbox, ignore
from lading.sandbox import emulator
from lading.sandbox.bubblewrap import Bubblewrap
from lading.sandbox.containers import Engine
from lading.sandbox.emulator import MACHINES, Emulator
from lading.sandbox.engine import Docker, Podman
from lading.sandbox.hold import Hold
from lading.sandbox.roots import Root, User
from lading.sandbox.unpack import unpack
from lading.sandbox.unshare import Unshare

KINDS = ("unshare", "bwrap", "podman", "docker")
ENGINES = ("docker", "podman")
_TRIAL_S = 60.0
_EMULATING = ("unshare", "bwrap")
"""The kinds that can bring an emulator along; for the others the kernel has to know one."""
_MAKE = {"unshare": Unshare, "bwrap": Bubblewrap, "podman": Podman, "docker": Docker}
_EMULATION = (
    "take unshare or bwrap with Linux 6.7 or later, or let the kernel know an emulator: "
    "on Debian, apt-get install qemu-user-static binfmt-support"
)
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
    emulator: Emulator | None = None
    """What it needs to run another processor's executables."""


def open(  # noqa: A001 - `sandbox.open`, as `tarfile.open`
    layers: Sequence[Layer],
    *,
    source: BlobSource,
    unpacked: Path,
    kind: str | None = None,
    platform: Platform | None = None,
    user: str = "65532:0",
    environment: Mapping[str, str] | None = None,
    events: Events = ignore,
) -> Sandbox:
    """Unpack what is not unpacked yet below `unpacked` and return a sandbox of the layers, lowest first.

    `environment` holds for every command; `platform` is the layers', this machine's own by default. Raises
    VerifyError when the kind asked for, or every kind, does not work here, with each one's reason;
    IntegrityError for a layer that is not what its diff ID says.
    """
    who = User.parse(user)
    platform = platform or Platform.current()
    found = choose(kind, unpacked, platform)
    hold = Hold()
    while True:
        paths = [] if found.kind == "docker" and not layers else unpack(layers, source, unpacked, events)
        if hold.take(paths):  # else the cache was cleared just now
            break
    root = Root(
        tuple(layers),
        source,
        unpacked,
        tuple(paths[::-1]),
        who,
        environment or {},
        platform,
        found.emulator,
        hold,
    )
    return _make(found.kind, root, overlay=found.overlay)


def choose(kind: str | None, folder: Path, platform: Platform) -> Availability:
    """Choose the kind asked for, or the first that works, trying it below `folder`; see `open`."""
    if kind is not None and kind not in KINDS:
        raise VerifyError(Issue("sandbox", f"got {kind!r}, expected one of {', '.join(KINDS)}"))
    folder.mkdir(parents=True, exist_ok=True)
    return _choose((kind,) if kind else KINDS, folder, platform)


def available(folder: Path | None = None, platform: Platform | None = None) -> list[Availability]:
    """Try every kind, with its files below `folder` (the system's temporary folder)."""
    place = folder or Path(tempfile.gettempdir())
    return [_tried(kind, place, platform or Platform.current()) for kind in KINDS]


def engine(name: str | None, folder: Path, platform: Platform) -> Engine | None:
    """Return the container engine asked for, else the first that runs a platform's images, else None.

    Raises DeployError where the one asked for does not work.
    """
    for kind in (name,) if name else ENGINES:
        found = _tried(kind, folder, platform)
        if found.usable:
            return Engine(kind)
        if name:
            raise DeployError(Issue(kind, found.why_not, found.fix or "start it, or choose another --engine"))
    return None


def _make(kind: str, root: Root, *, overlay: bool) -> Sandbox:
    return Unshare(root, overlay=overlay) if kind == "unshare" else _MAKE[kind](root)


def _choose(kinds: Sequence[str], folder: Path, platform: Platform | None = None) -> Availability:
    """Return the first kind that works."""
    issues = []
    for kind in kinds:
        found = _tried(kind, folder, platform or Platform.current())
        if found.usable:
            return found
        issues.append(Issue(f"sandbox {kind}", found.why_not, found.fix))
    raise VerifyError(*issues)


def _tried(kind: str, folder: Path, platform: Platform) -> Availability:
    return _try(kind, folder.absolute(), platform)


@functools.cache
def _try(kind: str, folder: Path, platform: Platform) -> Availability:
    """Run a program that does nothing, on two layers, in each of the kind's forms."""
    is_foreign = platform != Platform.current()
    issue = None
    for form in _forms(kind, is_foreign=is_foreign):
        with tempfile.TemporaryDirectory(prefix=".trial-", dir=folder) as scratch:
            try:
                helper = emulator.find(platform) if form.emulated else None
                _run_trial(kind, Path(scratch), platform, helper, overlay=form.overlay)
            except VerifyError as error:
                issue = error.issues[0]
            else:
                return Availability(kind, usable=True, overlay=form.overlay, emulator=helper)
    assert issue
    usual = _NAMESPACES if kind == "unshare" else None
    if is_foreign:
        usual = _EMULATION if kind in _EMULATING or "format error" in issue.what.lower() else None
    return Availability(kind, usable=False, why_not=issue.what, fix=issue.fix or usual)


class _Form(NamedTuple):
    overlay: bool
    emulated: bool


def _forms(kind: str, *, is_foreign: bool) -> Iterator[_Form]:
    """List the forms of a kind, the best first: the kernel may know an emulator itself."""
    brings = [False, True] if is_foreign and kind in _EMULATING else [False]
    for emulated in brings:
        for overlay in (True, False) if kind == "unshare" else (True,):
            yield _Form(overlay, emulated)


def _run_trial(
    kind: str, scratch: Path, platform: Platform, helper: Emulator | None, *, overlay: bool
) -> None:
    """Raise VerifyError with what went wrong."""
    layers, source = _trial_layers(platform)
    paths = unpack(layers, source, scratch / "unpacked", ignore)
    folder = scratch / "unpacked"
    root = Root(layers, source, folder, tuple(paths[::-1]), User(65532, 0), {}, platform, helper)
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


def _trial_layers(platform: Platform) -> tuple[tuple[Layer, ...], BlobSource]:
    source = _Trial()
    layers = []
    for path, data in (("true", _program(platform)), ("etc/trial", b"a second layer: overlays are of two\n")):
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


def _program(platform: Platform | None = None) -> bytes:
    """Return an ELF executable whose one act is `exit(0)` (elf(5), syscall(2))."""
    architecture = (platform or Platform.current()).architecture
    code = {
        "amd64": bytes.fromhex("31ff b83c000000 0f05"),
        "arm64": bytes.fromhex("000080d2 a80b80d2 010000d4"),
    }[architecture]
    start, size = 0x400000, 120 + len(code)
    header = b"\x7fELF\x02\x01\x01" + bytes(9)
    header += struct.pack(
        "<HHIQQQIHHHHHH", 2, MACHINES[architecture][0], 1, start + 120, 64, 0, 0, 64, 56, 1, 0, 0, 0
    )
    return header + struct.pack("<IIQQQQQQ", 1, 5, 0, start, start, size, size, 0x1000) + code
