"""Layers and images, as the OCI image specification has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lading.core.descriptor import CONFIG, MANIFEST, Descriptor
from lading.core.digest import Digest
from lading.core.platform import Platform

Kind = Literal[
    "base",
    "image",
    "interpreter",
    "environment",
    "server",
    "bytecode",
    "code",
    "assets",
    "model",
    "compiled",
    "bill",
]
"""`image`: of a base that is an image, as it is; such a layer may delete what lies below it."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A sealed layer. `descriptor` is of the compressed blob; `diff_id` of the tar, which identifies it."""

    descriptor: Descriptor
    diff_id: Digest
    kind: Kind
    title: str
    """What it holds, for people: `numpy 2.4.6`."""


@dataclass(frozen=True, slots=True)
class Image:
    """One platform's image: its layers, and the bytes of its config and manifest."""

    platform: Platform
    layers: tuple[Layer, ...]
    config: bytes
    manifest: bytes

    @property
    def config_descriptor(self) -> Descriptor:
        """Describe the config blob."""
        return Descriptor(CONFIG, Digest.of(self.config), len(self.config))

    @property
    def descriptor(self) -> Descriptor:
        """Describe the manifest; its digest is the image's."""
        return Descriptor(MANIFEST, Digest.of(self.manifest), len(self.manifest), platform=self.platform)

    @property
    def size_bytes(self) -> int:
        """Sum what a registry stores and a client pulls."""
        blobs = sum(layer.descriptor.size_bytes for layer in self.layers)
        return blobs + len(self.config) + len(self.manifest)
