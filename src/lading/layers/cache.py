"""What a layer was made from, in; the layer, if its blob is still there, out.

One JSON file per layer, replaced atomically: several processes may share the folder, and a killed one leaves
nothing that is believed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from lading.core import canonical
from lading.core.descriptor import Descriptor
from lading.core.digest import Digest
from lading.core.errors import IntegrityError
from lading.core.image import Kind, Layer
from lading.core.ports import BlobSource
from lading.layers.compress import VERSION, Compression

FORMAT = 1
"""Raise it whenever the same inputs begin to give another tar."""


def key(made_from: Mapping[str, Any], compression: Compression) -> str:
    """Name a layer by what it is made from (JSON values), the format of our tars and the compressor."""
    document = {"made_from": dict(made_from), "format": FORMAT, "compression": [compression, VERSION]}
    return Digest.of(canonical.encode(document)).hex


@dataclass(frozen=True, slots=True)
class FolderCache:
    """A LayerCache in a folder; a layer whose blob has left the source is forgotten."""

    folder: Path
    source: BlobSource

    def get(self, key: str) -> Layer | None:
        """Return the layer made from this key, None where it or its blob is gone or unreadable."""
        layer = _read(self._path(key))
        if layer and self.source.size_bytes(layer.descriptor.digest) == layer.descriptor.size_bytes:
            return layer
        return None

    def put(self, key: str, layer: Layer) -> None:
        """Remember a layer whose blob is in the source."""
        document = {
            "descriptor": layer.descriptor.to_json(),
            "diff_id": str(layer.diff_id),
            "kind": layer.kind,
            "title": layer.title,
        }
        remember(self._path(key), canonical.encode(document))

    def recall(self, key: str) -> Any:  # noqa: ANN401 (any JSON value)
        """Return the JSON value noted under this key, None where there is none that can be read."""
        path = self._path(key)
        try:
            return canonical.decode(path.read_bytes(), path.name)
        except (OSError, IntegrityError):
            return None

    def note(self, key: str, value: Any) -> None:  # noqa: ANN401 (any JSON value)
        """Keep a JSON value that was worked out and can be worked out again."""
        remember(self._path(key), canonical.encode(value))

    def layers(self) -> Iterator[Layer]:
        """List every layer that is remembered, whether its blob is there still or not; none is asked for."""
        return (layer for _, layer in self.entries())

    def entries(self) -> Iterator[tuple[Path, Layer]]:
        """List the file of each layer that is remembered, with what it says."""
        for path in sorted(self.folder.glob("??/*.json")):
            if layer := _read(path):
                yield path, layer

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json"


def remember(path: Path, data: bytes) -> None:
    """Write a small file so that a reader sees all of it or the one before; no error where that fails.

    What is remembered can be found out again: a full disk or a folder of somebody else's costs time alone.
    """
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(data)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def _read(path: Path) -> Layer | None:
    try:
        return _layer(canonical.decode(path.read_bytes(), path.name))
    except (OSError, IntegrityError):
        return None


def _layer(document: Any) -> Layer | None:  # noqa: ANN401 (any JSON value)
    match document:
        case {"descriptor": descriptor, "diff_id": str(diff_id), "kind": str(kind), "title": str(title)}:
            if kind in get_args(Kind):
                return Layer(Descriptor.from_json(descriptor), Digest.parse(diff_id), kind, title)  # type: ignore[arg-type] # checked above
    return None
