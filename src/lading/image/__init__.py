"""Layers → OCI config, manifest, index and bill: pure, no I/O."""

from lading.image.bill import draw
from lading.image.describe import describe, index
from lading.image.referrers import attach

__all__ = ["attach", "describe", "draw", "index"]
