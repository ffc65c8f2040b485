"""A pylock.toml (PEP 751) and a target → exactly one wheel per package, with its size."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urlsplit

from lading.core.digest import Digest
from lading.core.errors import IntegrityError, Issue, LockError, RegistryError
from lading.core.lock import LockedWheel
from lading.core.ports import Event, Events, Fetch
from lading.lock import credentials, toml
from lading.lock.python import Target

if TYPE_CHECKING:
    from packaging.pylock import Package, PackageArchive, PackageWheel, Pylock
    from packaging.tags import Tag

_CONNECTIONS = 16
_LEGACY = {(2, 17): "manylinux2014", (2, 12): "manylinux2010", (2, 5): "manylinux1"}
_OLDEST_GLIBC = {"x86_64": 5, "aarch64": 17}


class Found(NamedTuple):
    """A wheel whose size may not be known yet."""

    name: str
    version: str
    filename: str
    url: str
    digest: Digest
    size_bytes: int | None


def select(text: str, target: Target, where: str, folder: Path) -> list[Found]:
    """Choose one wheel per package of a pylock.toml for a target, sorted by name.

    `folder` is what the file's relative paths are relative to. Raises LockError with every package that has
    no wheel for the target, or whose entry has no sha256 or carries credentials.
    """
    from packaging.pylock import PylockSelectError

    document = _pylock(text, where)
    issues: list[Issue] = []
    found: list[Found] = []
    try:
        for package, artefact in document.select(environment=marker_environment(target), tags=tags(target)):
            try:
                found.append(_found(package, artefact, target, folder))
            except (LockError, IntegrityError) as error:
                issues += error.issues
    except PylockSelectError as error:
        issues.append(Issue(where, f"{error} ({target})"))
    if issues:
        raise LockError(*issues)
    return sorted(found)


def select_file(path: Path, target: Target) -> list[Found]:
    """Choose one wheel per package of a pylock.toml on disk; its relative paths start at its own folder."""
    return select(path.read_text(encoding="utf-8"), target, path.name, path.parent.absolute())


def not_among(found: Iterable[Found], requirement: str, who: str, target: Target) -> Iterator[Issue]:
    """Tell what of a requirement is not met by wheels that are locked already."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    wanted = Requirement(requirement)
    if wanted.marker and not wanted.marker.evaluate({**marker_environment(target), "extra": ""}):
        return
    locked = {wheel.name: wheel.version for wheel in found}
    version = locked.get(canonicalize_name(wanted.name))
    if version is None or not wanted.specifier.contains(version, prereleases=True):
        has = f"has {wanted.name} {version}" if version else f"has no {wanted.name!r}"
        fix = "lock the pylock.toml again with this requirement, or remove one of the two"
        yield Issue(who, f"asks for {requirement!r}, and the pylock.toml {has}", fix)


def check_hashes(found: Iterable[Found], allowed: Mapping[str, frozenset[str]], target: Target) -> None:
    """Raise LockError for wheels whose sha256 is not among those that the requirements file gives."""
    issues = [
        Issue(
            f"requirement {wheel.name!r}",
            f"{wheel.filename} has a sha256 that the requirements file does not list ({target})",
            f"add --hash=sha256:{wheel.digest.hex} if you trust it",
        )
        for wheel in found
        if wheel.name in allowed and wheel.digest.hex not in allowed[wheel.name]
    ]
    if issues:
        raise LockError(*issues)


