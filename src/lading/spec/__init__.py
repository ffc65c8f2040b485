"""Text → PackageSpec; one dialect per file."""

from lading.spec.native import FILE_NAME, load, parse
from lading.spec.schema import generate as schema

__all__ = ["FILE_NAME", "load", "parse", "schema"]
