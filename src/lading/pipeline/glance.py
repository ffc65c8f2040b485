"""A package's name goes in; a store with its bill, examples and reports comes out, not its layers."""

from __future__ import annotations

from pathlib import Path

from lading.core.descriptor import REPORT, Descriptor
from lading.core.errors import RegistryError
from lading.core.ports import BlobSource, Store
from lading.core.reference import Reference
from lading.pipeline import shelf
from lading.pipeline.context import Context, in_full
from lading.store import documents
from lading.store.copy import chunks
from lading.store.copy import copy as copy_blobs


def glance(context: Context, text: str, folder: Path) -> tuple[Context, str]:
    """Return a context in whose store a package can be read, and its name there.

    That is this machine's, where it has the package; else one in `folder`, with what a registry tells.
    """
    try:
        context.store.find(text)
    except RegistryError:
        reference = Reference.parse(text)
        if reference.registry is None:
            raise
    else:
        return context, text
    near = context.apart(folder)
    with context.registry(reference) as remote:
        descriptor = remote.resolve(in_full(reference))
        for part in documents.walk(remote, descriptor):
            if documents.is_index(part):
                _bring(remote, part, near.store)
            elif documents.is_manifest(part):
                _bring_manifest(remote, part, near.store)
        name = str(descriptor.digest)
        for package in shelf.find_each(near, name):
            _bring_examples(remote, package, near.store)
    return near, name


def _bring_manifest(remote: Store, manifest: Descriptor, near: Store) -> None:
    """Bring a manifest, its config, the layer of its bill and the reports that refer to it."""
    config, *layers = documents.children(remote, manifest)
    for part in (manifest, config, *layers[-1:]):
        _bring(remote, part, near)
    for referrer in remote.referrers(manifest.digest):
        if referrer.artifact_type == REPORT:
            copy_blobs(remote, referrer, near)
            near.refer(referrer)


def _bring_examples(remote: BlobSource, package: shelf.Package, near: Store) -> None:
    for layer in package.image.layers:
        if layer.title == "examples":
            _bring(remote, layer.descriptor, near)


def _bring(remote: BlobSource, part: Descriptor, near: Store) -> None:
    with near.create() as blob:
        for chunk in chunks(remote, part):
            blob.write(chunk)
        blob.commit(part.digest)
