"""An image in a store → a file or folder that other tools read.

`oci` is an image layout folder, `oci-archive` the same in a tar, `docker-archive` that tar with the
`manifest.json` beside it which `docker load` reads. Equal images, equal bytes; the destination appears whole
or not at all.
"""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal, get_args

from lading.core import canonical
from lading.core.descriptor import LAYER_GZIP, Descriptor
from lading.core.errors import Issue, SpecError
from lading.core.ports import BlobSource, Event, Events, ignore
from lading.core.reference import Reference
from lading.store import documents
from lading.store.copy import chunks, copy
from lading.store.disk import replace_file, sync_folder, translated
from lading.store.index import Entry, Index
from lading.store.layout import INDEX_FILE, MARK, MARKER, LayoutStore, strip

Format = Literal["oci", "oci-archive", "docker-archive"]
_DOCKER_LAYERS = {
    LAYER_GZIP,
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
}


def export(
    source: BlobSource,
    descriptor: Descriptor,
    destination: Path,
    format: Format,  # noqa: A002 (what the command line calls it)
    *,
    name: Reference | None = None,
    overwrite: bool = False,
    events: Events = ignore,
) -> None:
    """Write an image, under a name if one is given, to a file or folder.

    Raises SpecError where the destination is there already and `overwrite` is not given, or where the format
    cannot hold the image, RegistryError where the disk refuses.
    """
    if format not in get_args(Format):
        raise SpecError(Issue("format", f"got {format!r}, expected {' or '.join(get_args(Format))}"))
    destination = destination.resolve()
    _refuse(destination, is_folder=format == "oci", overwrite=overwrite)
    with translated(destination), _appearing(destination) as partial:
        if format == "oci":
            copy(source, descriptor, LayoutStore(partial), stage="export", events=events)
            replace_file(partial / INDEX_FILE, _index(descriptor, name), ingest=partial)
            strip(partial)
        else:
            files = _documents(source, descriptor, format, name)
            with partial.open("xb") as file:
                _write_archive(source, descriptor, file, files, events)
                file.flush()
                os.fsync(file.fileno())


def stream(
    source: BlobSource, descriptor: Descriptor, file: IO[bytes], name: Reference, *, events: Events = ignore
) -> None:
    """Write an image as a docker-archive to a pipe; raise SpecError where that cannot hold it."""
    files = _documents(source, descriptor, "docker-archive", name)
    _write_archive(source, descriptor, file, files, events)


def link(store: LayoutStore, descriptor: Descriptor, folder: Path) -> None:
    """Make an empty folder the layout of one image, over the blobs that the store has; nothing is copied."""
    with translated(folder):
        (folder / MARKER).write_bytes(MARK)
        (folder / INDEX_FILE).write_bytes(_index(descriptor, None))
        (folder / "blobs").symlink_to(store.folder / "blobs", target_is_directory=True)


def _index(descriptor: Descriptor, name: Reference | None) -> bytes:
    return Index((Entry.of(descriptor, None if name is None else str(name)),)).encode()


def _documents(
    source: BlobSource,
    descriptor: Descriptor,
    format: Format,  # noqa: A002 (as above)
    name: Reference | None,
) -> dict[str, bytes]:
    """Write what an archive holds beside the blobs."""
    files = {MARKER: MARK, INDEX_FILE: _index(descriptor, name)}
    if format == "docker-archive":
        files["manifest.json"] = _docker_manifest(source, descriptor, name)
    return files


def _refuse(destination: Path, *, is_folder: bool, overwrite: bool) -> None:
    if not os.path.lexists(destination):
        return
    where = str(destination)
    if not overwrite:
        raise SpecError(Issue(where, "is there already", "name another, or replace it with --force"))
    if not (destination / MARKER if is_folder else destination).is_file():
        kind = "an OCI image layout" if is_folder else "a file"
        raise SpecError(Issue(where, f"is not {kind}, so it is not overwritten", "name another"))


@contextmanager
def _appearing(destination: Path) -> Iterator[Path]:
    """Give a name beside the destination; what is written there takes its place in the end."""
    partial = destination.with_name(f".{destination.name}-{os.urandom(8).hex()}")
    old = partial.with_name(f"{partial.name}-old")
    try:
        yield partial
        if destination.is_dir():  # a folder cannot be renamed over another that is not empty
            destination.rename(old)
        try:
            partial.rename(destination)
        except OSError:
            if old.exists():
                old.rename(destination)
            raise
        sync_folder(destination.parent)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        if partial.is_dir():
            shutil.rmtree(partial)
        partial.unlink(missing_ok=True)


def _docker_manifest(source: BlobSource, descriptor: Descriptor, name: Reference | None) -> bytes:
    """Write what `docker load` reads; raise SpecError where the image is not one that it can."""
    while documents.is_index(descriptor):
        images = documents.children(source, descriptor)
        if len(images) != 1:
            platforms = ", ".join(str(image.platform) for image in images)
            what = f"holds {len(images)} platforms ({platforms}), and a docker-archive holds one"
            raise SpecError(Issue(str(name or descriptor.digest), what, "name one, or use oci-archive"))
        descriptor = images[0]
    config, *layers = documents.children(source, descriptor)
    for layer in layers:
        if layer.media_type not in _DOCKER_LAYERS:
            what = f"docker load cannot read a layer of type {layer.media_type!r}"
            raise SpecError(Issue(str(layer.digest), what, "use oci-archive"))
    tags = [] if name is None else [str(name if name.tag else name.with_tag("latest"))]
    document = {"Config": _path(config), "RepoTags": tags, "Layers": [_path(layer) for layer in layers]}
    return canonical.encode([document])


def _write_archive(
    source: BlobSource, descriptor: Descriptor, file: IO[bytes], files: dict[str, bytes], events: Events
) -> None:
    for path, data in files.items():
        file.write(_header(path, len(data)) + data + _padding(len(data)))
    for path in ("blobs", "blobs/sha256"):
        file.write(_header(path, None))
    parts = {part.digest: part for part in documents.walk(source, descriptor)}
    total = sum(part.size_bytes for part in parts.values())
    done = 0
    for _, part in sorted(parts.items()):
        file.write(_header(_path(part), part.size_bytes))
        for chunk in chunks(source, part):
            file.write(chunk)
            done += len(chunk)
            events(Event("export", "progress", str(part.digest), done, total))
        file.write(_padding(part.size_bytes))
    file.write(bytes(2 * tarfile.BLOCKSIZE))


def _path(descriptor: Descriptor) -> str:
    return f"blobs/{descriptor.digest.algorithm}/{descriptor.digest.hex}"


def _header(path: str, size_bytes: int | None) -> bytes:
    """Write the tar header of a file, or of a folder if it has no size; no owner, no time."""
    entry = tarfile.TarInfo(path)
    if size_bytes is None:
        entry.type, entry.mode = tarfile.DIRTYPE, 0o755
    else:
        entry.size, entry.mode = size_bytes, 0o644
    return entry.tobuf(tarfile.GNU_FORMAT)


def _padding(size_bytes: int) -> bytes:
    return bytes(-size_bytes % tarfile.BLOCKSIZE)
