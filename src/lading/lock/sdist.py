"""A source distribution → what its build needs: its backend (PEP 518), and whether it has to be compiled.

The archive is read, never run; nothing of it is believed about sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple, TypeVar

from lading.core.errors import Issue, LockError
from lading.lock import toml

_LIMIT_BYTES = 1 << 20
_MOST_MEMBERS = 100_000
_MOST_BYTES = 4 << 30
_COMPILED = {".c", ".cc", ".cpp", ".cxx", ".f", ".f90", ".pyx"}


class BuildSystem(NamedTuple):
    """What pyproject.toml says of the build (PEP 518)."""

    requires: tuple[str, ...]
    backend: str
    path: tuple[str, ...]


_LEGACY = BuildSystem(("setuptools>=40.8.0", "wheel"), "setuptools.build_meta:__legacy__", ())
"""What holds where it says nothing."""
_Member = TypeVar("_Member")


class Needs(NamedTuple):
    """What a build needs, as its archive tells."""

    system: BuildSystem
    compiled: bool
    """Whether it holds source code for a compiler."""


def read(sdist: Path) -> Needs:
    """Read an archive; raise LockError where it is none, or its `[build-system]` is malformed."""
    import tarfile
    import zipfile
    import zlib

    project, compiled = b"", False
    try:
        # zipfile's word for a member that is encrypted is RuntimeError
        for name, contents in _members(sdist):
            path = PurePosixPath(name)
            compiled |= path.suffix in _COMPILED
            if len(path.parts) == 2 and path.name == "pyproject.toml":
                project = contents()
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError) as error:
        raise LockError(Issue(sdist.name, f"not a source distribution: {error}")) from error
    return Needs(_system(project, f"{sdist.name}: pyproject.toml"), compiled)


def _system(project: bytes, where: str) -> BuildSystem:
    table = toml.parse(project, where).get("build-system") or {}
    requires, path = table.get("requires", _LEGACY.requires), table.get("backend-path", [])
    backend = table.get("build-backend", _LEGACY.backend)
    if not (_are_texts(requires) and _are_texts(path) and isinstance(backend, str)):
        raise LockError(Issue(where, "got a [build-system] of another form, expected that of PEP 518"))
    return BuildSystem(tuple(requires), backend, tuple(path))


def _are_texts(value: object) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(one, str) for one in value)


def _members(sdist: Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Yield the name of each file of an archive, and how to read its beginning."""
    import tarfile
    import zipfile

    if sdist.suffix == ".zip":
        with zipfile.ZipFile(sdist) as archive:
            for info in archive.infolist()[:_MOST_MEMBERS]:
                yield info.filename, partial(_beginning, archive.open, info)
        return
    seen_bytes = 0
    with tarfile.open(sdist) as tar:
        for count, member in enumerate(tar):
            seen_bytes += member.size
            if count > _MOST_MEMBERS or seen_bytes > _MOST_BYTES:
                raise tarfile.ReadError("it unpacks to an absurd size")
            if member.isfile():
                yield member.name, partial(_beginning, tar.extractfile, member)


def _beginning(opened: Callable[[_Member], IO[bytes] | None], member: _Member) -> bytes:
    stream = opened(member)
    assert stream is not None
    with stream:
        return stream.read(_LIMIT_BYTES)
