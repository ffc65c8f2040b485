"""A layout folder → everything that is wrong with it.

The check writes nothing and asks for no blob, so it may look at any layout, also one that somebody writes to.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from lading.core import canonical
from lading.core.descriptor import INDEX, Descriptor
from lading.core.digest import CHUNK_BYTES, Digest
from lading.core.errors import IntegrityError, Issue, LadingError
from lading.core.ports import Event, Events, ignore
from lading.store import documents
from lading.store.disk import PartialFile
from lading.store.index import Entry, Index
from lading.store.layout import INDEX_FILE, INGEST, KNOWN, LOCK, LayoutStore

REPAIR = "lading fsck --repair"
_MAX_DEPTH = 8
_SHOWN_NAMES = 3


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong; `blob` is one that is not what its name says, or cannot be read."""

    issue: Issue
    blob: Digest | None = None


@dataclass(slots=True)
class Findings:
    """What a check saw. Notes are of what does no harm: leftovers, files of others."""

    faults: list[Fault] = field(default_factory=list)
    notes: list[Issue] = field(default_factory=list)
    roots: int = 0
    blobs: int = 0
    bytes: int = 0


def check(store: LayoutStore, *, events: Events = ignore) -> Findings:
    """Compare every blob with its name, and everything that a root names with what is there.

    Raises IntegrityError where the folder is nothing like a layout.
    """
    found = Findings()
    needed: dict[Digest, list[str]] = {}
    lost: dict[Digest, str] = {}
    with _unchanging(store):
        blobs = _blobs(store, found)
        has_marker = _check_marker(store, found)
        entries = _entries(store, found, is_begun=has_marker or bool(blobs))
        if not has_marker and (blobs or entries):
            found.faults.append(Fault(Issue(str(store.folder), "has no file 'oci-layout'", REPAIR)))
        for entry in entries:
            name = entry.name or f"{entry.descriptor.digest.short}, which has no name"
            walked = walk(store, entry.descriptor, blobs)
            lost.update({digest: what for digest, what in walked.items() if what})
            for digest in walked:
                needed.setdefault(digest, []).append(name)
            _check_subject(store, entry, blobs, found)
    _note_others(store, found)
    found.roots, found.blobs, found.bytes = len(entries), len(blobs), sum(blobs.values())
    damaged = _damaged(store, blobs, events)
    for digest, what in sorted({**lost, **damaged}.items()):
        names = needed.get(digest, [])
        issue = Issue(str(digest), f"{what}; {_needed_by(names)}", _fix(names))
        found.faults.append(Fault(issue, digest if digest in damaged else None))
    return found


def walk(store: LayoutStore, root: Descriptor, blobs: Mapping[Digest, int]) -> dict[Digest, str]:
    """List everything that a root names; with what is wrong where it is missing or malformed, else ''."""
    seen: dict[Digest, str] = {}
    waiting = [(root, 0)]
    while waiting:
        part, depth = waiting.pop()
        if seen.get(part.digest) is not None:
            continue
        size_bytes = blobs.get(part.digest)
        seen[part.digest] = ""
        if size_bytes is None:
            seen[part.digest] = f"{part.media_type} of {part.size_bytes} bytes is missing"
        elif size_bytes != part.size_bytes:
            seen[part.digest] = f"has {size_bytes} bytes, expected {part.size_bytes}"
        elif depth > _MAX_DEPTH:
            seen[part.digest] = f"indexes are nested deeper than {_MAX_DEPTH}"
        else:
            try:
                waiting += [(child, depth + 1) for child in documents.children(store, part)]
            except LadingError as error:
                seen[part.digest] = error.issues[0].what
    return seen


def entries_of(data: bytes, where: str) -> tuple[list[Entry], list[Issue]]:
    """Read index.json as far as it can be read; the issues are what cannot."""
    document = canonical.decode(data, where)
    match document:
        case {"schemaVersion": 2, "manifests": list(rows)} if document.get("mediaType", INDEX) == INDEX:
            pass
        case _:
            Index.parse(data, where)
            rows = []
    entries, issues = [], []
    for number, row in enumerate(rows):
        try:
            entry = Entry(row)
            _ = entry.descriptor, entry.name
        except IntegrityError as error:
            issues += [
                Issue(f"{where}: manifests[{number}]", one.what, f"drop it: {REPAIR}") for one in error.issues
            ]
        else:
            entries.append(entry)
    return entries, issues


@contextmanager
def _unchanging(store: LayoutStore) -> Iterator[None]:
    """Hold off changes of names and removals; a layout that has never been locked is looked at as it is."""
    try:
        handle = os.open(store.folder / LOCK, os.O_RDONLY)
    except OSError:
        yield
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_SH)
        yield
    finally:
        os.close(handle)


def _check_marker(store: LayoutStore, found: Findings) -> bool:
    """Tell whether the marker is there, be it as it may."""
    try:
        return store.is_layout()
    except IntegrityError as error:
        if not (store.folder / INDEX_FILE).exists():
            raise
        issue = replace(error.issues[0], fix=REPAIR)
    except OSError as error:
        issue = Issue(str(store.folder), f"cannot be read: {error.strerror}", f"chmod -R a+rX {store.folder}")
    found.faults.append(Fault(issue))
    return True


