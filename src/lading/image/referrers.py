"""A document about an image → the artefact that refers to it (OCI image spec, manifest.md, "subject").

Another image that belongs to one is named by an index that refers to it (image-index.md, "subject"): it stays
what it is, under its own digest, and travels along.
"""

from __future__ import annotations

from collections.abc import Iterable

from lading.core import canonical
from lading.core.bill import BilledFile
from lading.core.descriptor import EMPTY, FILE, INDEX, MANIFEST, ORIGINAL, Descriptor
from lading.core.digest import Digest

_TITLE = "org.opencontainers.image.title"
EMPTY_CONFIG = b"{}"
"""The config of an artefact that has none; it must be in the store like any other."""


def attach(image: Descriptor, document: bytes, media_type: str) -> tuple[bytes, Descriptor]:
    """Describe the artefact that attaches a document to an image; return its manifest and descriptor.

    The document and EMPTY_CONFIG are its blobs. Equal arguments, equal bytes.
    """
    subject = Descriptor(image.media_type, image.digest, image.size_bytes)
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": media_type,
        "config": Descriptor(EMPTY, Digest.of(EMPTY_CONFIG), len(EMPTY_CONFIG)).to_json(),
        "layers": [Descriptor(media_type, Digest.of(document), len(document)).to_json()],
        "subject": subject.to_json(),
    }
    data = canonical.encode(manifest)
    return data, Descriptor(MANIFEST, Digest.of(data), len(data), artifact_type=media_type)


def attach_files(
    image: Descriptor, files: Iterable[BilledFile], artifact_type: str
) -> tuple[bytes, Descriptor]:
    """Describe the artefact that has an image's files beside it, a blob each; EMPTY_CONFIG is another."""
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": artifact_type,
        "config": Descriptor(EMPTY, Digest.of(EMPTY_CONFIG), len(EMPTY_CONFIG)).to_json(),
        "layers": [
            {**Descriptor(FILE, one.digest, one.size_bytes).to_json(), "annotations": {_TITLE: one.path}}
            for one in files
        ],
        "subject": Descriptor(image.media_type, image.digest, image.size_bytes).to_json(),
    }
    data = canonical.encode(manifest)
    return data, Descriptor(MANIFEST, Digest.of(data), len(data), artifact_type=artifact_type)


def attach_original(image: Descriptor, original: Descriptor) -> tuple[bytes, Descriptor]:
    """Describe the index that attaches to a compiled package's image that of the model itself."""
    document = {
        "schemaVersion": 2,
        "mediaType": INDEX,
        "artifactType": ORIGINAL,
        "manifests": [original.to_json()],
        "subject": Descriptor(image.media_type, image.digest, image.size_bytes).to_json(),
    }
    data = canonical.encode(document)
    return data, Descriptor(INDEX, Digest.of(data), len(data), artifact_type=ORIGINAL)
