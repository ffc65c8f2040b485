"""A conda package in; its files, as they lie in an environment below a prefix, in a layer out.

What an installer does is done, but no script is run: the placeholder of the prefix is replaced, in texts and
in executables; what is for any Python goes to its site-packages; entry points become scripts. Sources:
conda's CEP 20 and 34, and "Package specification" in the documentation of conda-build.
"""

from __future__ import annotations

import json
import re
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from lading.core.errors import IntegrityError, Issue, SpecError
from lading.core.lock import CondaFacts, LockedConda
from lading.layers import entry_points
from lading.layers.tar import LayerWriter, check_path

_PIECE_BYTES, _IN_MEMORY_BYTES, _MOST_BYTES = 1 << 20, 32 << 20, 32 << 30
_INFO_BYTES_MAX = 256 << 20
_PLACEHOLDER = "/opt/anaconda1anaconda2anaconda3"
"""What a package without paths.json that names none has."""
# byte code of other times, what no server reads, and what an installer alone would run
_LEFT_OUT = re.compile(
    r"info/|(?:.*/)?__pycache__/|.*\.a\Z|man/|share/(?:man|doc|gtk-doc|info)/|Menu/|conda-meta/|pkgs/"
    r"|bin/\.[^/]*-(?:pre|post)-(?:un)?link\.(?:sh|bat)\Z|Scripts/\."
)
_SCRIPT = re.compile(r"bin/\.[^/]*-(?:pre|post)-link\.sh\Z|etc/conda/activate\.d/[^/]+\.sh\Z")
_DISTRIBUTION = re.compile(
    r"(?:lib/python3\.\d+/)?site-packages/([^/-]+)-([^/-]+)(?:-py[\d.]+[^/]*)?\.(?:dist|egg)-info(?:/|\Z)"
)
_DAMAGED = (tarfile.TarError, zipfile.BadZipFile, OSError, EOFError, zlib.error, ValueError, KeyError)


@dataclass(frozen=True, slots=True)
class _Told:
    """What `info/` says: of the package, and of the files that need the prefix."""

    index: Mapping[str, Any]
    paths: tuple[str, ...]
    placeholders: Mapping[str, tuple[str, str]]
    """By path, the placeholder and `text` or `binary`."""
    entry_points: tuple[str, ...] = ()
    unlinked: frozenset[str] = field(default_factory=frozenset)

    @property
    def is_for_any_python(self) -> bool:
        return self.index.get("noarch") == "python"


@dataclass(frozen=True, slots=True)
class Target:
    """Where packages are laid out: a prefix without a leading slash, and a Python's minor version."""

    prefix: str
    python: str


def facts(path: Path) -> CondaFacts:
    """Read what a package's file tells of itself; IntegrityError where it is damaged."""
    told = _told(path)
    matches = [match for match in map(_DISTRIBUTION.match, sorted(told.paths)) if match]
    found = {f"{re.sub(r'[-_.]+', '-', match[1]).lower()}=={match[2]}": None for match in matches}
    return CondaFacts(tuple(found), tuple(one for one in sorted(told.paths) if _SCRIPT.match(one)))


def write(packages: Iterable[tuple[LockedConda, Path]], target: Target, writer: LayerWriter) -> None:
    """Write packages into one layer; of a path that two of them hold, the later one's file is taken.

    IntegrityError for a package that is damaged, or whose paths or prefix cannot be laid out.
    """
    owners: dict[str, _Opened] = {}
    with ExitStack() as stack:
        for locked, path in packages:
            told = _told(path)
            archive = stack.enter_context(_opened(path, "pkg"))
            members = {_placed(name, told, target): member for name, member in _members(archive, told, path)}
            one = _Opened(told, archive, members, _made(locked, told, target))
            owners |= dict.fromkeys((*one.members, *one.made), one)
        for place in sorted(owners):
            owners[place].write(place, target, writer)


