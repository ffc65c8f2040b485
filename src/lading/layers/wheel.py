"""A wheel and a target in; the files it installs, written into a layer, out.

The semantics are those of the binary distribution format (PyPA specifications; PEP 427, 376): `.data`
schemes, `#!python` scripts, entry points, RECORD. What a wheel installs depends on the wheel and the target
alone.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from lading.core.digest import Digest
from lading.core.errors import IntegrityError, Issue
from lading.core.platform import Platform
from lading.layers import (
    record,
    slim,
    zip,  # noqa: A004 (in this room a zip is an archive)
)
from lading.layers.entry_points import scripts
from lading.layers.tar import LayerWriter

_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
_TAGS = {"glibc": "manylinux", "musl": "musllinux"}
# an installer's own notes, and signatures of a RECORD that is written anew
_NOT_INSTALLED = ("RECORD", "RECORD.jws", "RECORD.p7s", "INSTALLER", "REQUESTED", "direct_url.json")
_WHEEL_VERSION = re.compile(rb"^Wheel-Version:\s*1\.\d+\s*$", re.MULTILINE)
_SHEBANG = b"#!python"
_INSTALLER = b"lading\n"
_SLIMMING = threading.Lock()
_SLIMMED: dict[Digest, Mapping[str, slim.Kind]] = {}


@dataclass(frozen=True, slots=True)
class Target:
    """Where wheels are installed: a prefix in the image (`opt/lading/env`), a Python (`3.11`), a platform."""

    prefix: str
    python: str
    platform: Platform
    libc: str = "glibc"
    slim: bool = False
    """Whether what nothing needs that runs is left out: tests, sources, static libraries, docs."""

    @property
    def site_packages(self) -> str:
        """The folder of purelib and platlib."""
        return f"{self.prefix}/lib/python{self.python}/site-packages"


@dataclass(frozen=True, slots=True)
class Placed:
    """A file at its path in the image. `source` is its contents, or the archive's member that has them."""

    path: str
    mode: int
    size_bytes: int
    digest: Digest
    source: bytes | zip.Member

    @property
    def packed_bytes(self) -> int:
        """Its length as it lies in the wheel."""
        return len(self.source) if isinstance(self.source, bytes) else self.source.stored_bytes


@dataclass(frozen=True, slots=True)
class Installed:
    """What a wheel installs: its files, RECORD among them."""

    filename: str
    wheel: Path
    files: tuple[Placed, ...]
    slimmed: tuple[tuple[slim.Kind, Placed], ...] = ()
    """What is left out because the target is slim."""


def write(wheel: Path, writer: LayerWriter, target: Target, *, filename: str | None = None) -> None:
    """Write what one wheel installs; raise IntegrityError for a malformed one, or one for another target."""
    write_all([plan(wheel, target, filename=filename)], writer)


def plan(
    wheel: Path, target: Target, *, filename: str | None = None, left_out: Collection[str] = ()
) -> Installed:
    """Work out what a wheel installs, checking everything but its members' contents.

    `filename` is the wheel's own name where the file has another; `left_out` are paths in the image that are
    another wheel's. Raises IntegrityError for a malformed
    archive, a wheel that is not for the target, members that RECORD does not list with hash and length, files
    outside the known schemes, two files at one path.
    """
    filename = filename or wheel.name
    _check_tags(filename, target)
    with wheel.open("rb") as file:
        members = zip.members(file, filename)
        try:
            dist_info = _dist_info(members, filename)
            files = list(_files(file.fileno(), members, dist_info, target))
            slimmed = tuple(_slimmed(file.fileno(), files, filename, target)) if target.slim else ()
        except IntegrityError as error:
            issues = [replace(issue, where=f"{filename}: {issue.where}") for issue in error.issues]
            raise IntegrityError(*issues) from error
    files.append(_ours(f"{target.site_packages}/{dist_info}/INSTALLER", _INSTALLER))
    taken = Counter(one.path for one in files)
    issues = [Issue(filename, f"has {path!r} twice") for path, times in taken.items() if times > 1]
    if issues:
        raise IntegrityError(*issues)
    gone = {*left_out, *(one.path for _, one in slimmed)}
    files = [one for one in files if one.path not in gone]
    files.append(_record(files, f"{target.site_packages}/{dist_info}/RECORD", target))
    return Installed(filename, wheel, tuple(files), slimmed)


