"""The store and the caches of this machine go in; what they take, and less of it, comes out."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lading import deploy
from lading.pipeline import bases
from lading.pipeline.context import Context
from lading.store import gc
from lading.store.usage import Usage, usage

CACHED_FOR_S = 7 * 86400.0
"""How long collection spares what only makes a later pack faster."""
_STALE_S = 86400.0
_KINDS = {"sha256": "download", "sha512": "download", "partial": "unfinished download", "texts": "text"}


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that was removed, or would be."""

    kind: str
    name: str
    bytes: int
    what: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"kind": self.kind, "name": self.name, "bytes": self.bytes, "what": self.what}


@dataclass(frozen=True, slots=True)
class Freed:
    """What collection removed, or would remove, and what it left because somebody is using it."""

    items: tuple[Item, ...]
    spared: tuple[str, ...]

    @property
    def bytes(self) -> int:
        """What all of it took."""
        return sum(item.bytes for item in self.items)


def collect(context: Context, *, caches: bool, older_than_s: float, dry_run: bool) -> Freed:
    """Free what no name reaches. What makes a later pack faster is spared for a week, unless `caches`.

    Nobody begins to pack, pull or push meanwhile; while somebody is at it, the caches are left alone. What is
    being run stays unpacked.
    """
    store = context.store
    remembered = list(context.layers.layers())
    titles = {one.descriptor.digest: one.title for one in remembered}
    with gc.alone(store, dry_run=dry_run):
        cached = [] if caches else [*titles, *bases.kept(context, CACHED_FOR_S)]
        keep = [digest for digest in cached if store.age_s(digest) < CACHED_FOR_S]
        # by no name, for a name may mean another by now
        keep += deploy.Folder(context.settings.home / "endpoints").packages()
        found = gc.collect(store, keep=keep, older_than_s=older_than_s, dry_run=dry_run)
        items = [Item("blob", str(one), size, titles.get(one, "")) for one, size in found.blobs.items()]
        items += [Item("leftover", name, size) for name, size in found.leftovers.items()]
        if store.keeping_for_s():
            return Freed(tuple(items), ("the caches: another lading is at work",))
        # a layer that is still in the store may be unpacked under a package that is to be run again
        present = set(store.digests()) - set(found.blobs)
        diff_ids = {one.diff_id.hex for one in remembered if one.descriptor.digest in present}
        spared = []
        seen: dict[tuple[int, int], list[int]] = {}
        for kind, path in _cached(context.settings.cache):
            if not caches and not _is_unused(kind, path, diff_ids):
                continue
            with _alone(path) as is_alone:
                if not is_alone:
                    spared.append(f"{path}: it is in use")
                    continue
                size_bytes = _freed_bytes(path, seen)
                if dry_run or _remove(path):
                    items.append(Item(kind, str(path.relative_to(context.settings.cache)), size_bytes))
                else:
                    spared.append(f"{path}: it cannot be removed")
    return Freed(tuple(items), tuple(spared))


def _cached(folder: Path) -> Iterator[tuple[str, Path]]:
    """List what the caches hold, in pieces that can go one by one."""
    for path in _listed(folder):
        if path.name == "downloads":
            for part in _listed(path):
                yield from ((_KINDS.get(part.name, part.name), one) for one in _listed(part))
        elif path.name in {"unpacked", "models"}:
            yield from ((path.name.removesuffix("s"), one) for one in _listed(path))
        else:
            yield path.name, path


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _is_unused(kind: str, path: Path, diff_ids: set[str]) -> bool:
    """Tell whether nobody has touched a download, a model or an unpacked layer in no store for a week."""
    if kind not in {"download", "unfinished download", "unpacked", "model"} or path.name in diff_ids:
        return False
    with suppress(FileNotFoundError):
        limit_s = _STALE_S if path.name.startswith(".") else CACHED_FOR_S
        return time.time() - path.lstat().st_mtime > limit_s
    return False


@contextmanager
def _alone(path: Path) -> Iterator[bool]:
    """Hold something in the cache, and tell whether nobody else does: a sandbox, a download, uv."""
    own = path / ".lock"
    try:
        handle = os.open(own if own.is_file() else path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:  # gone, or none of ours
        yield True
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_alone = True
    except BlockingIOError:
        is_alone = False
    except OSError:
        is_alone = True
    try:
        yield is_alone
    finally:
        os.close(handle)


def _remove(path: Path) -> bool:
    """Take a name away, then what was under it: nobody sees half of a folder. Tell whether it went."""
    gone = path
    with suppress(OSError):
        if path.is_symlink() or not path.is_dir():
            path.unlink(missing_ok=True)
        else:
            gone = path.rename(path.with_name(f".partial-gone-{os.urandom(4).hex()}"))
    shutil.rmtree(gone, ignore_errors=True)
    return not os.path.lexists(gone)


def _freed_bytes(path: Path, seen: dict[tuple[int, int], list[int]]) -> int:
    """Add up what goes with a path; of a file with several names, when the last of them goes."""
    total_bytes = 0
    for status in _statuses(path):
        if not stat.S_ISDIR(status.st_mode):
            # the number of names is the first that was seen: each that goes takes one away
            left = seen.setdefault((status.st_dev, status.st_ino), [status.st_nlink])
            left[0] -= 1
            total_bytes += 0 if left[0] else status.st_size
    return total_bytes


def _statuses(path: Path) -> Iterator[os.stat_result]:
    """Look at a path and everything below, following no link; what goes meanwhile is passed over."""
    with suppress(OSError):
        yield path.lstat()
        if path.is_dir() and not path.is_symlink():
            with os.scandir(path) as entries:
                for entry in entries:
                    yield from _statuses(Path(entry.path))


@dataclass(frozen=True, slots=True)
class Taken:
    """What everything of lading's on this machine takes."""

    store: Usage
    caches: dict[str, int]

    @property
    def bytes(self) -> int:
        """Store and caches together."""
        return self.store.bytes + self.store.unfinished_bytes + sum(self.caches.values())

    def to_json(self) -> dict[str, Any]:
        """Return every figure as JSON values."""
        store = self.store
        return {
            "bytes": self.bytes,
            "store": {
                "bytes": store.bytes,
                "blobs": store.blobs,
                "reached_bytes": store.reached_bytes,
                "unreached_bytes": store.bytes - store.reached_bytes,
                "unfinished_bytes": store.unfinished_bytes,
                "sum_of_packages_bytes": store.sum_bytes,
                "saved_bytes": store.sum_bytes - store.reached_bytes,
            },
            "packages": [share.to_json() for share in store.shares],
            "caches": self.caches,
        }


def taken(context: Context) -> Taken:
    """Add up the store and the caches; a file with several names counts once."""
    seen: set[tuple[int, int]] = set()
    caches: dict[str, int] = {}
    for kind, path in _cached(context.settings.cache):
        caches.setdefault(kind, 0)
        for status in _statuses(path):
            identity = (status.st_dev, status.st_ino)
            if not stat.S_ISDIR(status.st_mode) and identity not in seen:
                seen.add(identity)
                caches[kind] += status.st_size
    return Taken(usage(context.store), caches)
