"""The files of a model: a path goes in, what is to be packaged comes out, or why it cannot be."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from lading.core.errors import Issue, ModelError
from lading.core.files import describe
from lading.core.model import NEVER_PACKAGED, ModelFile

_OWN = re.compile(r"lading\.yaml|lading\.lock|pylock(\.[^.]+)?\.toml")
"""What lading reads or writes beside a model: a lock must not change what it locks."""
_MOST_FILES = 100_000


def list_files(root: Path) -> tuple[ModelFile, ...]:
    """List a file, or what lies in a folder, by path. Caches of tools, and secrets by custom, are left out.

    Links may lead to files within the folder. Raises ModelError for links that leave it or lead to folders,
    for devices and pipes, for names that are no UTF-8, for what cannot be read and for an empty folder.
    """
    if not root.is_dir():
        return (ModelFile(root.name, root.resolve(), root.stat().st_size),)
    real = root.resolve()
    issues: list[Issue] = []
    files = list(_entries(real, real, issues))
    if len(files) > _MOST_FILES:
        issues.append(Issue(str(root), f"holds more than {_MOST_FILES} files", "point to the model alone"))
    if not files and not issues:
        issues.append(Issue(str(root), "the folder is empty", "save the model into it, or correct the path"))
    if issues:
        raise ModelError(*issues)
    return tuple(sorted(files, key=lambda one: one.path))


def _entries(folder: Path, root: Path, issues: list[Issue]) -> Iterator[ModelFile]:
    try:
        with os.scandir(folder) as scanned:
            entries = sorted(scanned, key=lambda entry: entry.name)
    except OSError as error:
        issues.append(
            Issue(_shown(folder, root), f"cannot be read: {error.strerror}", "change its permissions")
        )
        return
    for entry in entries:
        if entry.name in NEVER_PACKAGED or (folder == root and _OWN.fullmatch(entry.name)):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _entries(Path(entry.path), root, issues)
            continue
        path = Path(entry.path)
        found = describe(path, root, _shown(path, root), _shown(path, root))
        if isinstance(found, Issue):
            issues.append(found)
        else:
            yield found


def _shown(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def read_text(path: Path, name: str, limit_bytes: int) -> str:
    """Read a text file of bounded size; raise ModelError where it is too long, unreadable or no UTF-8."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            # to open a pipe waits for ever
            raise ModelError(Issue(name, "neither a file nor a link to one", "remove it"))
        with path.open("rb") as file:
            data = file.read(limit_bytes + 1)
    except OSError as error:
        raise ModelError(Issue(name, f"cannot be read: {error.strerror}")) from error
    if len(data) > limit_bytes:
        raise ModelError(Issue(name, f"longer than {limit_bytes} bytes"))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ModelError(Issue(name, f"is no UTF-8 text (byte {error.start})")) from error
