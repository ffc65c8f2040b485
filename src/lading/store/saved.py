"""A folder or file that another tool wrote → one platform of the image in it, in a store.

OCI image layouts, the same in a tar, and what `docker save` writes (before Docker 25 it was no layout).
Nothing in it is believed: what a digest is known of is checked. The image of a layout is taken as it is; that
of an older docker-archive, which has no manifest, gets one that its files alone decide.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, NamedTuple

from lading.core import canonical
from lading.core.descriptor import CONFIG, LAYER_GZIP, LAYER_ZSTD, MANIFEST, Descriptor
from lading.core.digest import Digest
from lading.core.errors import IntegrityError, Issue, SpecError
from lading.core.platform import Platform
from lading.core.ports import Events, ignore
from lading.store import documents
from lading.store.copy import Sink, copy
from lading.store.files import Files, opened
from lading.store.index import REF_NAME
from lading.store.layout import INDEX_FILE, MARKER

_NAMES = (REF_NAME, "io.containerd.image.name")
_DOCKER_MANIFEST = "manifest.json"
_DOCUMENT_BYTES_MAX = 4 << 20
_IMAGES_MAX = 10_000
_HEX = re.compile(r"(?:.*/)?([0-9a-f]{64})(?:\.json)?\Z")
_MAGIC = {b"\x1f\x8b": LAYER_GZIP, b"\x28\xb5": LAYER_ZSTD}


class Compress(NamedTuple):
    """How layers that come as they are become blobs: a function of blocks of so many bytes."""

    block: Callable[[bytes], bytes]
    block_bytes: int


def take(
    path: Path,
    sink: Sink,
    platform: Platform,
    *,
    tag: str | None = None,
    compress: Compress,
    scratch: Path,
    events: Events = ignore,
) -> Descriptor:
    """Bring one platform of the image at a path into a store; return its manifest's descriptor.

    `tag` says which, where there are several; `scratch` is a folder for what a compressed archive inflates
    to. Equal files, equal descriptors. Raises SpecError where there is no such image or platform,
    IntegrityError where the files are broken.
    """
    with opened(path, scratch) as files:
        if files.size_bytes(MARKER) is not None and files.size_bytes(INDEX_FILE) is not None:
            root = _root(_layout_images(files), tag, files.where)
            return _take_layout(files, root, sink, platform, events)
        if files.size_bytes(_DOCKER_MANIFEST) is not None:
            return _take_saved(files, tag, sink, platform, compress)
    what = f"is no image: it holds neither {MARKER!r} with {INDEX_FILE!r} nor {_DOCKER_MANIFEST!r}"
    raise SpecError(Issue(str(path), what, "write one: docker save, or skopeo copy … oci-archive:base.tar"))


@dataclass(frozen=True, slots=True)
class _Blobs:
    """The blobs of a layout (core.ports.BlobSource)."""

    files: Files

    def size_bytes(self, digest: Digest) -> int | None:
        return self.files.size_bytes(f"blobs/{digest.algorithm}/{digest.hex}")

    def open(self, digest: Digest) -> AbstractContextManager[IO[bytes]]:
        if self.size_bytes(digest) is None:
            raise IntegrityError(Issue(self.files.where, f"the blob {digest} is not in it"))
        return self.files.open(f"blobs/{digest.algorithm}/{digest.hex}")


class _Image(NamedTuple):
    """An image and the names it has there."""

    names: tuple[str, ...]
    found: Any


def _document(files: Files, name: str) -> Any:  # noqa: ANN401 - any JSON value
    size_bytes = files.size_bytes(name)
    if size_bytes is None:
        raise IntegrityError(Issue(files.where, f"holds no file {name!r}"))
    if size_bytes > _DOCUMENT_BYTES_MAX:
        raise IntegrityError(Issue(f"{files.where}: {name}", f"got {size_bytes} bytes of JSON"))
    with files.open(name) as stream:
        return canonical.decode(stream.read(size_bytes), f"{files.where}: {name}")


def _layout_images(files: Files) -> list[_Image]:
    match _document(files, INDEX_FILE):
        case {"manifests": list(rows)}:
            found = [Descriptor.from_json(row) for row in rows if isinstance(row, dict)]
        case _:
            raise IntegrityError(Issue(f"{files.where}: {INDEX_FILE}", "is no index"))
    kept = [one for one in found if documents.is_manifest(one) or documents.is_index(one)]
    # what refers to an image lies beside it without a name
    images = [one for one in kept if one.artifact_type is None]
    return [_Image(tuple(filter(None, map(one.annotations.get, _NAMES))), one) for one in images]


def _root(images: Sequence[_Image], tag: str | None, where: str) -> Any:  # noqa: ANN401 - as it was given
    """Choose the image that a tag names, or the only one; SpecError, with those there are, otherwise."""
    if tag is None:
        named = [one for one in images if one.names] or list(images)
        chosen = named if len(images) > 1 else list(images)
    else:
        chosen = [one for one in images if any(_is_called(name, tag) for name in one.names)]
    if len(chosen) == 1:
        return chosen[0].found
    names = ", ".join(repr(name) for one in images for name in one.names[:1]) or "none has a name"
    what = f"got tag {tag!r}, and it holds: {names}" if tag else f"holds {len(images)} images: {names}"
    raise SpecError(Issue(where, what, "name one behind a colon, as in oci-archive:base.tar:TAG"))


def _is_called(name: str, tag: str) -> bool:
    """Tell whether an image is meant: by its whole name, without the registry, or by its tag alone."""
    short = name.removeprefix("docker.io/").removeprefix("library/")
    return tag in {name, short, name.rpartition(":")[2]} or f"{tag}:latest" == short


def _take_layout(
    files: Files, root: Descriptor, sink: Sink, platform: Platform, events: Events
) -> Descriptor:
    blobs = _Blobs(files)
    manifest = choose(blobs, root, platform, files.where)
    copy(blobs, manifest, sink, stage="base", events=events)
    return manifest


def choose(blobs: Any, root: Descriptor, platform: Platform, where: str) -> Descriptor:  # noqa: ANN401
    """Choose one platform's manifest of an image; SpecError, with those there are, where it has none."""
    known: dict[str, Descriptor] = {}
    waiting, seen = [root], 0
    while waiting and (seen := seen + 1) < _IMAGES_MAX:
        one = waiting.pop(0)
        if documents.is_index(one):
            waiting += documents.children(blobs, one)
        elif documents.is_manifest(one) and (found := one.platform or _platform(blobs, one)):
            known.setdefault(str(found), replace(one, annotations={}, platform=found))
    if chosen := known.get(str(platform)):
        return chosen
    what = f"got platform {str(platform)!r}, expected one of: {', '.join(known) or 'none'}"
    raise SpecError(Issue(where, what))


