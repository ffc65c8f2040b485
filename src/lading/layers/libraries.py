"""Added packages in; the dynamic linker's cache with their libraries out, where one is needed.

The linker looks into the usual folders without a cache. It needs one for folders that a package names in
`/etc/ld.so.conf.d`; and a cache that a base has tells programs (`ctypes.util.find_library`) what is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from lading.layers import deb, linker

CACHE = "etc/ld.so.cache"
_CONFIGURATION = "etc/ld.so.conf.d"
_TRIPLETS = ("x86_64-linux-gnu", "aarch64-linux-gnu")
_USUAL = {place for one in ("lib", "usr/lib") for place in (one, *(f"{one}/{two}" for two in _TRIPLETS))}


def cache(debs: Sequence[Path], *, merged: bool = True, old: bytes = b"") -> bytes | None:
    """Return the cache with the libraries of packages; None where nothing of it is needed.

    `old` is the base's: what it says stays, and comes first.
    """
    configuring = [path for path in debs if deb.configures(path, f"/{_CONFIGURATION}")]
    folders = {one for path in configuring for one in _configured(path, merged=merged)} - _USUAL
    known = linker.parse(old)
    if known:
        folders |= _USUAL | {one.path.rpartition("/")[0].lstrip("/") for one in known}
    if not folders:
        return None
    found = linker.entries(one for path in debs for one in _libraries(path, folders, merged=merged))
    return linker.merge(known, found) if found else None


def _configured(path: Path, *, merged: bool) -> Iterator[str]:
    """Yield the folders that a package names (ldconfig(8)), as they lie on the system."""
    for name, data in deb.read(path, _CONFIGURATION, merged=merged).items():
        if name.endswith(".conf"):
            for line in data.decode("utf-8", "replace").splitlines():
                folder = line.partition("#")[0].strip()
                if folder.startswith("/"):
                    yield deb.place(folder.rstrip("/"), merged=merged)


def _libraries(path: Path, folders: set[str], *, merged: bool) -> Iterator[tuple[str, bytes]]:
    def is_library(name: str) -> bool:
        folder, _, own = name.rpartition("/")
        return folder in folders and (own.endswith(".so") or ".so." in own)

    return deb.files(path, is_library, merged=merged)
