"""Small images, written into a store."""

from __future__ import annotations

import pytest

from lading.core import canonical
from lading.core.descriptor import CONFIG, EMPTY, INDEX, LAYER_GZIP, MANIFEST, REPORT, Descriptor
from lading.core.ports import BlobSink
from lading.store import documents


class Author:
    """Writes what tests need into a store: blobs, images, indexes and reports."""

    def blob(self, store: BlobSink, data: bytes, media_type: str = LAYER_GZIP) -> Descriptor:
        return Descriptor(media_type, documents.write(store, data), len(data))

    def image(self, store: BlobSink, *layers: str, media_type: str = LAYER_GZIP) -> Descriptor:
        texts = layers or ("layer",)
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.blob(store, f'{{"of":"{texts}"}}'.encode(), CONFIG).to_json(),
            "layers": [self.blob(store, text.encode(), media_type).to_json() for text in texts],
        }
        return self.blob(store, canonical.encode(document), MANIFEST)

    def index(self, store: BlobSink, *images: Descriptor) -> Descriptor:
        rows = [{**one.to_json(), "platform": {"os": "linux", "architecture": "amd64"}} for one in images]
        document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": rows}
        return self.blob(store, canonical.encode(document), INDEX)

    def report(self, store: BlobSink, subject: Descriptor, text: bytes = b"passed") -> Descriptor:
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": REPORT,
            "config": self.blob(store, b"{}", EMPTY).to_json(),
            "layers": [self.blob(store, text, REPORT).to_json()],
            "subject": subject.to_json(),
        }
        written = self.blob(store, canonical.encode(document), MANIFEST)
        return Descriptor(MANIFEST, written.digest, written.size_bytes, artifact_type=REPORT)


@pytest.fixture(scope="session")
def author() -> Author:
    return Author()
