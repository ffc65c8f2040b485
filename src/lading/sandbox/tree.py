"""Unpacked layers in; one tree that looks like their union out, made of hard links.

For what cannot mount an overlay. Layers come top first. Upper files win, folders are merged; layers hold no
whiteouts (`unpack` refuses them).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lading.core.errors import Issue, VerifyError

_LINKS_MAX = 40  # as the kernel has it (path_resolution(7))


@dataclass(frozen=True, slots=True)
class MountPoints:
    """Absolute paths that must exist in a root, whatever the layers hold."""

    folders: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


def resolve(layers: Sequence[Path], path: str) -> str:
    """Follow the links in an absolute path as it stands in the image; missing parts are kept.

    Law: no component of the result but the last missing ones is absent, and none is a link.
    """
    done: list[str] = []
    todo = path.split("/")[::-1]
    links = 0
    while todo:
        part = todo.pop()
        if part in {"", "."}:
            continue
        if part == "..":
            del done[-1:]
            continue
        target = _link(layers, "/".join([*done, part]))
        if target is None:
            done.append(part)
            continue
        links += 1
        if links > _LINKS_MAX:
            raise VerifyError(Issue("sandbox", f"{path!r} leads through more than {_LINKS_MAX} links"))
        if target.startswith("/"):
            done.clear()
        todo.extend(target.split("/")[::-1])
    return "/" + "/".join(done)


def _link(layers: Sequence[Path], relative: str) -> str | None:
    """Return where the topmost entry of this name leads, None where it is no link."""
    for layer in layers:
        try:
            found = os.lstat(layer / relative)
        except (FileNotFoundError, NotADirectoryError):
            continue
        return str((layer / relative).readlink()) if stat.S_ISLNK(found.st_mode) else None
    return None


def merge(layers: Sequence[Path], points: MountPoints, folder: Path) -> Path:
    """Return the union of the layers below `folder`, linked once and kept."""
    text = "\0".join([*(layer.name for layer in layers), "", *points.folders, "", *points.files])
    merged = folder / f"merged-{hashlib.sha256(text.encode()).hexdigest()[:32]}"
    if merged.is_dir():
        return merged
    partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=folder))
    try:
        partial.chmod(0o755)
        for layer in reversed(layers):
            _link_tree(layer, partial)
        for point in points.folders:
            _make_folder(partial, point)
        for point in points.files:
            _make_folder(partial, os.path.dirname(point))  # noqa: PTH120 - a path of the image, kept as text
            (partial / point[1:]).touch()
        keep(partial, merged)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return merged


def keep(partial: Path, final: Path) -> None:
    """Give a finished folder its name; another process may have been faster, with the same contents."""
    try:
        partial.rename(final)
    except OSError:
        if not final.is_dir():
            raise


def _link_tree(source: Path, target: Path) -> None:
    """Link every file of one layer into the tree, over what lower layers put there."""
    with os.scandir(source) as entries:
        for entry in entries:
            into = target / entry.name
            if entry.is_dir(follow_symlinks=False):
                if into.is_symlink() or (into.exists() and not into.is_dir()):
                    into.unlink()
                into.mkdir(exist_ok=True)
                into.chmod(stat.S_IMODE(entry.stat().st_mode) | stat.S_IRWXU)
                _link_tree(Path(entry.path), into)
                continue
            try:
                os.link(entry.path, into, follow_symlinks=False)
            except FileExistsError:
                shutil.rmtree(into) if into.is_dir() and not into.is_symlink() else into.unlink()
                os.link(entry.path, into, follow_symlinks=False)


def _make_folder(root: Path, point: str) -> None:
    path = root
    for part in point.split("/")[1:]:
        path /= part
        if path.is_symlink() or (path.exists() and not path.is_dir()):
            path.unlink()
        path.mkdir(exist_ok=True)
