"""A suite and an architecture in; the Debian packages that make the smallest base for Python, pinned, out.

Debian's signature vouches for all of it: its keys for InRelease, InRelease for indexes, indexes for packages.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from lading.core.errors import Issue, LockError, RegistryError
from lading.core.lock import Interpreter, LockedBase, LockedDeb
from lading.core.ports import Fetch
from lading.lock import debian_archive
from lading.lock.debian_mirror import Mirror, find_mirror
from lading.lock.debian_packages import closure
from lading.lock.interpreter import SUITES

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
    return debian_archive.choose(
        roots,
        suite,
        architecture,
        lambda packages: closure(packages, roots, unneeded=partial(is_unneeded, roots)),
        fetch=fetch,
        mirror=mirror,
        cache=cache,
    )


def interpreter(base: LockedBase) -> Interpreter:
    """Return the Python of a base, its version read from the package's (`3.11.2-6+deb12u9` is 3.11.2)."""
    for deb in base.packages:
        version = _UPSTREAM.match(deb.version)
        if _MINIMAL.match(deb.name) and version:
            return Interpreter(f"/usr/bin/{deb.name.removesuffix('-minimal')}", version[0])
    raise LockError(Issue(base.reference, "the base has no Python", "lock again"))


def toolchain(base: LockedBase, python: Interpreter) -> tuple[str, ...]:
    """Name the packages for building C and C++ extensions in a base; other Pythons have their headers."""
    is_own = base.suite in SUITES and SUITES[base.suite].python == python.minor and not python.archive
    if base.image:
        is_own = python.path == f"/usr/bin/python{python.minor}"
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
        "if a newer version has replaced it there, lock again; if the suite has been archived, "
        f"name a mirror of the archive in {mirror.distribution.variable}"
    )
    where = f"{mirror.distribution.title} package {deb.name!r}"
    raise RegistryError(failures[0], Issue(where, what, fix))


def is_unneeded(asked: Sequence[str], owner: str, name: str) -> bool:
    """Tell whether a relation need not be followed; a package asked for by name always comes."""
    return name not in asked and (name in _FOR_SCRIPTS or name in _UNNEEDED.get(owner, ()))
