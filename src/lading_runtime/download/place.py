"""A model that is wanted in, the folder that has all of it, verified, out; it is never seen half.

The cache, `LADING_MODEL_CACHE` or a folder below /tmp, has a folder per model, named by the digest of its
list of files. It appears by one rename, when every file in it is right. Those who want the same at the same
time wait for one another; replicas on one volume fetch once.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

from lading_runtime.download import transfer
from lading_runtime.download.failure import FetchError
from lading_runtime.download.sources import open_source
from lading_runtime.download.transfer import AT_ONCE, Progress, digest
from lading_runtime.download.wanted import LINKS, Wanted

CACHE = "LADING_MODEL_CACHE"
_NO_LOCKS = {errno.ENOTSUP, errno.ENOSYS, errno.ENOLCK, errno.EINVAL}
_NOT_OURS = {errno.EACCES, errno.EPERM, errno.EROFS}
_TURN_S = 0.2
_WRITABLE = f"let it be writable for the package's user, or name another with {CACHE}"


def folder_of(environ: Mapping[str, str]) -> str:
    """Return the cache's folder."""
    return environ.get(CACHE) or f"{LINKS}/cache"


def provide(
    wanted: Wanted, environ: Mapping[str, str], progress: Progress, tell: Callable[[str], None]
) -> str:
    """Return the folder with all of the files; FetchError where they cannot be had."""
    cache = folder_of(environ)
    final = os.path.join(cache, wanted.key)
    if _is_right(final, wanted):
        return final
    try:
        os.makedirs(cache, exist_ok=True)
        with _lock(f"{final}.lock", lambda: tell(f"{wanted.name}: another process fetches it")) as is_alone:
            if not _is_right(final, wanted):
                _fetch(final, wanted, environ, progress, is_alone=is_alone)
    except OSError as error:
        what = f"{error.filename or cache}: {error.strerror}"
        if error.errno in _NOT_OURS and environ.get(CACHE):
            tell(f"{what}; {_WRITABLE}; until then nothing is kept from one start to the next")
            return provide(wanted, {**environ, CACHE: ""}, progress, tell)
        raise FetchError(what, _WRITABLE, final=True) from error
    return final


def link(wanted: Wanted, folder: str, links: str = LINKS) -> None:
    """Let the place that the image's folder links to be a folder of the cache, at once."""
    place = os.path.join(links, *wanted.link.split("/"))
    try:
        os.makedirs(os.path.dirname(place), exist_ok=True)
        temporary = f"{place}.{os.getpid()}"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        os.symlink(os.path.abspath(folder), temporary)
        os.replace(temporary, place)
    except OSError as error:
        what = f"{place}: {error.strerror}"
        raise FetchError(what, "a package needs a /tmp that it may write to", final=True) from error


def _is_right(final: str, wanted: Wanted) -> bool:
    """Verify a folder of the cache: it may be another's work, or of a disk that forgets."""
    paths = {one: os.path.join(final, *one.path.split("/")) for one in wanted.files}
    if not os.path.isdir(final):
        return False
    for one, path in paths.items():
        try:
            if os.path.islink(path) or os.path.getsize(path) != one.size_bytes:
                return False
        except OSError:
            return False
    with ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            found = list(pool.map(digest, paths.values()))
        except OSError:
            return False
    return found == [one.digest for one in paths]


def _fetch(
    final: str, wanted: Wanted, environ: Mapping[str, str], progress: Progress, *, is_alone: bool
) -> None:
    """Fetch into a folder beside it, and rename that; what is there and wrong is mended."""
    sources = [open_source(one, environ) for one in wanted.sources]
    staging = (
        f"{final}.part" if is_alone else tempfile.mkdtemp(prefix=f"{wanted.key}.", dir=os.path.dirname(final))
    )
    files = os.path.join(staging, "files")
    os.makedirs(staging, exist_ok=True)
    if os.path.isdir(final) and not os.path.isdir(files):
        os.rename(final, files)
    _room(staging, wanted)
    progress.total, progress.done = wanted.size_bytes, 0
    os.makedirs(files, exist_ok=True)
    transfer.bring(staging, wanted.files, sources, progress)
    _only(files, wanted)
    if os.path.isdir(final):
        shutil.rmtree(final)
    try:
        os.rename(files, final)
    except OSError as error:
        if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
            raise  # else another process, without a lock between us, was first
    shutil.rmtree(staging, ignore_errors=True)


def _only(files: str, wanted: Wanted) -> None:
    """Remove what an earlier state of the folder had besides."""
    known = {one.path for one in wanted.files}
    for folder, _, names in os.walk(files):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.relpath(path, files) not in known:
                os.unlink(path)


def _room(folder: str, wanted: Wanted) -> None:
    """Raise FetchError where there is plainly no room, before anything is fetched."""
    state = os.statvfs(folder)
    free = state.f_bavail * state.f_frsize
    had = sum(
        entry.stat().st_blocks * 512
        for path, _, __ in os.walk(folder)
        for entry in os.scandir(path)
        if entry.is_file(follow_symlinks=False)
    )
    if state.f_blocks and free + had < wanted.size_bytes:
        needed = in_words(wanted.size_bytes)
        what = f"{folder}: there is room for {in_words(free)}, and {wanted.name} has {needed}"
        raise FetchError(what, transfer.ROOM, final=True)


@contextlib.contextmanager
def _lock(path: str, waiting: Callable[[], None]) -> Iterator[bool]:
    """Hold a lock between processes; gives False on a file system that has none."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    try:
        is_first = True
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if is_first:
                    waiting()
                is_first = False
                time.sleep(_TURN_S)
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise
                yield False
                return
            else:
                yield True
                return
    finally:
        os.close(descriptor)


def in_words(count: int) -> str:
    """Print bytes for people."""
    return f"{count / 1e6:.1f} MB"
