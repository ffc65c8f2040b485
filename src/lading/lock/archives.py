"""A Python version and a place to run → the archive of it that uv would install, pinned.

The archives are those of python-build-standalone, from where uv is configured to have them:
`UV_PYTHON_INSTALL_MIRROR` (an URL or, with `file://`, a folder) and `UV_PYTHON_DOWNLOADS_JSON_URL` count.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from lading.core.digest import Digest
from lading.core.errors import Issue, LockError, RegistryError
from lading.core.lock import Interpreter, LockedArchive
from lading.core.platform import Libc, Platform
from lading.core.ports import Event, Events, Fetch, ignore
from lading.core.spec import Indexes
from lading.lock.interpreter import ways
from lading.lock.python import MACHINES, Uv, last_lines
from lading.lock.wheels import local_path

FOLDER = "/opt/lading/python"
_LIBCS = {"glibc": "gnu", "musl": "musl"}
_OLDEST = {"glibc": Libc("glibc", 2, 17), "musl": Libc("musl", 1, 2)}
"""What python-build-standalone is built for."""
_SUMS_BYTES_MAX = 4 << 20
_ARCHIVE_BYTES_MAX = 512 << 20
_MOST_TRIES = 4
_ABSENT = re.compile(r"\b40[34]\b")
_VERSION = re.compile(r"cpython-(\d+\.\d+\.\d+)[+-]")
_MIRRORED = re.compile(r"cpython-[\w.+-]+\.tar\.gz\Z|SHA256SUMS\Z")
_ARCHIVE = re.compile(r"[\w.+-]+\.tar\.gz\Z")
_FIX = (
    "name a place that has it in UV_PYTHON_INSTALL_MIRROR (a folder as file:///path), or take a base or "
    "a Python of: "
)


def find(
    minors: Sequence[str],
    platform: Platform,
    libc: Libc,
    *,
    fetch: Fetch,
    environ: Mapping[str, str],
    events: Events = ignore,
) -> Interpreter:
    """Pin the first of some Pythons (`3.9`) that can be had, its newest release, and say where it will lie.

    The digest is that of the release's SHA256SUMS; where there is none, that of the archive as it is now, and
    this is told. Raises LockError where none can be had.
    """
    place = f"Python {' or '.join(minors)} for {platform}, {libc}"
    if libc < _OLDEST[libc.name]:
        what = f"{place}: uv's need {_OLDEST[libc.name]} or newer"
        raise LockError(Issue("python", what, f"take another base, or a Python of: {ways()}"))
    fetch = MirroredFetch(fetch, environ)
    failures: list[Issue] = []
    for found in (one for minor in minors for one in _listed(minor, platform, libc, environ)):
        try:
            archive = _pinned(found, fetch, events)
        except RegistryError as error:
            failures += error.issues
            # a mirror may have another patch release; one that does not answer has none
            if not _ABSENT.search(str(error)) or len(failures) >= _MOST_TRIES:
                break
            continue
        minor = archive.version.rpartition(".")[0]
        return Interpreter(f"{FOLDER}/{minor}/bin/python{minor}", archive.version, archive)
    what = f"{place}: the base has none, and uv's cannot be had"
    if not failures:
        what = f"{place}: the base has none, and uv knows none"
    raise LockError(Issue("python", what, _FIX + ways()), *failures[:1])


@dataclass(frozen=True, slots=True)
class MirroredFetch:
    """The `Fetch` port, with uv's Pythons from this machine's mirror, wherever they were locked from."""

    fetch: Fetch
    environ: Mapping[str, str]

    def file(self, url: str, digest: Digest, size_bytes: int | None = None) -> Path:
        """Return a local file with these contents."""
        return self.fetch.file(self._place(url), digest, size_bytes)

    def text(self, url: str, limit_bytes: int = 64 << 20) -> bytes:
        """Return a document whose digest is not known yet."""
        return self.fetch.text(self._place(url), limit_bytes)

    def size_bytes(self, url: str) -> int | None:
        """Ask how long a file is."""
        return self.fetch.size_bytes(self._place(url))

    def _place(self, url: str) -> str:
        mirror, name = self.environ.get("UV_PYTHON_INSTALL_MIRROR", ""), _name(url)
        if not mirror or not _MIRRORED.match(name):
            return url
        if folder := local_path(mirror):
            return next((path.as_uri() for path in folder.rglob(name)), url)
        release, quoted = url.rsplit("/", 2)[1:]
        return f"{mirror.rstrip('/')}/{release}/{quoted}"


def _plain(url: str) -> str:
    """Return a URL without credentials: those of the mirror are put in again when it is asked."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _name(url: str) -> str:
    return unquote(urlsplit(url).path.rpartition("/")[2])


