"""Assets ⇄ a store: named, versioned, immutable, found by version or label."""

from lading.workspace.artefact import Shelf
from lading.workspace.complaints import UnknownAssetError
from lading.workspace.files import list_files
from lading.workspace.workspace import Created, Which, Workspace

__all__ = ["Created", "Shelf", "UnknownAssetError", "Which", "Workspace", "list_files"]
