"""A folder: finished downloads by digest, unfinished ones to go on with, texts by URL.

sha256/<hex>     finished, checked, synced
partial/<hex>    unfinished; locked by whoever is downloading it (released when that process dies)
texts/<hex>      the last text of a URL (named by the URL's digest) behind a line of JSON
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path

from lading.core.digest import Digest
from lading.http.partial import Partial, hold

_FRESH_S = 3600.0
"""A download used this recently is not marked as used once more."""


@dataclass(frozen=True, slots=True)
class KeptText:
    """A text as it was last received, and what lets a server say that it is still the same."""

    body: bytes
    validators: Mapping[str, str]
    """Request headers: If-None-Match, If-Modified-Since."""


class Downloads:
    """What has been downloaded. Any number of threads and processes may share the folder."""

    def __init__(self, folder: Path) -> None:
        """Take a folder, which need not be there yet."""
        self.folder = folder

    def find(self, digest: Digest, size_bytes: int | None) -> Path | None:
        """Return a finished download, marked as used; one of another length was damaged and is forgotten."""
        path = self.folder / digest.algorithm / digest.hex
        try:
            status = path.stat()
        except OSError:
            return None
        if size_bytes is not None and status.st_size != size_bytes:
            path.unlink(missing_ok=True)
            return None
        if time.time() - status.st_mtime > _FRESH_S:
            with suppress(OSError):  # a cache that may only be read is not collected either
                os.utime(path)
        return path

    def partial(self, digest: Digest) -> AbstractContextManager[Partial]:
        """Hold a download alone, waiting while another thread or process does."""
        finished = self.folder / digest.algorithm / digest.hex
        return hold(self.folder / "partial" / digest.hex, digest, finished)

    def recall(self, url: str) -> KeptText | None:
        """Return the last text of a URL, None where there is none or it was damaged."""
        try:
            head, _, body = self._text(url).read_bytes().partition(b"\n")
            document = json.loads(head)
            if document["digest"] == str(Digest.of(body)):
                return KeptText(body, document["validators"])
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return None

    def remember(self, url: str, text: KeptText) -> None:
        """Keep the text of a URL."""
        path = self._text(url)
        path.parent.mkdir(parents=True, exist_ok=True)
        head = {"digest": str(Digest.of(text.body)), "validators": dict(text.validators)}
        part = path.with_name(f"{path.name}.{os.getpid()}-{os.urandom(4).hex()}")
        try:
            part.write_bytes(json.dumps(head).encode() + b"\n" + text.body)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def _text(self, url: str) -> Path:
        return self.folder / "texts" / Digest.of(url.encode()).hex
