"""A sealed layer in; a folder with its files out, unpacked once and kept for as long as one likes.

The folder is named for the layer's diff ID, which is checked on the way. A member may not leave the folder,
follow a link that came before it, be a device, or delete what lies below (a whiteout).
"""

# text paths: pathlib doubles the time of the loop over members
# ruff: noqa: PTH101, PTH102, PTH211

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import IO

from lading.core.digest import Digest
from lading.core.errors import IntegrityError, Issue
from lading.core.image import Layer
from lading.core.ports import BlobSource, Event, Events
from lading.sandbox.blob import plain
from lading.sandbox.flatten import flatten
from lading.sandbox.tar import Member, members
from lading.sandbox.tree import keep
from lading.sandbox.write import write_file

_STALE_S = 24 * 3600
_WHITEOUT = ".wh."


def unpack(layers: Sequence[Layer], source: BlobSource, folder: Path, events: Events) -> list[Path]:
    """Return the folders of layers, lowest first, unpacking in parallel those that are not there yet.

    Those of an image that is a base have one folder together, the lowest.
    Raises IntegrityError for a layer that is not what its diff ID says, or that holds what it must not.
    """
    folder.mkdir(parents=True, exist_ok=True)
    image = [layer for layer in layers if layer.kind == "image"]
    flat = [flatten(image, source, folder, events)] if image else []
    layers = [layer for layer in layers if layer.kind != "image"]
    wanted = {folder / layer.diff_id.hex: layer for layer in layers}
    missing = {path: layer for path, layer in wanted.items() if not path.is_dir()}
    if missing:
        _remove_stale(folder)
        biggest_first = sorted(missing.items(), key=lambda one: -one[1].descriptor.size_bytes)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            jobs = [pool.submit(_unpack_one, layer, source, path) for path, layer in biggest_first]
            for done, job in enumerate(as_completed(jobs), 1):
                job.result()
                events(Event("verify", "progress", "unpack", done, len(jobs), "layers"))
    return flat + [folder / layer.diff_id.hex for layer in layers]


def _remove_stale(folder: Path) -> None:
    """Remove what a process left that was killed a day ago or longer."""
    for path in folder.glob(".partial-*"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > _STALE_S:
                shutil.rmtree(path, ignore_errors=True)


def _unpack_one(layer: Layer, source: BlobSource, final: Path) -> None:
    partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=final.parent))
    try:
        partial.chmod(0o755)
        with source.open(layer.descriptor.digest) as blob, plain(blob, layer) as stream:
            digest = extract(stream, partial, layer.title)
        if digest != layer.diff_id:
            raise IntegrityError(Issue(layer.title, f"got diff ID {digest}, expected {layer.diff_id}"))
        keep(partial, final)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def extract(stream: IO[bytes], root: Path, where: str) -> Digest:
    """Write a tar's members below `root`, an empty folder; return the digest of the whole stream."""
    kinds: dict[str, str] = {"": "folder"}
    folders: list[tuple[str, Member]] = []
    state = hashlib.sha256()
    at = f"{root}/"
    for member, read in members(stream, state.update, where):
        _enter(member, kinds, at, where)
        path = at + member.path
        if member.kind == "file":
            write_file(path, member, read)
        elif member.kind == "folder":
            if member.path:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(path)
            folders.append((path, member))
        elif member.kind == "symlink":
            os.symlink(member.target, path)
        else:
            os.link(at + member.target, path, follow_symlinks=False)
    for path, member in reversed(folders):  # at last: one may be read-only, and writing into it sets its time
        os.chmod(path, member.mode)
        os.utime(path, (member.mtime_s, member.mtime_s))
    return Digest("sha256", state.hexdigest())


def _enter(member: Member, kinds: dict[str, str], at: str, where: str) -> None:
    """Check a member against those before it; make the parents that have no member of their own."""
    parent, _, name = member.path.rpartition("/")
    known = kinds.get(member.path)
    problem = None
    if name.startswith(_WHITEOUT):
        problem = "it deletes a file of a lower layer, which a package's layer never does"
    elif known is not None and (known, member.kind) != ("folder", "folder"):
        problem = "it comes twice"
    elif member.kind == "hardlink" and kinds.get(member.target) != "file":
        problem = f"it is a hard link to {member.target!r}, which is no file before it"
    missing = []
    while problem is None and (kind := kinds.get(parent)) != "folder":
        if kind is not None:
            problem = f"{parent!r} is a {kind}, expected a folder"
        missing.append(parent)
        parent = parent.rpartition("/")[0]
    if problem:
        raise IntegrityError(Issue(f"{where}: {member.path}", problem))
    for path in reversed(missing):
        os.mkdir(at + path)
        kinds[path] = "folder"
    kinds[member.path] = "file" if member.kind == "hardlink" else member.kind