def _platform(blobs: Any, manifest: Descriptor) -> Platform | None:  # noqa: ANN401
    parts = documents.children(blobs, manifest)
    config = canonical.decode(documents.read(blobs, parts[0]), str(parts[0].digest)) if parts else None
    return _platform_of(config)


def _platform_of(config: object) -> Platform | None:
    match config:
        case {"os": str(system), "architecture": str(architecture)}:
            try:
                return Platform.parse(f"{system}/{architecture}")
            except SpecError:
                return None
    return None


def _take_saved(
    files: Files, tag: str | None, sink: Sink, platform: Platform, compress: Compress
) -> Descriptor:
    """Take an image of `docker save`: a config, and layers that are plain tars."""
    rows = _document(files, _DOCKER_MANIFEST)
    images = [
        _Image(tuple(map(str, one.get("RepoTags") or ())), one) for one in rows if isinstance(one, dict)
    ]
    chosen = _root(images, tag, files.where)
    match chosen:
        case {"Config": str(config_name), "Layers": list(names)}:
            pass
        case _:
            raise IntegrityError(Issue(f"{files.where}: {_DOCKER_MANIFEST}", "names no config and layers"))
    config = _config(files, config_name)
    document = canonical.decode(config, config_name)
    if (found := _platform_of(document)) != platform:
        raise SpecError(
            Issue(files.where, f"got platform {str(platform)!r}, expected one of: {found or 'none'}")
        )
    diff_ids = [Digest.parse(str(one)) for one in (document.get("rootfs") or {}).get("diff_ids") or ()]
    if len(diff_ids) != len(names):
        what = f"got {len(names)} layers, and its config has {len(diff_ids)}"
        raise IntegrityError(Issue(files.where, what))
    layers = [
        _take_layer(files, str(name), diff_id, sink, compress)
        for name, diff_id in zip(names, diff_ids, strict=True)
    ]
    described = Descriptor(CONFIG, documents.write(sink, config), len(config))
    manifest = canonical.encode(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": described.to_json(),
            "layers": [one.to_json() for one in layers],
        }
    )
    return Descriptor(MANIFEST, documents.write(sink, manifest), len(manifest), platform=platform)


def _config(files: Files, name: str) -> bytes:
    """Read the config; what it is called is its digest."""
    size_bytes = files.size_bytes(name) or 0
    if not 0 < size_bytes <= _DOCUMENT_BYTES_MAX:
        raise IntegrityError(Issue(files.where, f"holds no config {name!r}"))
    with files.open(name) as stream:
        data = stream.read(size_bytes)
    if (named := _HEX.match(name)) and Digest.of(data).hex != named[1]:
        raise IntegrityError(
            Issue(f"{files.where}: {name}", f"got {Digest.of(data)}, the bytes were changed")
        )
    return data


def _take_layer(files: Files, name: str, diff_id: Digest, sink: Sink, compress: Compress) -> Descriptor:
    if files.size_bytes(name) is None:
        raise IntegrityError(Issue(files.where, f"holds no layer {name!r}"))
    with files.open(name) as stream, sink.create() as blob:
        block = stream.read(compress.block_bytes)
        media_type = _MAGIC.get(block[:2], "")
        state, size_bytes = hashlib.sha256(), 0
        while block:
            # one that is compressed already is kept as it is; unpacking it checks what it inflates to
            written = block if media_type else compress.block(block)
            size_bytes += blob.write(written)
            state.update(block)
            block = stream.read(compress.block_bytes)
        if not media_type and state.hexdigest() != diff_id.hex:
            what = f"got diff ID sha256:{state.hexdigest()}, expected {diff_id}"
            raise IntegrityError(Issue(f"{files.where}: {name}", what))
        return Descriptor(media_type or LAYER_GZIP, blob.commit(), size_bytes)
