"""Two images that should be the same go in; where they differ, down to the file, comes out."""

from __future__ import annotations

import hashlib
import json
import tarfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lading.core.bill import Bill
from lading.core.descriptor import LAYER_GZIP
from lading.core.digest import CHUNK_BYTES
from lading.core.errors import Issue
from lading.core.image import Image, Layer
from lading.core.ports import BlobSource
from lading.layers import tar
from lading.layers.compress import VERSION

_MOST = 5
_LONGEST = 60
_FOLLOWING = ("layers", "rootfs.diff_ids", "history", "config.digest", "config.size")
"""What follows from layers that differ, and says no more than they do."""


@dataclass(frozen=True, slots=True)
class Side:
    """An image, its bill, and where its blobs are."""

    image: Image
    bill: Bill
    blobs: BlobSource


def differences(expected: Side, got: Side) -> Iterator[Issue]:
    """Name each layer that differs and the files in it, then what differs in bill, config and manifest.

    Law: nothing is named where the two have the same digest, and something where they have not.
    """
    wanted, found = _named(expected.image.layers), _named(got.image.layers)
    for name in dict.fromkeys((*wanted, *found)):
        one, other = wanted.get(name), found.get(name)
        if one is None or other is None:
            where = "in what was made again" if one else "in the package"
            yield Issue(f"layer {name!r}", f"is not {where}")
        elif one.descriptor != other.descriptor:
            yield Issue(f"layer {name!r}", _apart(one, expected.blobs, other, got.blobs))
    if wanted.keys() == found.keys() and list(wanted) != list(found):
        yield Issue("layers", "come in another order")
    pairs = {
        "bill": (expected.bill.to_json(), got.bill.to_json()),
        "config": (json.loads(expected.image.config), json.loads(got.image.config)),
        "manifest": (json.loads(expected.image.manifest), json.loads(got.image.manifest)),
    }
    for title, pair in pairs.items():
        places = [one for one in _places(*pair, "") if not one.startswith(_FOLLOWING)]
        if places:
            yield Issue(title, _shortened(places))


def _named(layers: Sequence[Layer]) -> dict[str, Layer]:
    """Name layers by their titles; of several with one title, each by its place among them too."""
    seen: Counter[str] = Counter()
    named = {}
    for layer in layers:
        seen[layer.title] += 1
        named[layer.title if seen[layer.title] == 1 else f"{layer.title} ({seen[layer.title]})"] = layer
    return named


def _apart(one: Layer, source: BlobSource, other: Layer, made: BlobSource) -> str:
    """Tell how two layers differ: in their bytes, or in what their descriptors say of the same bytes."""
    old, new = one.descriptor, other.descriptor
    if old.digest == new.digest:
        told = _shortened(list(_places(old.to_json(), new.to_json(), "")))
        return f"the same bytes, described otherwise: {told}"
    details = _shortened(list(_inside(one, source, other, made)))
    return f"got {new.digest}, expected {old.digest}: {details}"


def _inside(one: Layer, source: BlobSource, other: Layer, made: BlobSource) -> Iterator[str]:
    """Tell which files of two layers differ, and how."""
    if one.diff_id == other.diff_id:
        yield f"the same files, compressed otherwise; here zlib-ng {VERSION} does it"
        return
    try:
        expected, got = _entries(one, source), _entries(other, made)
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        yield f"its files cannot be read: {error}"
        return
    for path in sorted({*expected, *got}):
        was, now = expected.get(path), got.get(path)
        if was == now:
            continue
        if was is None or now is None:
            yield f"{path} is {'missing' if now is None else 'new'}"
        else:
            kinds = [kind for kind in was if was[kind] != now[kind]]
            yield f"{path} has another {' and '.join(kinds)}"
    if list(expected) != list(got) and expected.keys() == got.keys():
        yield "its files come in another order"


def _entries(layer: Layer, source: BlobSource) -> dict[str, dict[str, Any]]:
    """Read what a layer's tar says of each path."""
    if layer.descriptor.media_type != LAYER_GZIP:
        raise tarfile.ReadError(f"it is of type {layer.descriptor.media_type}")
    found = {}
    with source.open(layer.descriptor.digest) as blob, tar.opened(blob) as archive:
        for member in archive:
            state = hashlib.sha256()
            stream = archive.extractfile(member) if member.isreg() else None
            while stream and (chunk := stream.read(CHUNK_BYTES)):
                state.update(chunk)
            found[member.name] = {
                "kind": member.type,
                "contents": state.digest(),
                "mode": member.mode,
                "time": member.mtime,
                "target": member.linkname,
                "owner": (member.uid, member.gid, member.uname, member.gname),
                "header": member.pax_headers,
            }
    return found


def _places(old: Any, new: Any, at: str) -> Iterator[str]:  # noqa: ANN401 - any JSON values
    """List the places at which two JSON values differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            yield from _places(old.get(key), new.get(key), f"{at}.{key}" if at else key)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, pair in enumerate(zip(old, new, strict=True)):
            yield from _places(*pair, f"{at}[{index}]")
    elif old != new:
        yield f"{at}: got {new!r:.{_LONGEST}}, expected {old!r:.{_LONGEST}}"


def _shortened(lines: Sequence[str]) -> str:
    more = f"; and {len(lines) - _MOST} more" if len(lines) > _MOST else ""
    return "; ".join(lines[:_MOST]) + more
