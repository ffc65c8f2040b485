"""Artifacts that a tracking server hands out: of its own proxy, of a run, or of a logged model."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from lading.core.errors import IntegrityError, Issue
from lading.http.client import Response
from lading.tracking.documents import tables, text
from lading.tracking.files import Arriving, Entry, OtherPart
from lading.tracking.server import Server

PROXY = "/api/2.0/mlflow-artifacts/artifacts"
_API = "/api/2.0/mlflow"
_PIECE_BYTES = 1 << 18
_MOST_PAGES = 1000
_NAMES = {"sha-512": "sha512", "sha-256": "sha256", "md5": "md5"}
_DIGEST = re.compile(r"(?P<name>[A-Za-z0-9-]+)=:?(?P<value>[A-Za-z0-9+/=]+?):?\s*(?:,|\Z)")


class _Served:
    """What all of them have in common: pages of listings, and files by path."""

    def __init__(self, server: Server, name: str) -> None:
        self._server = server
        self.name = name

    def _pages(self, where: str, query: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        token = ""
        for _ in range(_MOST_PAGES):
            asked = {**query, **({"page_token": token} if token else {})}
            document = self._server.document(where, asked) or {}
            yield from tables(document, "files")
            token = text(document, "next_page_token")
            if not token:
                return
        raise IntegrityError(Issue(f"{self.name}/{query.get('path', '')}", f"more than {_MOST_PAGES} pages"))

    @contextmanager
    def _opened(
        self, where: str, query: Mapping[str, str], start: int, tag: str | None
    ) -> Iterator[Arriving]:
        headers = {"Range": f"bytes={start}-", "If-Range": tag} if start and tag else {}
        with self._server.open(where, query, headers) as response:
            if response.status == 416 or (response.status == 206 and response.range_start != start):
                raise OtherPart("the server sent another part than was asked for")
            begun = start if response.status == 206 else 0
            # MLflow 2 sends a chunk for each line
            pieces = response.raw(None if response.length_bytes else _PIECE_BYTES)
            yield Arriving(
                pieces,
                begun,
                response.total_bytes,
                response.strong_tag,
                _digests(response),
            )


class Proxied(_Served):
    """What lies at `mlflow-artifacts:`."""

    def list(self, path: str) -> Sequence[Entry]:
        """List a folder."""
        return [_entry(one) for one in self._pages(PROXY, {"path": path} if path else {})]

    @contextmanager
    def open(self, path: str, start: int, tag: str | None) -> Iterator[Arriving]:
        """Open a file."""
        with self._opened(f"{PROXY}/{quote(path)}", {}, start, tag) as arriving:
            yield arriving


class OfRun(_Served):
    """What a run has, wherever the server keeps it."""

    def __init__(self, server: Server, run_id: str) -> None:
        """Name the run."""
        super().__init__(server, f"{server.name} runs:/{run_id}")
        self._run_id = run_id

    def list(self, path: str) -> Sequence[Entry]:
        """List a folder."""
        query = {"run_id": self._run_id, **({"path": path} if path else {})}
        return [_entry(one) for one in self._pages(f"{_API}/artifacts/list", query)]

    @contextmanager
    def open(self, path: str, start: int, tag: str | None) -> Iterator[Arriving]:
        """Open a file."""
        with self._opened("/get-artifact", {"run_uuid": self._run_id, "path": path}, start, tag) as arriving:
            yield arriving


class OfModel(_Served):
    """What a logged model has, wherever the server keeps it."""

    def __init__(self, server: Server, model_id: str) -> None:
        """Name the model."""
        super().__init__(server, f"{server.name} models:/{model_id}")
        self._place = f"/mlflow/logged-models/{quote(model_id, safe='')}/artifacts"

    def list(self, path: str) -> Sequence[Entry]:
        """List a folder."""
        query = {"artifact_directory_path": path} if path else {}
        return [_entry(one) for one in self._pages(f"/api/2.0{self._place}/directories", query)]

    @contextmanager
    def open(self, path: str, start: int, tag: str | None) -> Iterator[Arriving]:
        """Open a file."""
        where = f"/ajax-api/2.0{self._place}/files"
        with self._opened(where, {"artifact_file_path": path}, start, tag) as arriving:
            yield arriving


def _entry(one: Mapping[str, Any]) -> Entry:
    """Read a row: some servers say the path below the top, some the name alone."""
    size = one.get("file_size")
    if isinstance(size, str) and size.removeprefix("-").isdecimal():
        size = int(size)
    known = size if type(size) is int else None
    return Entry(text(one, "path").rstrip("/").rpartition("/")[2], one.get("is_dir") is True, known)


def _digests(response: Response) -> dict[str, bytes]:
    """Read what the server says of the whole file (RFC 1864, RFC 3230, RFC 9530)."""
    fields = (
        ["repr-digest", "digest"] if response.status == 206 else ["repr-digest", "digest", "content-digest"]
    )
    told = ", ".join(response.headers.get(one, "") for one in fields)
    if response.status != 206 and (sum_ := response.headers.get("content-md5")):
        told += f", md5={sum_}"
    found = {}
    for match in _DIGEST.finditer(told):
        if name := _NAMES.get(match["name"].lower()):
            try:
                found[name] = base64.b64decode(match["value"], validate=True)
            except binascii.Error:
                continue
    return found