def write_all(plans: Sequence[Installed], writer: LayerWriter) -> None:
    """Write what several wheels install, in order of path; a file that two hold alike is written once.

    Raises IntegrityError where a member's contents have not the length, CRC-32 or hash that the wheel says.
    """
    with ExitStack() as stack:
        files: dict[str, tuple[Placed, int]] = {}
        for one in plans:
            descriptor = stack.enter_context(one.wheel.open("rb")).fileno()
            for placed in one.files:
                files.setdefault(placed.path, (placed, descriptor))
        for path in sorted(files, key=str.encode):
            _write_file(*files[path], writer)


def _write_file(placed: Placed, descriptor: int, writer: LayerWriter) -> None:
    source = placed.source
    if isinstance(source, bytes):
        writer.file(placed.path, source, placed.mode)
        return
    chunks = zip.raw(descriptor, source)
    if source.deflated:
        size_bytes, crc32 = source.size_bytes, source.crc32
        writer.deflated(
            placed.path, chunks, size_bytes=size_bytes, crc32=crc32, digest=placed.digest, mode=placed.mode
        )
    else:
        writer.chunks(placed.path, _verified(chunks, placed), source.size_bytes, placed.mode)


def _verified(chunks: Iterable[bytes], placed: Placed) -> Iterator[bytes]:
    state = hashlib.new(placed.digest.algorithm)
    for chunk in chunks:
        state.update(chunk)
        yield chunk
    if state.hexdigest() != placed.digest.hex:
        got = Digest(placed.digest.algorithm, state.hexdigest())
        raise IntegrityError(Issue(placed.path, f"got {got}, expected {placed.digest}"))


def _check_tags(filename: str, target: Target) -> None:
    """Refuse a wheel for another Python, ABI, system or processor; how new a libc it needs is the lock's."""
    from packaging.tags import compatible_tags, cpython_tags
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    try:
        tags = parse_wheel_filename(filename)[3]
    except InvalidWheelFilename as error:
        raise IntegrityError(Issue(filename, str(error))) from error
    major, minor = (int(part) for part in target.python.split("."))
    machine = _MACHINES[target.platform.architecture]
    fits = re.compile(rf"(?:{_TAGS[target.libc]}\w*|linux)_{machine}\Z")
    interpreter = f"cp{major}{minor}"
    accepted = {
        *cpython_tags((major, minor), [interpreter], [machine]),
        *compatible_tags((major, minor), interpreter, [machine]),
    }
    triples = {(tag.interpreter, tag.abi, tag.platform) for tag in accepted}
    if not any(
        (tag.interpreter, tag.abi, machine if fits.match(tag.platform) else tag.platform) in triples
        for tag in tags
    ):
        what = f"is not for CPython {target.python} on {target.platform}"
        raise IntegrityError(Issue(filename, what, "lock again for this platform and Python"))


def _dist_info(members: Mapping[str, zip.Member], filename: str) -> str:
    """Return the name of the one `.dist-info` folder, which must be the project's own."""
    folders = {name.partition("/")[0] for name in members if "/" in name}
    found = sorted(folder for folder in folders if folder.endswith(".dist-info"))
    if len(found) != 1:
        raise IntegrityError(Issue(".dist-info", f"got {found}, expected one folder"))
    project, version = filename.split("-")[:2]
    inner = found[0].removesuffix(".dist-info").split("-")
    if len(inner) != 2 or not _same_project(inner[0], project) or not _same_version(inner[1], version):
        raise IntegrityError(Issue(found[0], f"expected the folder of {project} {version}"))
    return found[0]


def _same_project(one: str, other: str) -> bool:
    from packaging.utils import canonicalize_name

    return canonicalize_name(one) == canonicalize_name(other)


def _same_version(one: str, other: str) -> bool:
    from packaging.version import InvalidVersion, Version

    try:
        return one == other or Version(one) == Version(other)
    except InvalidVersion:
        return False


def _files(
    descriptor: int, members: Mapping[str, zip.Member], dist_info: str, target: Target
) -> Iterator[Placed]:
    """Yield the files that come out of the archive, and the scripts its entry points ask for."""

    def read(name: str) -> bytes:
        if name not in members:
            raise IntegrityError(Issue(name, "is missing"))
        return zip.read(descriptor, members[name])

    if not _WHEEL_VERSION.search(read(f"{dist_info}/WHEEL")):
        raise IntegrityError(Issue(f"{dist_info}/WHEEL", "expected Wheel-Version 1.x"))
    recorded = record.parse(read(f"{dist_info}/RECORD"))
    left_out = {f"{dist_info}/{name}" for name in _NOT_INSTALLED}
    issues = list(_unrecorded([one for name, one in members.items() if name not in left_out], recorded))
    if issues:
        raise IntegrityError(*issues)
    for name, member in members.items():
        if name not in left_out and "__pycache__" not in name.split(
            "/"
        ):  # byte code could be stale or planted
            yield _place(descriptor, member, recorded[name][0], target)
    entry_points = f"{dist_info}/entry_points.txt"
    if entry_points in members:
        for script, text in scripts(read(entry_points), f"/{target.prefix}/bin/python"):
            yield _ours(f"{target.prefix}/bin/{script}", text, 0o755)