@dataclass(frozen=True, slots=True)
class _Opened:
    """A package's archive; members and what is made for it are by their paths in the image."""

    told: _Told
    archive: tarfile.TarFile
    members: Mapping[str, tarfile.TarInfo]
    made: Mapping[str, tuple[bytes, int]]

    def write(self, place: str, target: Target, writer: LayerWriter) -> None:
        member = self.members.get(place)
        if member is None:
            writer.file(place, *self.made[place])
            return
        if member.issym():
            writer.symlink(place, member.linkname)
            return
        source = self.archive.extractfile(member)
        if source is None:
            raise IntegrityError(Issue(member.name, f"links to {member.linkname!r}, which is no file"))
        mode = 0o755 if member.mode & 0o100 else 0o644
        name = member.name.removeprefix("./")
        if name in self.told.placeholders:
            placeholder, kind = self.told.placeholders[name]
            replace = _in_binary if kind == "binary" else _in_text
            data = replace(source.read(), placeholder.encode(), f"/{target.prefix}".encode(), name)
            writer.file(place, data, mode)
        else:
            size_bytes = self.archive.getmember(member.linkname).size if member.islnk() else member.size
            writer.stream(place, source, size_bytes, mode)


def _in_text(data: bytes, placeholder: bytes, prefix: bytes, _: str) -> bytes:
    return data.replace(placeholder, prefix)


def _in_binary(data: bytes, placeholder: bytes, prefix: bytes, name: str) -> bytes:
    """Replace a prefix in strings that end with a zero byte, each of which keeps its length."""
    if len(prefix) > len(placeholder):
        what = f"has room for a prefix of {len(placeholder)} bytes, and {prefix.decode()!r} is longer"
        raise IntegrityError(Issue(name, what))

    def shortened(match: re.Match[bytes]) -> bytes:
        text = match[0].replace(placeholder, prefix)
        return text + b"\0" * (len(match[0]) - len(text))

    return re.sub(re.escape(placeholder) + rb"[^\0]*\0", shortened, data)


def _made(locked: LockedConda, told: _Told, target: Target) -> dict[str, tuple[bytes, int]]:
    """Return what no package holds, with its mode: scripts of entry points, and conda's own record."""
    record = {key: told.index[key] for key in ("depends", "license", "noarch", "subdir") if key in told.index}
    record |= {"name": locked.name, "version": locked.version, "build": locked.build, "fn": locked.filename}
    record |= {"sha256": locked.digest.hex, "size": locked.size_bytes, "files": []}
    stem = f"{locked.name}-{locked.version}-{locked.build}"
    data = json.dumps(record, indent=1, sort_keys=True).encode() + b"\n"
    made = {f"{target.prefix}/conda-meta/{stem}.json": (data, 0o644)}
    if told.entry_points:
        text = "\n".join(("[console_scripts]", *told.entry_points)).encode()
        python = f"/{target.prefix}/bin/python{target.python}"
        for name, script in entry_points.scripts(text, python):
            made[f"{target.prefix}/bin/{name}"] = (script, 0o755)
    return made


def _placed(name: str, told: _Told, target: Target) -> str:
    """Return where a file of a package lies in the image."""
    if told.is_for_any_python:
        if name.startswith("site-packages/"):
            name = f"lib/python{target.python}/{name}"
        elif name.startswith("python-scripts/"):
            name = f"bin/{name.removeprefix('python-scripts/')}"
    return f"{target.prefix}/{name}"


def _members(archive: tarfile.TarFile, told: _Told, path: Path) -> Iterator[tuple[str, tarfile.TarInfo]]:
    for member in archive:
        name = member.name.removeprefix("./")
        if member.isdir() or _LEFT_OUT.match(name) or name in told.unlinked:
            continue
        check_path(name)
        if not (member.isfile() or member.issym() or member.islnk()):
            raise IntegrityError(Issue(path.name, f"{name!r} is neither a file, a folder nor a link"))
        yield name, member


