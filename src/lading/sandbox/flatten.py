"""The layers of an image that lading did not make in; the one folder that they come to out.

Unlike a package's own layers these delete what lies below them (OCI image spec, layer.md, "whiteouts"), hold
devices, and lie over links and folders of each other. So they are unpacked one over the other, as overlayfs
would show them: a folder is merged with a folder, anything else replaces what was there. Devices, owners,
setuid bits and extended attributes are left out. Nothing is written outside the folder, whatever links say.
"""

# text paths: pathlib doubles the time of the loop over members
# ruff: noqa: PTH101, PTH102, PTH108, PTH211

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from lading.core.digest import Digest
from lading.core.errors import IntegrityError, Issue
from lading.core.image import Layer
from lading.core.ports import BlobSource, Event, Events
from lading.sandbox.blob import plain
from lading.sandbox.tar import Member, members
from lading.sandbox.tree import keep
from lading.sandbox.write import write_file

_WHITEOUT, _OPAQUE, _AUFS = ".wh.", ".wh..wh..opq", ".wh..wh."
_MEMBERS_MAX = 5_000_000


def flatten(layers: Sequence[Layer], source: BlobSource, folder: Path, events: Events) -> Path:
    """Return the folder that an image's layers, lowest first, come to; unpacked once, and kept.

    It is named for the diff IDs, which are checked on the way. Raises IntegrityError for a layer that is not
    what its diff ID says, or that cannot be unpacked.
    """
    folder.mkdir(parents=True, exist_ok=True)
    chain = "\n".join(str(layer.diff_id) for layer in layers)
    final = folder / f"image-{hashlib.sha256(chain.encode()).hexdigest()}"
    if not final.is_dir():
        partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=folder))
        try:
            tree = _Tree(str(partial))
            for done, layer in enumerate(layers, 1):
                _apply(layer, source, tree)
                events(Event("base", "progress", "unpack", done, len(layers), "layers"))
            tree.finish()
            keep(partial, final)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    with contextlib.suppress(OSError):
        os.utime(final)  # it is used: it is not collected
    return final


def _apply(layer: Layer, source: BlobSource, tree: _Tree) -> None:
    """Unpack one layer over those below it."""
    state = hashlib.sha256()
    with source.open(layer.descriptor.digest) as blob, plain(blob, layer, bounded=True) as stream:
        apply(stream, tree, layer.title, state.update)
    digest = Digest("sha256", state.hexdigest())
    if digest != layer.diff_id:
        raise IntegrityError(Issue(layer.title, f"got diff ID {digest}, expected {layer.diff_id}"))


def apply(stream: IO[bytes], tree: _Tree, where: str, seen: Callable[[bytes], object]) -> None:
    """Write a tar's members over a tree; `seen` is given every byte."""
    tree.begin()
    for number, (member, read) in enumerate(members(stream, seen, where, foreign=True)):
        if number > _MEMBERS_MAX:
            raise IntegrityError(Issue(where, f"holds more than {_MEMBERS_MAX} files"))
        try:
            tree.add(member, read)
        except OSError as error:
            what = f"cannot be unpacked: {error.strerror or error}"
            raise IntegrityError(Issue(f"{where}: {member.path}", what)) from error


