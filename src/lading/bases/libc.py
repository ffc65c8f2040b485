"""An image's files → its C library, whose version says which wheels run there (PEP 600, PEP 656)."""

from __future__ import annotations

import posixpath
import re

from lading.bases.root import Root
from lading.core.platform import Libc, Platform

_LOADERS = {
    "amd64": ("/lib64/ld-linux-x86-64.so.2", "/lib/ld-musl-x86_64.so.1", "x86_64-linux-gnu"),
    "arm64": ("/lib/ld-linux-aarch64.so.1", "/lib/ld-musl-aarch64.so.1", "aarch64-linux-gnu"),
}
_BANNER = re.compile(rb"GNU C Library \([^)\n]{0,200}\) [a-z ]{1,40} version (\d{1,3})\.(\d{1,3})")
_MUSL = re.compile(rb"\0(\d{1,3})\.(\d{1,3})\.\d{1,3}[^\0]{0,40}\0")
_APK = re.compile(r"^P:musl\n(?:[^\n]+\n)*?V:(\d{1,3})\.(\d{1,3})", re.MULTILINE)
_APK_RECORDS = ("/lib/apk/db/installed", "/usr/lib/apk/db/installed")


def find(root: Root, platform: Platform) -> Libc | None:
    """Return the C library, glibc where both are there; None where there is none."""
    glibc, musl, triplet = _LOADERS[platform.architecture]
    loader = root.file(glibc)
    if loader:
        usual = (f"/usr/lib/{triplet}", f"/lib/{triplet}", "/lib64", "/usr/lib64", "/lib", "/usr/lib")
        for folder in (posixpath.dirname(loader), *usual):
            if found := _BANNER.search(root.data(f"{folder}/libc.so.6")):
                return Libc("glibc", int(found[1]), int(found[2]))
    if root.file(musl) is None:
        return None
    for record in _APK_RECORDS:
        if known := _APK.search(root.text(record) or ""):
            return Libc("musl", int(known[1]), int(known[2]))
    found = _MUSL.search(root.data(musl))
    return Libc("musl", int(found[1]), int(found[2])) if found else None