def _slimmed(
    descriptor: int, files: Iterable[Placed], filename: str, target: Target
) -> Iterator[tuple[slim.Kind, Placed]]:
    """Choose what a slim environment does without; of big wheels that takes seconds, and is remembered."""
    from packaging.utils import canonicalize_name

    by_path = {_relative(one.path, target): one for one in files}

    def read(path: str) -> bytes:
        source = by_path[path].source
        return source if isinstance(source, bytes) else zip.read(descriptor, source)

    def begin(path: str) -> bytes:
        source = by_path[path].source
        return source if isinstance(source, bytes) else next(zip.contents(descriptor, source), b"")

    contents = Digest.of("\n".join(f"{path} {by_path[path].digest}" for path in sorted(by_path)).encode())
    with _SLIMMING:  # two threads would work out the same
        if (found := _SLIMMED.get(contents)) is None:
            project = canonicalize_name(filename.partition("-")[0])
            found = _SLIMMED[contents] = slim.left_out(list(by_path), read, begin, project)
    yield from ((kind, by_path[path]) for path, kind in sorted(found.items()))


def _unrecorded(members: Iterable[zip.Member], recorded: record.Recorded) -> Iterator[Issue]:
    for member in members:
        if member.name not in recorded:
            yield Issue(member.name, "RECORD does not list it with hash and length")
        elif member.size_bytes != recorded[member.name][1]:
            expected = f"expected {recorded[member.name][1]} as in RECORD"
            yield Issue(member.name, f"got {member.size_bytes} bytes, {expected}")


def _place(descriptor: int, member: zip.Member, digest: Digest, target: Target) -> Placed:
    """Find where a member goes; rewrite it when it is a script for `#!python`."""
    top, _, rest = member.name.partition("/")
    mode = 0o755 if member.executable else 0o644
    if not rest or not top.endswith(".data"):
        path = f"{target.site_packages}/{member.name}"
        return Placed(path, mode, member.size_bytes, digest, member)
    scheme, _, inner = rest.partition("/")
    folders = {
        "purelib": target.site_packages,
        "platlib": target.site_packages,
        "scripts": f"{target.prefix}/bin",
        "headers": f"{target.prefix}/include/site/python{target.python}/{top.partition('-')[0]}",
        "data": target.prefix,
    }
    if scheme not in folders or not inner:
        raise IntegrityError(
            Issue(member.name, f"got scheme {scheme!r}, expected one of {', '.join(folders)}")
        )
    path = f"{folders[scheme]}/{inner}"
    if scheme != "scripts":
        return Placed(path, mode, member.size_bytes, digest, member)
    first = next(zip.contents(descriptor, member), b"")
    if not first.startswith(_SHEBANG):
        return Placed(path, 0o755, member.size_bytes, digest, member)
    text = zip.read(descriptor, member)
    if hashlib.new(digest.algorithm, text).hexdigest() != digest.hex:
        raise IntegrityError(Issue(member.name, f"expected {digest} as in RECORD"))
    _, _, body = text.partition(b"\n")
    return _ours(path, f"#!/{target.prefix}/bin/python\n".encode() + body, 0o755)


def _ours(path: str, data: bytes, mode: int = 0o644) -> Placed:
    return Placed(path, mode, len(data), Digest.of(data), data)


def _record(files: Iterable[Placed], path: str, target: Target) -> Placed:
    """Make the RECORD of what is installed; it lists itself without a hash."""
    rows: list[record.Row] = [(_relative(one.path, target), (one.digest, one.size_bytes)) for one in files]
    return _ours(path, record.text([*rows, (_relative(path, target), None)]))


def _relative(path: str, target: Target) -> str:
    """Return a path as RECORD has it: relative to site-packages (PEP 376)."""
    inside = f"{target.site_packages}/"
    if path.startswith(inside):
        return path.removeprefix(inside)
    return "../../../" + path.removeprefix(f"{target.prefix}/")
