"""A layout folder and what a check found → the same folder without what is wrong.

Law: what is sound stays, and a check of the result finds nothing. Packing or pulling brings back what went.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from lading.core.descriptor import Descriptor
from lading.core.digest import Digest
from lading.core.errors import IntegrityError, LadingError
from lading.store import documents
from lading.store.check import Findings, entries_of, verdict, walk
from lading.store.disk import make_folder, replace_file, translated
from lading.store.index import Entry, Index
from lading.store.layout import INDEX_FILE, INGEST, LOCK, MARK, MARKER, LayoutStore, strip


def repair(store: LayoutStore, found: Findings) -> list[str]:
    """Remove damaged blobs, then the names of what is not there in full any more; say what was done.

    Where the index is lost, every whole image is listed again, without a name. Raises RegistryError where the
    disk refuses.
    """
    if not found.faults:
        return []
    is_bare = not (store.folder / LOCK).exists()
    with translated(store.folder):
        done = _mend_marker(store)
        with store.lock():
            for digest in [one.blob for one in found.faults if one.blob]:
                done += _mend_blob(store.path(digest), digest)
            done += _mend_index(store)
        if is_bare:
            strip(store.folder)
    return done


def _mend_marker(store: LayoutStore) -> list[str]:
    with suppress(IntegrityError):
        if store.is_layout():
            return []
    make_folder(store.folder / INGEST)
    replace_file(store.folder / MARKER, MARK, ingest=store.folder / INGEST)
    return [f"wrote {store.folder / MARKER}"]


def _mend_blob(path: Path, digest: Digest) -> list[str]:
    """Let it be read; remove it if it is still not what its name says: it may have been written anew."""
    if not verdict(path, digest):
        return []
    if path.is_file() and not path.is_symlink():
        with suppress(PermissionError):
            path.chmod(0o644)
        try:
            path.open("rb").close()
        except PermissionError:  # it may be sound
            return [f"left {path} as it is: it is somebody else's, and may not be read by you"]
        if not verdict(path, digest):
            return [f"let {path} be read"]
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    return [f"removed the damaged blob {digest}"]


def _mend_index(store: LayoutStore) -> list[str]:
    path = store.folder / INDEX_FILE
    blobs = store.sizes()
    try:
        entries, issues = entries_of(path.read_bytes(), str(path))
    except (FileNotFoundError, IntegrityError):
        kept = [Entry.of(root, None) for root in _unlisted(store, blobs)]
        _keep_old(path)
        store.restore(Index(tuple(kept)))
        listed = [f"listed {one.descriptor.digest} again, without a name" for one in kept]
        return [f"wrote {path} anew", *listed]
    done = [f"dropped an entry that says nothing: {issue.what}" for issue in issues]
    kept = []
    for entry in entries:
        walked = walk(store, entry.descriptor, blobs)
        if any(walked.values()):
            done.append(f"forgot {entry.name or 'a root without a name'}: {entry.descriptor.digest}")
        else:
            kept.append(entry)
        # what is left of it is spared by collection for a while, so that not all is to be had again
        _ask(store, walked if any(walked.values()) else ())
    if len(kept) != len(entries) or issues:
        store.restore(Index(tuple(kept)))
    return done


def _ask(store: LayoutStore, digests: Iterable[Digest]) -> None:
    for digest in digests:
        store.size_bytes(digest)


def _keep_old(path: Path) -> None:
    """Leave an index that cannot be read beside the new one: a person may still find names in it."""
    with suppress(FileNotFoundError):
        path.rename(path.with_name(f"{path.name}.damaged"))


def _unlisted(store: LayoutStore, blobs: Mapping[Digest, int]) -> list[Descriptor]:
    """Find every manifest and index that is there in full and is no part of another."""
    whole = []
    parts: set[Digest] = set()
    for digest in blobs:
        with suppress(LadingError):
            root = documents.describe(store, digest)
            if root and not any(walk(store, root, blobs).values()):
                whole.append(root)
                parts.update(child.digest for child in documents.children(store, root))
    return [root for root in whole if root.digest not in parts]