def _entries(store: LayoutStore, found: Findings, *, is_begun: bool) -> list[Entry]:
    path = store.folder / INDEX_FILE
    try:
        entries, issues = entries_of(path.read_bytes(), str(path))
    except FileNotFoundError:
        if not is_begun:  # whoever was making the store was killed before anything was in it
            return []
        entries, issues = [], [Issue(str(path), "is missing", f"list again what is there: {REPAIR}")]
    except OSError as error:
        entries, issues = [], [Issue(str(path), f"cannot be read: {error.strerror}", f"chmod a+r {path}")]
    except IntegrityError as error:
        fix = f"list again what is there, without names: {REPAIR}"
        entries, issues = [], [replace(one, fix=fix) for one in error.issues]
    found.faults += map(Fault, issues)
    return entries


def _blobs(store: LayoutStore, found: Findings) -> dict[Digest, int]:
    """Return the size of each blob; note what is none."""
    blobs = {}
    for path in _listed(store.folder / "blobs", found):
        if path.name not in {"sha256", "sha512"} or not path.is_dir():
            found.notes.append(_stray(path))
            continue
        for blob in _listed(path, found):
            try:
                digest = Digest.parse(f"{path.name}:{blob.name}")
            except IntegrityError:
                found.notes.append(_stray(blob))
                continue
            with suppress(OSError):
                status = blob.stat()
                # what is no file has a name and no size; reading it tells what it is
                blobs[digest] = status.st_size if stat.S_ISREG(status.st_mode) else -1
                continue
            if os.path.lexists(blob):
                blobs[digest] = -1
    return blobs


def _listed(folder: Path, found: Findings) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        fix = f"chmod u+rwx {folder}"
        found.faults.append(Fault(Issue(str(folder), f"cannot be read: {error.strerror}", fix)))
        return []


def _check_subject(store: LayoutStore, entry: Entry, blobs: Mapping[Digest, int], found: Findings) -> None:
    with suppress(LadingError):
        subject = documents.subject(store, entry.descriptor)
        if subject and subject not in blobs:
            what = f"refers to {subject}, which is not in the store"
            found.notes.append(Issue(str(entry.descriptor.digest), what, "lading gc removes it in time"))


def _note_others(store: LayoutStore, found: Findings) -> None:
    """Note what lies in the folder besides; none of it does harm."""
    for path in _listed(store.folder, found):
        if path.name not in KNOWN:
            found.notes.append(_stray(path))
    for path in _listed(store.folder / INGEST, found):
        with suppress(FileNotFoundError, PermissionError), PartialFile.abandoned(path) as is_dead:
            if is_dead:
                what = f"{path.lstat().st_size} bytes that a writer left when it died"
                found.notes.append(Issue(str(path), what, "lading gc removes it in time"))
    for path in (store.folder, store.folder / "blobs" / "sha256", store.folder / INGEST):
        if path.is_dir() and not os.access(path, os.W_OK | os.X_OK, effective_ids=True):
            found.notes.append(Issue(str(path), "may not be written by you", f"chmod u+rwx {path}"))


def _stray(path: Path) -> Issue:
    return Issue(str(path), "is none of lading's and is left alone", "remove it by hand if nobody needs it")


def _damaged(store: LayoutStore, blobs: Mapping[Digest, int], events: Events) -> dict[Digest, str]:
    """Hash every blob, the biggest first; return what is wrong with those that are not their names."""
    damaged = {}
    total_bytes = sum(max(size_bytes, 0) for size_bytes in blobs.values())
    done_bytes = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        order = sorted(blobs, key=lambda one: -blobs[one])
        jobs = {pool.submit(verdict, store.path(digest), digest): digest for digest in order}
        for job in as_completed(jobs):
            digest = jobs[job]
            # once more: it may have been written anew while it was read
            if job.result() and (what := verdict(store.path(digest), digest)):
                damaged[digest] = what
            done_bytes += max(blobs[digest], 0)
            events(Event("check", "progress", digest.short, done_bytes, total_bytes))
    return damaged


def verdict(path: Path, digest: Digest) -> str:
    """Say what is wrong with a file that should have this digest; '' where nothing is, or it is gone."""
    state = hashlib.new(digest.algorithm)
    try:
        # a pipe would be waited for without end
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        with os.fdopen(handle, "rb", buffering=0) as stream:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                return "is no file"
            while chunk := stream.read(CHUNK_BYTES):
                state.update(chunk)
    except FileNotFoundError:
        return "is a link that leads nowhere" if path.is_symlink() else ""
    except OSError as error:  # a folder, no permission, or a disk that has lost a block
        return f"cannot be read: {error.strerror}"
    got = state.hexdigest()
    return "" if got == digest.hex else f"is damaged: its bytes are {digest.algorithm}:{got[:12]}…"


def _needed_by(names: Collection[str]) -> str:
    """Say which packages a blob belongs to."""
    if not names:
        return "no name needs it"
    more = f" and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else ""
    return f"needed by {', '.join(_first(names))}{more}"


def _fix(names: Collection[str]) -> str:
    if not names:
        return REPAIR
    return f"{REPAIR}, then pack or pull {', '.join(_first(names))} again"


def _first(names: Iterable[str]) -> list[str]:
    return sorted(set(names))[:_SHOWN_NAMES]
