"""A suite and an architecture in; the Debian packages that make the smallest base for Python, pinned, out.

Debian's signature vouches for all of it: its keys for InRelease, InRelease for indexes, indexes for packages.
"""

from __future__ import annotations

import json
import lzma
import os
import re
import threading
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

from lading.core.digest import Digest
from lading.core.errors import IntegrityError, Issue, LockError, RegistryError
from lading.core.lock import Interpreter, LockedBase, LockedDeb
from lading.core.ports import Fetch
from lading.lock.debian_mirror import MIRROR, SECURITY_MIRROR, Mirror, find_mirror
from lading.lock.debian_packages import Packages, closure
from lading.lock.debian_release import Release
from lading.lock.interpreter import SUITES

_RECIPE = 1  # part of the cache's key: raise it when the sets below change
_ROOTS = ("base-files", "ca-certificates", "libgomp1", "libstdc++6", "netbase", "tzdata", "zlib1g")
_ROOTS_OF = {
    "bullseye": ("python3-distutils", "python3-lib2to3"),
    "bookworm": ("python3-distutils", "python3-lib2to3"),
    "trixie": ("tzdata-legacy",),  # names such as US/Eastern, which the other suites have in tzdata
}
_FOR_SCRIPTS = frozenset({"adduser", "debconf", "dpkg", "init-system-helpers", "install-info", "ucf"})
"""Needed by maintainer scripts alone, which are never run."""
_UNNEEDED = {
    "base-files": {"awk"},  # its postinst
    "ca-certificates": {"openssl"},  # update-ca-certificates; the bundle is made with the root layer
    # the module `nis` alone (deprecated by PEP 594), at the price of Kerberos
    "libpython3.9-stdlib": {"libnsl2", "libtirpc3"},
    "libpython3.11-stdlib": {"libnsl2", "libtirpc3"},
    # the files of these two belong to any Python 3 of the suite; `python3` itself is a link and scripts
    "python3-distutils": {"python3"},
    "python3-lib2to3": {"python3"},
}
_TOOLCHAIN = ("coreutils", "dash", "g++", "gcc", "grep", "libc6-dev", "make", "pkg-config", "sed")
_MINIMAL = re.compile(r"python3\.\d+-minimal\Z")
_UPSTREAM = re.compile(r"\d+\.\d+\.\d+")


def resolve(
    suite: str,
    architecture: str,
    *,
    fetch: Fetch,
    mirror: Mirror | None = None,
    system_packages: Sequence[str] = (),
    cache: Path | None = None,
) -> LockedBase:
    """Pin the packages of a base: Python, TLS, time zones, libstdc++, libgomp and what else is asked for.

    `mirror` None is the one this machine is set up for; `cache` is a folder for answers, kept by the digests
    of the signed indexes. LockError for an unknown suite or package, or where no mirror is known;
    IntegrityError for indexes that are not what they should be; RegistryError for a mirror out of reach.
    """
    if suite not in SUITES:
        known = " or ".join(f"'debian:{one}'" for one in SUITES)
        raise LockError(Issue("base", f"got 'debian:{suite}', expected {known}"))
    roots = (*_python(suite), *_ROOTS, *_ROOTS_OF[suite], *sorted(set(system_packages)))
    debs = _closed(suite, architecture, roots, fetch=fetch, mirror=mirror or find_mirror(), cache=cache)
    return LockedBase(f"debian:{suite}", suite, debs, SUITES[suite].libc)


def add_python(
    base: LockedBase,
    minor: str,
    architecture: str,
    *,
    fetch: Fetch,
    mirror: Mirror | None = None,
    cache: Path | None = None,
) -> tuple[LockedBase, Interpreter] | None:
    """Add the Python (`3.9`) of an older release to a base of Debian packages; None where none has it.

    Debian names libraries by their version, so that those of two releases lie side by side; what the base has
    already is newer, and taken.
    """
    suites = (name for name, one in SUITES.items() if one.python == minor and one.libc <= base.libc)
    suite = None if base.image else next(suites, None)
    if suite is None:
        return None
    # of these two the files of each release have a folder of their own
    both = tuple(name for name in _ROOTS_OF[suite] if name.startswith("python3-"))
    roots = (*_python(suite), *both)
    debs = _closed(suite, architecture, roots, fetch=fetch, mirror=mirror or find_mirror(), cache=cache)
    had = {one.name for one in base.packages} - set(both)
    added = tuple(one for one in debs if one.name not in had)
    python = interpreter(replace(base, packages=added))
    return replace(base, packages=tuple(sorted((*base.packages, *added)))), python


def _python(suite: str) -> tuple[str, str]:
    minor = SUITES[suite].python
    return f"python{minor}-minimal", f"libpython{minor}-stdlib"


def _closed(
    suite: str,
    architecture: str,
    roots: tuple[str, ...],
    *,
    fetch: Fetch,
    mirror: Mirror,
    cache: Path | None,
) -> tuple[LockedDeb, ...]:
    """Pin packages of a suite, and all that they need."""
    places = [(mirror.main, suite), (mirror.main, f"{suite}-updates")]
    if mirror.security:
        places.append((mirror.security, f"{suite}-security"))
    with ThreadPoolExecutor(len(places)) as pool:
        releases = list(pool.map(lambda place: _release(place[0], place[1], mirror, fetch), places))
        question = [_RECIPE, suite, architecture, roots, [str(release.digest) for release in releases]]
        answer = cache / f"debian-{Digest.of(json.dumps(question).encode()).hex}.json" if cache else None
        debs = _recall(answer)
        if not debs:
            texts = pool.map(
                lambda place, release: _index(place[0], release, architecture, fetch), places, releases
            )
            debs = closure(Packages(texts), roots, unneeded=partial(_is_unneeded, roots))
            _remember(answer, debs)
    return debs