class Tally:
    """Counts the wheels of all environments, which are measured side by side, as one progress."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self._guard = threading.Lock()
        self._done = self._total = 0

    def expect(self, count: int) -> None:
        """Add wheels that are to be measured."""
        with self._guard:
            self._total += count

    def tick(self, name: str) -> None:
        """Tell that one more is measured; one event at a time, whichever thread it comes from."""
        with self._guard:
            self._done += 1
            self._events(Event("lock", "progress", name, self._done, self._total, "packages"))


def measure(found: list[Found], fetch: Fetch, tally: Tally) -> tuple[LockedWheel, ...]:
    """Ask for the sizes that are not known, many at a time; download where a server does not tell."""
    from concurrent.futures import ThreadPoolExecutor

    tally.expect(len(found))
    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        sizes = pool.map(lambda wheel: _size_bytes(wheel, fetch), found)
        locked = []
        for wheel, size_bytes in zip(found, sizes, strict=True):
            tally.tick(wheel.name)
            locked.append(LockedWheel(*wheel[:5], size_bytes))
    return tuple(locked)


def tags(target: Target) -> list[Tag]:
    """List the wheel tags that a target runs, the best first (PEP 425, PEP 600)."""
    from packaging.tags import compatible_tags, cpython_tags

    major, minor = map(int, target.minor.split("."))
    platforms = list(_platforms(target))
    return [
        *cpython_tags((major, minor), platforms=platforms),
        *compatible_tags((major, minor), f"cp{major}{minor}", platforms),
    ]


def local_path(url: str) -> Path | None:
    """Return the path of a `file://` URL, None for any other."""
    parts = urlsplit(url)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def _platforms(target: Target) -> Iterator[str]:
    machine = target.machine
    if target.libc.name == "musl":
        for minor in range(target.libc.minor, -1, -1):
            yield f"musllinux_1_{minor}_{machine}"
        yield f"linux_{machine}"
        return
    for minor in range(target.libc.minor, _OLDEST_GLIBC[machine] - 1, -1):
        yield f"manylinux_2_{minor}_{machine}"
        if legacy := _LEGACY.get((2, minor)):
            yield f"{legacy}_{machine}"
    yield f"linux_{machine}"


def marker_environment(target: Target) -> Any:  # noqa: ANN401 - a TypedDict of packaging, imported where it is used
    """Return the marker variables of a target (PEP 508)."""
    return {
        "implementation_name": "cpython",
        "implementation_version": target.python,
        "os_name": "posix",
        "platform_machine": target.machine,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": target.python,
        "python_version": target.minor,
        "sys_platform": "linux",
    }


def _pylock(text: str, where: str) -> Pylock:
    from packaging.pylock import Pylock, PylockValidationError

    try:
        return Pylock.from_dict(toml.parse(text.encode(), where))
    except PylockValidationError as error:
        raise LockError(Issue(where, f"not a pylock.toml: {error}")) from error


def _found(package: Package, artefact: object, target: Target, folder: Path) -> Found:
    from packaging.pylock import PackageArchive, PackageWheel

    where = f"package {package.name!r}"
    if not isinstance(artefact, (PackageWheel, PackageArchive)):
        kind = type(artefact).__name__.removeprefix("Package").lower()
        fix = "give a wheel by 'find_links', or choose a version that has one"
        raise LockError(Issue(where, f"locked as {kind}, without a wheel for {target}", fix))
    url = credentials.clean(_url(artefact, folder), where)
    filename = unquote(url.rpartition("/")[2])
    version = _version(filename, package, where)
    sha256 = artefact.hashes.get("sha256")
    if not sha256:
        raise LockError(Issue(where, f"its index gives no sha256 for {filename}"))
    return Found(package.name, version, filename, url, Digest.parse(f"sha256:{sha256}"), artefact.size)


def _url(artefact: PackageWheel | PackageArchive, folder: Path) -> str:
    if artefact.url:
        return artefact.url
    path = Path(artefact.path or "")
    return Path(os.path.normpath(folder / path)).as_uri()


def _version(filename: str, package: Package, where: str) -> str:
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    try:
        name, version, _, _ = parse_wheel_filename(filename)
    except InvalidWheelFilename as error:
        raise LockError(Issue(where, f"got {filename!r}, expected a wheel", "give a wheel of it")) from error
    if name != package.name or (package.version is not None and version != package.version):
        what = f"got {filename!r}, expected a wheel of {package.name} {package.version or ''}".rstrip()
        raise LockError(Issue(where, what))
    return str(package.version or version)


def _size_bytes(wheel: Found, fetch: Fetch) -> int:
    path = local_path(wheel.url)
    if path is not None:
        try:
            return path.stat().st_size
        except OSError as error:
            raise LockError(Issue(f"package {wheel.name!r}", f"there is no file {str(path)!r}")) from error
    if wheel.size_bytes is not None:
        return wheel.size_bytes
    try:
        known = fetch.size_bytes(wheel.url)
    except RegistryError:
        # a server that does not answer HEAD may still hand out the file, and so may the cache when offline
        known = None
    return fetch.file(wheel.url, wheel.digest).stat().st_size if known is None else known
