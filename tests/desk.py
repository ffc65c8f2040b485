"""A context with a store of its own, in which images and what is attached to them are written."""

from lading.core import canonical
from lading.core.descriptor import CONFIG, EMPTY, INDEX, LAYER_GZIP, MANIFEST, REPORT, Descriptor
from lading.core.digest import Digest
from lading.core.platform import Platform
from lading.pipeline.context import Context
from lading.settings import Settings
from lading.store import documents

AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")


class Desk:
    """A context with a store of its own, and what it was told."""

    def __init__(self, folder, mirrors=None, *, offline=False):
        self.events = []
        settings = Settings(folder, mirrors=mirrors or {})
        self.context = Context(settings, self.events.append, offline=offline)
        self.store = self.context.store

    def told(self, kind):
        return [event.text for event in self.events if event.kind == kind]

    def blob(self, data, media_type, **more):
        return Descriptor(media_type, documents.write(self.store, data), len(data), **more)

    def image(self, tar, layer, platform=AMD64, **extra):
        config = {
            "architecture": platform.architecture,
            "os": "linux",
            "config": {"Entrypoint": ["/hello"], "Env": ["TOKEN=hunter2"]},
            "rootfs": {"type": "layers", "diff_ids": [str(Digest.of(tar))]},
            **extra,
        }
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.blob(canonical.encode(config), CONFIG).to_json(),
            "layers": [self.blob(layer, LAYER_GZIP).to_json()],
        }
        return self.blob(canonical.encode(document), MANIFEST, platform=platform)

    def index(self, *images):
        document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [one.to_json() for one in images]}
        return self.blob(canonical.encode(document), INDEX)

    def attach(self, subject, text=b"passed"):
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": REPORT,
            "config": self.blob(b"{}", EMPTY).to_json(),
            "layers": [self.blob(text, REPORT).to_json()],
            "subject": subject.to_json(),
        }
        written = self.blob(canonical.encode(document), MANIFEST)
        self.store.refer(written)
        return written