def interpreter(base: LockedBase) -> Interpreter:
    """Return the Python of a base, its version read from the package's (`3.11.2-6+deb12u9` is 3.11.2)."""
    for deb in base.packages:
        version = _UPSTREAM.match(deb.version)
        if _MINIMAL.match(deb.name) and version:
            return Interpreter(f"/usr/bin/{deb.name.removesuffix('-minimal')}", version[0])
    raise LockError(Issue(base.reference, "the base has no Python", "lock again"))


def toolchain(base: LockedBase, python: Interpreter) -> tuple[str, ...]:
    """Name the packages that a base lacks for building C and C++ extensions; uv's Pythons have headers."""
    is_own = base.suite in SUITES and SUITES[base.suite].python == python.minor and not python.archive
    return (*_TOOLCHAIN, *([f"libpython{python.minor}-dev"] if is_own else ()))


def download(deb: LockedDeb, *, fetch: Fetch, mirror: Mirror) -> Path:
    """Return a package's file, from whichever archive of the mirror still has it.

    RegistryError says to lock again where none has: archives drop packages when newer ones replace them.
    """
    failures: list[Issue] = []
    for url in mirror.urls(deb):
        try:
            return fetch.file(url, deb.digest, deb.size_bytes)
        except RegistryError as error:
            failures += error.issues
    what = f"version {deb.version} cannot be had from the mirror"
    fix = (
        "if a newer version has replaced it there, lock again; if Debian has archived the suite, "
        f"name a mirror of the archive in {MIRROR}"
    )
    raise RegistryError(failures[0], Issue(f"Debian package {deb.name!r}", what, fix))


def _is_unneeded(asked: Sequence[str], owner: str, name: str) -> bool:
    """Tell whether a relation need not be followed; a package asked for by name always comes."""
    return name not in asked and (name in _FOR_SCRIPTS or name in _UNNEEDED.get(owner, ()))


def _release(archive: str, suite: str, mirror: Mirror, fetch: Fetch) -> Release:
    url = f"{archive}/dists/{suite}/InRelease"
    try:
        signed = fetch.text(url, 16 << 20)
    except RegistryError as error:
        if not suite.endswith("-security"):
            raise
        fix = f"set {SECURITY_MIRROR} to its URI, or to 'none' to do without security updates"
        raise RegistryError(
            *error.issues, Issue(suite, "the security archive cannot be read", fix)
        ) from error
    release = Release.read(signed, suite, where=url, keyrings=mirror.keyrings)
    now = datetime.now(timezone.utc)
    if mirror.checks_valid_until and release.valid_until and release.valid_until < now:
        what = (
            f"the index was valid until {release.valid_until:%Y-%m-%d}: somebody may be holding back updates"
        )
        fix = (
            "take another mirror; for a snapshot set Acquire::Check-Valid-Until false in apt's configuration"
        )
        raise LockError(Issue(url, what, fix))
    return release


def _index(archive: str, release: Release, architecture: str, fetch: Fetch) -> bytes:
    """Fetch and uncompress the Packages file of `main`, by its hash where the mirror offers that."""
    folder = f"main/binary-{architecture}"
    packed = next((one for one in (".xz", ".gz") if f"{folder}/Packages{one}" in release.files), None)
    plain = release.files.get(f"{folder}/Packages")
    if packed is None or plain is None:
        raise LockError(Issue(release.suite, f"the mirror has no packages for {architecture!r}"))
    digest, size_bytes = release.files[f"{folder}/Packages{packed}"]
    url = f"{archive}/dists/{release.suite}/{folder}"
    try:
        name = f"by-hash/SHA256/{digest.hex}" if release.by_hash else f"Packages{packed}"
        path = fetch.file(f"{url}/{name}", digest, size_bytes)
    except RegistryError:
        if not release.by_hash:
            raise
        path = fetch.file(f"{url}/Packages{packed}", digest, size_bytes)
    return _uncompress(path, packed, plain[1], f"{url}/Packages{packed}")


def _uncompress(path: Path, suffix: str, size_bytes: int, where: str) -> bytes:
    """Uncompress a file to the length the signed index gives, and no further."""
    data = path.read_bytes()
    try:
        if suffix == ".xz":
            text = lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(data, size_bytes + 1)
        else:
            text = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(data, size_bytes + 1)
    except (lzma.LZMAError, zlib.error) as error:
        raise IntegrityError(Issue(where, f"cannot be uncompressed: {error}")) from error
    if len(text) != size_bytes:
        raise IntegrityError(Issue(where, f"does not uncompress to the {size_bytes} bytes the index names"))
    return text


def _recall(answer: Path | None) -> tuple[LockedDeb, ...]:
    """Read a kept answer; empty where there is none that can be read."""
    try:
        rows = json.loads(answer.read_bytes()) if answer else []
        return tuple(LockedDeb(**{**row, "digest": Digest.parse(row["digest"])}) for row in rows)
    except (OSError, ValueError, TypeError, KeyError, IntegrityError):
        return ()


def _remember(answer: Path | None, debs: tuple[LockedDeb, ...]) -> None:
    """Keep an answer; another process may be keeping the same."""
    if answer is None:
        return
    rows = [{**asdict(deb), "digest": str(deb.digest)} for deb in debs]
    answer.parent.mkdir(parents=True, exist_ok=True)
    part = answer.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
    part.write_text(json.dumps(rows), encoding="utf-8")
    part.replace(answer)
