"""Layers → OCI config, manifest, index and bill: pure, no I/O."""

from lading.image.bill import compiled, draw
from lading.image.describe import describe, index
from lading.image.diff import compare
from lading.image.referrers import attach, attach_files, attach_original

__all__ = [
    "attach",
    "attach_files",
    "attach_original",
    "compare",
    "compiled",
    "describe",
    "draw",
    "index",
]
