"""A source's text in, what opens ranges of its files out."""

from __future__ import annotations

import os
import re
import urllib.parse
from collections.abc import Callable, Mapping
from typing import Any

from lading_runtime.download import objects, web
from lading_runtime.download.failure import FetchError
from lading_runtime.download.registry import Repository, basic, secret
from lading_runtime.download.wanted import File

_SCHEME = re.compile(r"([a-z][a-z0-9-]*)://")


class Web:
    """Files below a URL that ends in `/`, or the one file at a URL."""

    def __init__(self, text: str, environ: Mapping[str, str]) -> None:
        """Keep the URL; credentials of the variables go with it where nobody else can read them."""
        self._url = text
        self.name = web.public(text)
        self._headers: dict[str, str] = {}
        if web.is_private(text):
            login = basic(environ)
            if token := secret(environ, "LADING_SOURCE_TOKEN"):
                self._headers["Authorization"] = f"Bearer {token}"
            elif login:
                self._headers["Authorization"] = f"Basic {login}"

    def get(self, file: File, start: int, end: int) -> web.Body:
        """Open bytes [start, end) of a file."""
        parts = urllib.parse.urlsplit(self._url)
        path = parts.path + urllib.parse.quote(file.path) if parts.path.endswith("/") else parts.path
        url = urllib.parse.urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))
        return web.get(url, start, end, file.size_bytes, self._headers)


class Folder:
    """Files below a folder, the one file at a path, or the blobs of an OCI image layout."""

    def __init__(self, text: str, _: Mapping[str, str]) -> None:
        """Read `file:///PATH` or `oci-layout:///PATH`."""
        parts = urllib.parse.urlsplit(text)
        if parts.netloc not in {"", "localhost"} or not parts.path.startswith("/"):
            raise FetchError(f"got source {text!r}, expected {parts.scheme}:///PATH", final=True)
        self.name = text
        self._path = urllib.parse.unquote(parts.path)
        self._is_layout = parts.scheme == "oci-layout"

    def get(self, file: File, start: int, _: int) -> web.Body:
        """Open a file at its byte `start`."""
        path = self._path
        if self._is_layout:
            path = os.path.join(path, "blobs", *file.digest.split(":"))
        elif path.endswith("/"):
            path += file.path
        try:
            stream = open(path, "rb")  # noqa: SIM115 - the caller closes it
            stream.seek(start)
        except OSError as error:
            fix = "is the volume mounted?"
            raise FetchError(f"{self.name}: {error.strerror}: {path}", fix, final=True) from error
        return web.Body(stream, start)


_KINDS: dict[str, Callable[[str, Mapping[str, str]], Any]] = {
    "https": Web,
    "http": Web,
    "oci": Repository,
    "file": Folder,
    "oci-layout": Folder,
    **dict.fromkeys(objects.SCHEMES, objects.Bucket),
}


def open_source(text: str, environ: Mapping[str, str]) -> Any:
    """Return what has `name` and `get(file, start, end)`; FetchError for a scheme that there is not."""
    found = _SCHEME.match(text)
    kind = _KINDS.get(found[1]) if found else None
    if kind is None:
        expected = ", ".join(f"{one}://" for one in _KINDS)
        raise FetchError(f"got source {web.public(text)!r}, expected one of {expected}", final=True)
    return kind(text, environ)
