"""A sealed layer and the folder it was unpacked to go in; the first thing that differs comes out."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path

from lading.core.digest import Digest
from lading.core.image import Layer
from lading.core.ports import BlobSource
from lading.sandbox.blob import plain
from lading.sandbox.tar import Member, members
from lading.sandbox.write import CHUNK_BYTES


def diff_id(layer: Layer, source: BlobSource, folder: Path | None = None) -> tuple[Digest, str]:
    """Return the digest of a layer's tar, and what in `folder` is not as the tar has it, '' for nothing.

    Raises IntegrityError where the layer cannot be read, VerifyError where its compression is not supported.
    """
    state = hashlib.sha256()
    known: set[str] = set()
    problem = ""
    with source.open(layer.descriptor.digest) as blob, plain(blob, layer) as stream:
        for member, read in members(stream, state.update, layer.title):
            differs = _contents(member, read, None if problem else folder)
            known.add(member.path)
            problem = problem or differs
    if folder and not problem:
        problem = _foreign(folder, known)
    return Digest("sha256", state.hexdigest()), problem


def _contents(member: Member, read: Callable[[int], bytes], folder: Path | None) -> str:
    """Read a member to its end beside its file, if there is a folder; say what differs."""
    path = folder / member.path if folder else None
    problem = _entry(member, path, folder) if path and folder else ""
    file = path.open("rb") if path and member.kind == "file" and not problem else None
    try:
        left_bytes = member.size_bytes
        while left_bytes:
            chunk = read(min(left_bytes, CHUNK_BYTES))
            left_bytes -= len(chunk)
            if file and not problem and file.read(len(chunk)) != chunk:
                problem = f"{member.path}: its contents are others"
    finally:
        if file:
            file.close()
    return problem


def _entry(member: Member, path: Path, folder: Path) -> str:
    """Compare kind, length, mode and target."""
    try:
        status = path.lstat()
        if member.kind == "hardlink":
            is_same = os.path.samestat(status, (folder / member.target).lstat())
            return "" if is_same else f"{member.path}: is no hard link to {member.target}"
        if member.kind == "symlink":
            expected, got = f"link to {member.target}", f"link to {os.readlink(path)}"  # noqa: PTH115
        else:
            expected, got = f"{member.kind} of mode {member.mode:o}", _kind(status)
            if member.kind == "file":
                expected, got = f"{expected}, {member.size_bytes} bytes", f"{got}, {status.st_size} bytes"
    except OSError as error:
        return f"{member.path}: {error.strerror}"
    return "" if got == expected else f"{member.path}: is a {got}, expected a {expected}"


def _kind(status: os.stat_result) -> str:
    kind = "folder" if stat.S_ISDIR(status.st_mode) else "file" if stat.S_ISREG(status.st_mode) else "special"
    return f"{kind} of mode {stat.S_IMODE(status.st_mode):o}"


def _foreign(folder: Path, known: set[str]) -> str:
    """Name a file that the layer does not hold."""
    for at, _, names in os.walk(folder):
        for name in names:
            path = (Path(at) / name).relative_to(folder).as_posix()
            if path not in known:
                return f"{path}: is not in the layer"
    return ""
