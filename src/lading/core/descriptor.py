"""Descriptors and the media types that lading reads and writes (OCI image spec, descriptor.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lading.core.digest import Digest
from lading.core.errors import IntegrityError, Issue
from lading.core.platform import Platform

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER_TAR = "application/vnd.oci.image.layer.v1.tar"
LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
LAYER_ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"
EMPTY = "application/vnd.oci.empty.v1+json"
BILL = "application/vnd.lading.bill.v1+json"
LOCK = "application/vnd.lading.lock.v1+json"
REPORT = "application/vnd.lading.report.v1+json"
ASSET = "application/vnd.lading.asset."
"""What the artefact types of a workspace's assets begin with; their kind follows."""
ORIGINAL = "application/vnd.lading.original.v1"
MODEL = "application/vnd.lading.model.v1"
FILE = "application/octet-stream"
"""Of an index that refers to a compiled package's image, and names the image of the model itself."""


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a blob is, by digest and size. Law: `Descriptor.from_json(d.to_json()) == d`."""

    media_type: str
    digest: Digest
    size_bytes: int
    annotations: Mapping[str, str] = field(default_factory=dict)
    platform: Platform | None = None
    artifact_type: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object of the image specification."""
        document: dict[str, Any] = {
            "mediaType": self.media_type,
            "digest": str(self.digest),
            "size": self.size_bytes,
        }
        if self.platform:
            document["platform"] = {"architecture": self.platform.architecture, "os": self.platform.os}
        if self.artifact_type:
            document["artifactType"] = self.artifact_type
        if self.annotations:
            document["annotations"] = dict(sorted(self.annotations.items()))
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Descriptor:
        """Read a descriptor; raise IntegrityError where it is not one."""
        match document:
            case {"mediaType": str(media_type), "digest": str(digest), "size": int(size)} if size >= 0:
                optional = document
            case _:
                what = f"got {document!r}, expected mediaType, digest and size"
                raise IntegrityError(Issue("descriptor", what))
        annotations = optional.get("annotations") or {}
        if not isinstance(annotations, dict):
            raise IntegrityError(Issue("descriptor", f"got annotations {annotations!r}, expected an object"))
        return cls(
            media_type,
            Digest.parse(digest),
            size,
            {str(key): str(value) for key, value in annotations.items()},
            _platform(optional.get("platform")),
            optional.get("artifactType"),
        )


def _platform(document: object) -> Platform | None:
    """Read an index entry's platform; None for those packages are not made for ('unknown/unknown')."""
    match document:
        case {"os": "linux", "architecture": "amd64" | "arm64" as architecture}:
            return Platform("linux", architecture)
        case _:
            return None
