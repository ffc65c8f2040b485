"""Layers → OCI config, manifest, index and bill: pure, no I/O."""

from lading.image.bill import draw
from lading.image.describe import describe, index
from lading.image.diff import compare
from lading.image.referrers import attach

__all__ = ["attach", "compare", "describe", "draw", "index"]
