"""An image's files → what of it a package gets. Nothing of it is run."""

from lading.bases.config import Settings, layers, parse
from lading.bases.read import Found, read

__all__ = ["Found", "Settings", "layers", "parse", "read"]
