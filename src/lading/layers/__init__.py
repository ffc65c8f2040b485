"""A lock and files in, sealed layers out: equal input, equal bytes."""

from lading.layers.assembly import Assembled, assemble, seal
from lading.layers.cache import FolderCache
from lading.layers.cargo import Cargo
from lading.layers.file_digests import FileDigests
from lading.layers.recipe import Recipe

__all__ = ["Assembled", "Cargo", "FileDigests", "FolderCache", "Recipe", "assemble", "seal"]
