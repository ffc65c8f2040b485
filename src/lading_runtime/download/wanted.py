"""A bill's JSON in, what is to be fetched at start, and from where, out. Nothing in it is believed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from lading_runtime.download.failure import FetchError

LINKS = "/tmp/lading"  # noqa: S108 - what the folders in the image link to: /tmp alone is writable
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")


class File(NamedTuple):
    """A file: where it lies below its folder, and what it has to be."""

    path: str
    size_bytes: int
    digest: str
    """`sha256:` and 64 hexadecimal digits."""


class Wanted(NamedTuple):
    """Files that belong together: the model, or a further asset."""

    name: str
    """For people."""
    link: str
    """Relative to LINKS: what the folder in the image is a link to."""
    files: tuple[File, ...]
    sources: tuple[str, ...]

    @property
    def size_bytes(self) -> int:
        """Return how much it is."""
        return sum(one.size_bytes for one in self.files)

    @property
    def key(self) -> str:
        """Return the digest by which it is cached: of its files' paths, sizes and digests."""
        lines = [f"{one.digest} {one.size_bytes} {one.path}\n" for one in sorted(self.files)]
        return hashlib.sha256("".join(lines).encode()).hexdigest()


def read(bill: Mapping[str, Any], instead: str = "") -> list[Wanted]:
    """List what is fetched at start; FetchError for what a bill may not say.

    `instead` are sources (separated by spaces) that are asked before the bill's own.
    """
    first = tuple(instead.split())
    found = []
    try:
        if bill["model"].get("mode") == "download":
            found.append(_wanted("model", "model", bill["model"], first))
        for number, one in enumerate(bill.get("inputs") or ()):
            if one.get("mode") == "download":
                found.append(_wanted(f"input {one['path']}", f"inputs/{number}", one, first))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise FetchError(f"the bill is malformed: {error!r}", "pack it again", final=True) from error
    return found


def _wanted(name: str, link: str, entry: Mapping[str, Any], first: tuple[str, ...]) -> Wanted:
    files = tuple(_file(one) for one in entry["files"])
    paths = {one.path for one in files}
    folders = {path[:cut] for path in paths for cut, letter in enumerate(path) if letter == "/"}
    if len(paths) != len(files) or paths & folders:
        raise ValueError("a path is there twice")
    return Wanted(name, link, files, (*first, *map(str, entry.get("sources") or ())))


def _file(entry: Mapping[str, Any]) -> File:
    path, size, digest = entry["path"], entry["size_bytes"], entry["digest"]
    parts = path.split("/")
    if "\0" in path or any(one in {"", ".", ".."} for one in parts):
        raise ValueError(f"path {path!r} leads out of its folder")
    if type(size) is not int or size < 0 or not _DIGEST.match(digest):
        raise ValueError(f"{path!r} has no size or no sha256 digest")
    return File(path, size, digest)
