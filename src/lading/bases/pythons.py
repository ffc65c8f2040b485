"""An image's files → the Pythons in it that a package can be laid upon."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence

from lading.bases.elf import is_for
from lading.bases.root import Root
from lading.core.lock import Interpreter
from lading.core.platform import Platform

_USUAL = ("/usr/local/bin", "/usr/bin", "/bin", "/opt/conda/bin", "/opt/venv/bin")
_NAME = re.compile(r"python(?:3(?:\.\d{1,2})?)?\Z")
_REAL = re.compile(r"python3(?:\.(\d{1,2}))?\Z")
_LIBRARY = re.compile(r"python3\.(\d{1,2})\Z")
_OLDEST, _NEWEST = 8, 14
_RELEASE = rb"3\.%d\.\d{1,3}(?:(?:a|b|rc)\d{1,2})?"
_HEADER = re.compile(r'^#define\s+PY_VERSION\s+"(3\.\d+\.\d+[^"+]{0,8})\+?"', re.MULTILINE)


def find(root: Root, path: str, platform: Platform) -> tuple[Interpreter, ...]:
    """List the interpreters in an image, in the order in which a shell there would find them.

    `path` is the image's PATH. Each is named by the file that its links end at, and listed once.
    """
    found: dict[str, Interpreter] = {}
    for candidate in _candidates(root, path):
        real = root.file(candidate)
        if real and real not in found and (one := _interpreter(root, real, platform)):
            found[real] = one
    return tuple(found.values())


def _candidates(root: Root, path: str) -> Iterator[str]:
    opt = (f"/opt/{name}/bin" for name in root.names("/opt") if name != "lading")
    for folder in dict.fromkeys([*path.split(":"), *_USUAL, *opt]):
        if folder.startswith("/"):
            names = [name for name in root.names(folder) if _NAME.match(name)]
            for name in sorted(names, key=lambda one: (one != "python3", one != "python", one)):
                yield f"{folder.rstrip('/')}/{name}"


def _interpreter(root: Root, real: str, platform: Platform) -> Interpreter | None:
    """Read what an executable is; None where it is no Python that a package can use."""
    named = _REAL.match(posixpath.basename(real))
    prefix = posixpath.dirname(posixpath.dirname(real))
    if named is None or not root.is_for_all(real):
        return None
    stream = root.open(real)
    if stream is None:
        return None
    with stream:
        head = stream.read(64)
    if not is_for(head, platform):
        return None
    minors = [int(named[1])] if named[1] else _minors(root, prefix)
    for minor in minors:
        if _OLDEST <= minor <= _NEWEST and _has_library(root, prefix, minor):
            version = _version(root, real, prefix, minor, platform)
            return Interpreter(real, version) if version else None
    return None


def _minors(root: Root, prefix: str) -> list[int]:
    names = {name for folder in ("lib", "lib64") for name in root.names(f"{prefix}/{folder}")}
    return sorted((int(found[1]) for found in map(_LIBRARY.match, names) if found), reverse=True)


def _has_library(root: Root, prefix: str, minor: int) -> bool:
    return any(root.file(f"{prefix}/{folder}/python3.{minor}/os.py") for folder in ("lib", "lib64"))


def _version(root: Root, real: str, prefix: str, minor: int, platform: Platform) -> str | None:
    """Find the full version, in the order in which places can be relied on."""
    pattern = re.compile(rb"\0(" + _RELEASE % minor + rb")\+?\0")
    for place in (real, *_libraries(prefix, minor, platform)):
        if found := pattern.search(root.data(place)):
            return found[1].decode()
    header = root.text(f"{prefix}/include/python3.{minor}/patchlevel.h") or ""
    if (told := _HEADER.search(header)) and told[1].startswith(f"3.{minor}."):
        return told[1]
    return _recorded(root, prefix, minor)


def _libraries(prefix: str, minor: int, platform: Platform) -> Sequence[str]:
    machine = {"amd64": "x86_64", "arm64": "aarch64"}[platform.architecture]
    folders = (f"{prefix}/lib", f"{prefix}/lib64", f"{prefix}/lib/{machine}-linux-gnu")
    return [f"{folder}/libpython3.{minor}.so.1.0" for folder in folders]


def _recorded(root: Root, prefix: str, minor: int) -> str | None:
    """Ask the records of conda, apk and dpkg."""
    release = _RELEASE.decode() % minor
    for name in root.names(f"{prefix}/conda-meta"):
        if found := re.match(rf"python-({release})-", name):
            return found[1]
    records = [
        ("/lib/apk/db/installed", rf"^P:python3\n(?:[^\n]+\n)*?V:({release})"),
        ("/usr/lib/apk/db/installed", rf"^P:python3\n(?:[^\n]+\n)*?V:({release})"),
        ("/var/lib/dpkg/status", rf"^Package: python3\.{minor}-minimal\n(?:[^\n]+\n)*?Version: ({release})"),
    ]
    for place, pattern in records:
        if found := re.search(pattern, root.text(place) or "", re.MULTILINE):
            return found[1]
    return None
