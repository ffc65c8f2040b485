"""Text → PackageSpec; one dialect per file."""

from lading.spec.draft import draft, package_name
from lading.spec.native import FILE_NAME, load, parse
from lading.spec.schema import generate as schema
from lading.spec.signature import parse as parse_document
from lading.spec.typed import read_text

__all__ = ["FILE_NAME", "draft", "load", "package_name", "parse", "parse_document", "read_text", "schema"]