def _listed(
    minor: str, platform: Platform, libc: Libc, environ: Mapping[str, str]
) -> Iterator[LockedArchive]:
    """List what uv would download, the newest first; where the mirror is a folder, what lies in it."""
    # the metadata is in uv itself: nothing is asked of the network, and nothing is installed
    uv = Uv.configured(Indexes(), environ, no_index=True, offline=False)
    uv = replace(uv, environ={**uv.environ, "UV_PYTHON_DOWNLOADS": "manual"})
    arguments = ["python", "list", f"cpython@{minor}", "--only-downloads", "--all-versions"]
    arguments += ["--all-platforms", "--all-arches", "--output-format", "json"]
    with tempfile.TemporaryDirectory(prefix="lading-lock-") as name:
        done = uv.run(arguments, Path(name))
    if done.returncode:
        raise LockError(Issue("python", f"uv cannot list Pythons: {last_lines(done.stderr)}"))
    wanted = {"os": "linux", "arch": MACHINES[platform.architecture], "libc": _LIBCS[libc.name]}
    for row in json.loads(done.stdout):
        told = {key: row.get(key) for key in wanted}
        if told != wanted or row.get("variant") != "default" or row.get("implementation") != "cpython":
            continue
        url = str(row["url"])
        if path := local_path(url):
            # the mirror's folder, below which a release has one of its own
            yield from _in_folder(path.parent.parent, f"cpython-{minor}.*", path.name)
            return
        filename = _name(url)
        if _ARCHIVE.match(filename):
            yield LockedArchive("cpython", str(row["version"]), filename, _plain(url), Digest.of(b""), 0)


def _in_folder(folder: Path, beginning: str, like: str) -> Iterator[LockedArchive]:
    """List the archives of a folder that are for the same machine as one, the newest first."""
    machine = like.partition("+")[2].partition("-")[2].partition("-install_only")[0]
    paths = folder.rglob(f"{beginning}-{machine}-install_only*.tar.gz")
    named = ((_VERSION.match(path.name), path) for path in paths)
    found = [(tuple(map(int, match[1].split("."))), path) for match, path in named if match]
    for numbers, path in sorted(found, reverse=True):
        version = ".".join(map(str, numbers))
        yield LockedArchive("cpython", version, path.name, path.as_uri(), Digest.of(b""), 0)


def _pinned(archive: LockedArchive, fetch: Fetch, events: Events) -> LockedArchive:
    """Find digest and length of an archive; RegistryError where it cannot be had."""
    size_bytes = fetch.size_bytes(archive.url)
    digest = _published(archive, fetch)
    if digest is None:
        return _seen(archive, fetch, events)
    if size_bytes is None:
        size_bytes = fetch.file(archive.url, digest).stat().st_size
    return replace(archive, digest=digest, size_bytes=size_bytes)


def _published(archive: LockedArchive, fetch: Fetch) -> Digest | None:
    """Read the digest that the release publishes beside its archives."""
    folder = archive.url.rpartition("/")[0]
    try:
        text = fetch.text(f"{folder}/SHA256SUMS", _SUMS_BYTES_MAX).decode("utf-8", "replace")
    except RegistryError:
        return None
    for line in text.splitlines():
        sha256, _, name = line.partition(" ")
        if name.strip().removeprefix("*") == archive.filename:
            return Digest.parse(f"sha256:{sha256.lower()}")
    return None


def _seen(archive: LockedArchive, fetch: Fetch, events: Events) -> LockedArchive:
    """Pin an archive as it is now: nobody but its place vouches for it."""
    data = fetch.text(archive.url, _ARCHIVE_BYTES_MAX)
    if local_path(archive.url) is None:
        what = f"{archive.filename} has no SHA256SUMS beside it: it is pinned as it is served now"
        events(Event("lock", "warning", what))
    return replace(archive, digest=Digest.of(data), size_bytes=len(data))
