"""How one layer is made, and the plain kinds: files that lie here, texts that are made here, a link."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lading.core.digest import Digest
from lading.core.image import Kind
from lading.core.lock import LockedArchive, LockedConda, LockedDeb, LockedWheel
from lading.layers import files
from lading.layers.tar import LayerWriter

Package = LockedDeb | LockedWheel | LockedArchive | LockedConda


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to make one layer: what to fetch, and what to write once it is here.

    `made_from` (JSON values) says everything that its bytes depend on; `write` gets the packages' files in
    their order.
    """

    kind: Kind
    title: str
    made_from: Mapping[str, Any]
    write: Callable[[Sequence[Path], LayerWriter], None]
    packages: tuple[Package, ...] = ()


def of_files(kind: Kind, title: str, contents: Sequence[files.Content]) -> Recipe:
    """Lay files that are here."""
    made_from = {"files": [[one.path, one.mode, str(one.digest)] for one in contents]}
    return Recipe(kind, title, made_from, lambda _, writer: files.write(contents, writer))


def of_texts(kind: Kind, title: str, named: Mapping[str, bytes]) -> Recipe:
    """Lay files that are made here, by absolute path."""

    def write(_: Sequence[Path], writer: LayerWriter) -> None:
        for path, data in sorted(named.items()):
            writer.file(path[1:], data)

    return Recipe(kind, title, {title: {path: str(Digest.of(data)) for path, data in named.items()}}, write)


def of_link(kind: Kind, title: str, path: str, target: str) -> Recipe:
    """Lay a link to another folder of the image; both are without their leading slash."""

    def write(_: Sequence[Path], writer: LayerWriter) -> None:
        writer.symlink(path, f"/{target}")

    return Recipe(kind, title, {"link": [path, target]}, write)