class _Tree:
    """A folder that layers are unpacked into. Law: no path that is used has a link among its parents."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._modes: dict[str, tuple[int, int]] = {"": (0o755, 0)}
        """Mode and time of each folder, set when all is there: one may be read-only."""
        self._folders: set[str] = {""}
        """Those known to be folders and no links."""
        self._mine: set[str] = set()
        """What the layer being unpacked has brought, and the folders on the way there."""

    def begin(self) -> None:
        """Begin the next layer."""
        self._mine = set()

    def add(self, member: Member, read: Callable[[int], bytes]) -> None:
        """Unpack a member."""
        parent, _, name = member.path.rpartition("/")
        if name.startswith(_WHITEOUT):
            self._delete(parent, name)
            return
        if member.kind == "special":
            return
        path = self._place(parent, name) if name else ""
        at = f"{self._root}/{path}"
        if member.kind == "folder":
            self._folder(path, member)
            return
        linked = self._linked(member) if member.kind == "hardlink" else None
        if linked == path:
            return
        self._remove(path)
        if member.kind == "file":
            write_file(at, member, read)
        elif member.kind == "symlink":
            os.symlink(member.target, at)
        else:
            os.link(f"{self._root}/{linked}", at, follow_symlinks=False)

    def finish(self) -> None:
        """Give folders their modes; their owner, who is the one that unpacks, keeps the right to all."""
        for path in sorted(self._modes, reverse=True):
            at = f"{self._root}/{path}"
            mode, mtime_s = self._modes[path]
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                if not os.path.islink(at):  # noqa: PTH114 - text paths
                    os.chmod(at, mode | stat.S_IRWXU)
                    os.utime(at, (mtime_s, mtime_s))

    def _folder(self, path: str, member: Member) -> None:
        at = f"{self._root}/{path}"
        if path and not self._is_folder(path):
            self._remove(path)
            os.mkdir(at)
            self._folders.add(path)
        self._modes[path] = member.mode, member.mtime_s

    def _place(self, parent: str, name: str) -> str:
        """Return the path of a member, its parents folders, made where they are missing.

        A link that this layer brought is followed, inside the image; one of a lower layer is replaced.
        """
        folder = parent if parent in self._folders else self._enter(parent)
        path = f"{folder}/{name}" if folder else name
        if path not in self._mine:
            self._mine.add(path)
            while folder and folder not in self._mine:
                self._mine.add(folder)
                folder = folder.rpartition("/")[0]
        return path

    def _enter(self, folder: str) -> str:
        done: list[str] = []
        todo = folder.split("/")[::-1]
        links = 0
        while todo:
            part = todo.pop()
            if part in {"", "."}:
                continue
            if part == "..":
                del done[-1:]
                continue
            path = "/".join([*done, part])
            at = f"{self._root}/{path}"
            if path in self._mine and os.path.islink(at):  # noqa: PTH114 - text paths
                links += 1
                if links > 40:
                    raise OSError(f"{folder!r} leads through too many links")
                target = os.readlink(at)  # noqa: PTH115 - text paths
                done = [] if target.startswith("/") else done
                todo.extend(target.split("/")[::-1])
                continue
            if not self._is_folder(path):
                self._remove(path)
                os.mkdir(at)
                self._folders.add(path)
                self._modes.setdefault(path, (0o755, 0))
            done.append(part)
        return "/".join(done)

    def _linked(self, member: Member) -> str:
        """Return the file that a hard link names, which is there already."""
        parent, _, name = member.target.rpartition("/")
        folder = parent if parent in self._folders else self._enter(parent)
        path = f"{folder}/{name}" if folder else name
        mode = os.lstat(f"{self._root}/{path}").st_mode
        if stat.S_ISDIR(mode):
            raise OSError(f"it is a hard link to {member.target!r}, which is a folder")
        return path

    def _is_folder(self, path: str) -> bool:
        if path in self._folders:
            return True
        with contextlib.suppress(OSError):
            if stat.S_ISDIR(os.lstat(f"{self._root}/{path}").st_mode):
                self._folders.add(path)
                return True
        return False

    def _delete(self, parent: str, name: str) -> None:
        """Obey a whiteout: it is about lower layers, wherever in the tar it stands."""
        if name == _OPAQUE:
            if self._is_there(parent):
                self._clear(parent)
        elif not name.startswith(_AUFS):
            lost = name.removeprefix(_WHITEOUT)
            path = f"{parent}/{lost}" if parent else lost
            if lost in {"", ".", ".."}:
                raise OSError("it deletes what has no name")
            if self._is_there(parent) and path not in self._mine:
                self._remove(path)
            elif self._is_there(path):
                self._clear(path)

    def _is_there(self, path: str) -> bool:
        """Tell whether a folder is there, with no link on the way to it."""
        parts = path.split("/") if path else []
        return all(self._is_folder("/".join(parts[: end + 1])) for end in range(len(parts)))

    def _clear(self, folder: str) -> None:
        """Remove from a folder what lower layers have put there."""
        with os.scandir(f"{self._root}/{folder}") as entries:
            names = [entry.name for entry in entries]
        for name in names:
            path = f"{folder}/{name}" if folder else name
            if path not in self._mine:
                self._remove(path)
            elif self._is_folder(path):
                self._clear(path)

    def _remove(self, path: str) -> None:
        at = f"{self._root}/{path}"
        try:
            mode = os.lstat(at).st_mode
        except FileNotFoundError:
            return
        if not stat.S_ISDIR(mode):
            os.unlink(at)
            return
        shutil.rmtree(at)
        inside = f"{path}/"
        self._folders = {one for one in self._folders if one != path and not one.startswith(inside)}
        for one in [one for one in self._modes if one == path or one.startswith(inside)]:
            del self._modes[one]
