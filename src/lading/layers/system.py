"""System packages that are added to an image in; the one layer that ties them to it, out.

It holds what dpkg and maintainer scripts would have made: the record of what is installed, the lists of
files, the bundle of CA certificates, the links of alternatives, Graphviz's list of plugins, the dynamic
linker's cache.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from pathlib import Path

from lading.core.bases import Distribution
from lading.layers import alternatives, graphviz, libraries
from lading.layers.deb import control, paths, place, sums
from lading.layers.root import BUNDLE, bundle, field, installed
from lading.layers.tar import LayerWriter

VERSION = 3
"""Of what the layer holds: part of its key, raised when it comes out otherwise."""
_STATUS = "var/lib/dpkg/status"


def write(debs: Iterable[Path], base: Distribution, writer: LayerWriter) -> None:
    """Write the layer, in which files of the base are replaced by longer ones; the order does not matter."""
    found = {field(stanza, "Package"): (stanza, deb) for deb in debs for stanza in (control(deb),)}
    files: dict[str, bytes] = {}
    for name, (stanza, deb) in sorted(found.items()):
        if base.has_dpkg:
            there = paths(deb, merged=base.is_merged)
            files[f"var/lib/dpkg/info/{_list_name(stanza)}.list"] = _list(there)
            files[f"var/lib/dpkg/info/{_list_name(stanza)}.md5sums"] = _sums(
                deb, there, merged=base.is_merged
            )
        else:  # as distroless images have it
            files[f"{_STATUS}.d/{name}"] = stanza.encode()
    if base.has_dpkg:
        parts = [
            base.status.strip("\n") + "\n",
            *(installed(stanza) for _, (stanza, _) in sorted(found.items())),
        ]
        files[_STATUS] = "\n".join(parts).encode()
    if "ca-certificates" in found:
        files[BUNDLE] = bundle(found["ca-certificates"][1])
    brought = [deb for _, (_, deb) in sorted(found.items())]
    files |= graphviz.config(brought, found.keys(), merged=base.is_merged)
    if cache := libraries.cache(brought, merged=base.is_merged, old=base64.b64decode(base.linker_cache)):
        files[libraries.CACHE] = cache
    for path, data in sorted(files.items()):
        writer.file(path, data)
    links = alternatives.links(brought, merged=base.is_merged, taken=base.alternatives)
    for path, target in sorted(links.items()):
        writer.symlink(path, target)


def _list_name(stanza: str) -> str:
    """Return how dpkg names a package's files: with the architecture where several may be installed."""
    name = field(stanza, "Package")
    is_same = "\nMulti-Arch: same\n" in f"\n{stanza}\n"
    return f"{name}:{field(stanza, 'Architecture')}" if is_same else name


def _sums(deb: Path, there: Sequence[str], *, merged: bool) -> bytes:
    """Leave out of a package's own list what is left out of the image."""
    rows = sums(deb).splitlines(keepends=True)
    known = set(there)
    return "".join(
        row for row in rows if place(row.partition("  ")[2].strip(), merged=merged) in known
    ).encode()


def _list(there: Sequence[str]) -> bytes:
    found = {f"/{path}" for path in there}
    folders = {parent for path in found for parent in _parents(path)}
    return "".join(f"{path}\n" for path in ("/.", *sorted(found | folders))).encode()


def _parents(path: str) -> Iterable[str]:
    parts = path.split("/")[1:-1]
    return ["/" + "/".join(parts[: number + 1]) for number in range(len(parts))]
