"""Files go in, what in them could run code when they are loaded comes out; nothing is loaded."""

from lading.scan.sarif import sarif
from lading.scan.scan import scan

__all__ = ["sarif", "scan"]