def _told(path: Path) -> _Told:
    """Read `info/` of a package."""
    wanted = {
        *("info/index.json", "info/paths.json", "info/link.json", "info/files"),
        *("info/has_prefix", "info/no_link"),
    }
    found: dict[str, bytes] = {}
    with _opened(path, "info") as archive:
        for member in archive:
            name = member.name.removeprefix("./")
            if name in wanted and member.isfile() and member.size <= _INFO_BYTES_MAX:
                source = archive.extractfile(member)
                assert source is not None, name  # a regular file has contents
                found[name] = source.read()
    try:
        return _parsed(found)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise IntegrityError(Issue(path.name, f"is no conda package: {error!r}")) from error


def _parsed(found: Mapping[str, bytes]) -> _Told:
    index = json.loads(found["info/index.json"])
    link = json.loads(found.get("info/link.json", b"{}"))
    points = tuple(map(str, (link.get("noarch") or {}).get("entry_points") or ()))
    if "info/paths.json" in found:
        rows = json.loads(found["info/paths.json"])["paths"]
        placeholders = {
            str(row["_path"]): (str(row["prefix_placeholder"]), str(row.get("file_mode", "text")))
            for row in rows
            if row.get("prefix_placeholder")
        }
        unlinked = frozenset(str(row["_path"]) for row in rows if row.get("no_link"))
        return _Told(index, tuple(str(row["_path"]) for row in rows), placeholders, points, unlinked)
    paths = tuple(found["info/files"].decode().split("\n"))
    prefixed = (line.split() for line in found.get("info/has_prefix", b"").decode().splitlines() if line)
    placeholders = {
        words[-1].strip('"'): (words[0].strip('"'), words[1]) if len(words) == 3 else (_PLACEHOLDER, "text")
        for words in prefixed
    }
    unlinked = frozenset(found.get("info/no_link", b"").decode().split())
    return _Told(index, tuple(filter(None, paths)), placeholders, points, unlinked)


@contextmanager
def _opened(path: Path, part: str) -> Iterator[tarfile.TarFile]:
    """Open the tar of a package that holds its `info` or its files (`pkg`); the old form has one for both."""
    try:
        with tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES) as plain:
            with ExitStack() as stack:
                _copy(_packed(path, part, stack), plain, path)
            plain.seek(0)
            with tarfile.open(fileobj=plain, mode="r:") as archive:
                yield archive
    except IntegrityError:
        raise
    except (*_DAMAGED, _zstd().ZstdError) as error:
        raise IntegrityError(Issue(path.name, f"cannot be read as a conda package: {error}")) from error


def _packed(path: Path, part: str, stack: ExitStack) -> IO[bytes]:
    if not zipfile.is_zipfile(path):
        import bz2

        return stack.enter_context(bz2.open(path, "rb"))
    archive = stack.enter_context(zipfile.ZipFile(path))
    names = [one for one in archive.namelist() if one.startswith(f"{part}-") and one.endswith(".tar.zst")]
    if not names:
        raise zipfile.BadZipFile(f"it has no {part}-….tar.zst")
    opened: IO[bytes] = _zstd().open(stack.enter_context(archive.open(names[0])), "rb")
    return stack.enter_context(opened)


def _zstd() -> Any:  # noqa: ANN401 - a module
    try:
        from compression import zstd  # type: ignore[import-not-found,unused-ignore] # Python 3.14 and later
    except ImportError:
        try:
            from backports import zstd  # type: ignore[import-not-found,unused-ignore]
        except ImportError:
            raise SpecError(Issue("conda", "zstd is not installed", "install 'lading[conda]'")) from None
    return zstd


def _copy(source: IO[bytes], into: IO[bytes], path: Path) -> None:
    left = _MOST_BYTES
    while chunk := source.read(_PIECE_BYTES):
        left -= len(chunk)
        if left < 0:
            raise IntegrityError(Issue(path.name, f"holds more than {_MOST_BYTES} bytes"))
        into.write(chunk)
