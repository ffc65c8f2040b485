"""A blob → the same blob in a registry, over as many connections as it takes.

Source: OCI distribution spec 1.1, "Pushing blobs": a session is begun, pieces are sent to it, the last one
seals it. After a broken connection the session says how far it has come; one that is forgotten is begun anew:
Distribution 2.8 forgets one that broke within a piece.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from urllib.parse import urlencode, urljoin

from lading.core.descriptor import Descriptor
from lading.core.digest import CHUNK_BYTES
from lading.core.errors import IntegrityError, Issue
from lading.core.ports import OpenAt
from lading.http.client import Response, Transient
from lading.store import documents
from lading.store.registry_api import RegistryApi, scopes

PIECE_BYTES = 64 << 20
"""What travels in one request: some servers in front of registries refuse bodies of 100 MB."""
SMALLEST_PIECE_BYTES = 1 << 20
_READ_BYTES = CHUNK_BYTES // 4
_RANGE = re.compile(r"(?:bytes=)?0-(?P<last>\d+)\Z")
_SEALING_S = 600.0
"""How long a registry may take to move and hash what it has got."""
_PIECE_S = 120.0
_NO_PIECES = frozenset({400, 405, 411, 415, 501})


class Upload:
    """One blob on its way in. Call it until it does not raise Transient."""

    def __init__(
        self,
        api: RegistryApi,
        repository: str,
        descriptor: Descriptor,
        *,
        open_at: OpenAt,
        told: Callable[[int], None],
        location: str | None,
    ) -> None:
        """Send to a session that was begun at `location`, or begin one."""
        self._api, self._repository, self._descriptor = api, repository, descriptor
        self._scopes = scopes(repository, "pull,push")
        self._open_at, self._told = open_at, told
        self._location = location
        self._at = 0
        self._is_broken = False
        self._piece_bytes = PIECE_BYTES
        self._reached_bytes = 0

    def __call__(self) -> None:
        """Send what is missing and seal it; Transient where the connection breaks."""
        if self._location is not None and self._is_broken:
            self._ask_how_far()
        if self._location is None:
            self._begin()
        self._is_broken = True
        size_bytes = self._descriptor.size_bytes
        while size_bytes - self._at > self._piece_bytes:
            self._send("PATCH", self._at + self._piece_bytes)
        self._send("PUT", size_bytes)

    def reached(self) -> int:
        """Return the farthest that the registry has said to have come; who hears of it may end the upload."""
        self._told(self._at)
        return self._reached_bytes

    def _begin(self) -> None:
        answer = self._api.call("POST", f"{self._repository}/blobs/uploads/", self._scopes)
        if answer.status != 202 or "location" not in answer.headers:
            raise self._api.refusal(answer, "the registry takes no upload")
        self._location = urljoin(answer.url, answer.headers["location"])
        self._at = 0
        self._told(0)

    def _ask_how_far(self) -> None:
        """Find out what the session has got (spec: "Pushing a blob in chunks", the GET of the session)."""
        assert self._location is not None
        answer = self._api.call("GET", self._location, self._scopes)
        match = _RANGE.match(answer.headers.get("range", ""))
        got_bytes = int(match["last"]) + 1 if match else 0
        # 0-0 stands for one byte as well as for none
        if answer.status != 204 or not 1 < got_bytes <= self._descriptor.size_bytes:
            self._location = None
            return
        self._location = urljoin(answer.url, answer.headers.get("location", self._location))
        self._reach(got_bytes)
        self._told(self._at)

    def _send(self, method: str, end: int) -> None:
        """Send the bytes up to `end`."""
        assert self._location is not None
        start = self._at
        url = self._location
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(end - start)}
        if method == "PUT":
            url += f"{'&' if '?' in url else '?'}{urlencode({'digest': str(self._descriptor.digest)})}"
        if end > start and (start or method == "PATCH"):
            headers["Content-Range"] = f"{start}-{end - 1}"
        with self._api.send(
            method,
            url,
            self._scopes,
            headers=headers,
            body=lambda: self._pieces(start, end),
            answer_within_s=_SEALING_S if method == "PUT" else _PIECE_S,
        ) as response:
            self._judge(method, end, response)

    def _judge(self, method: str, end: int, response: Response) -> None:
        answer = self._api.read(response)
        claimed = answer.headers.get("docker-content-digest")
        if (method, answer.status) == ("PUT", 201):
            if claimed not in {None, str(self._descriptor.digest)}:
                what = f"has sealed it as {claimed}"
                raise self._api.damaged(self._repository, self._descriptor.digest, what)
            self._reach(end)
            return
        if (method, answer.status) == ("PATCH", 202):
            match = _RANGE.match(answer.headers.get("range", ""))
            if match and int(match["last"]) + 1 != end:
                raise Transient(f"the registry has got {int(match['last']) + 1} bytes of {end}")
            self._location = urljoin(answer.url, answer.headers.get("location", self._location or ""))
            self._reach(end)
            return
        if answer.status in {404, 416}:
            self._location = None if answer.status == 404 else self._location
            raise Transient("the registry has lost the upload")
        if method == "PUT" and answer.status == 400 and b"DIGEST_INVALID" in answer.body:
            self._location = None
            self._check_source()
            raise Transient("what arrived at the registry is not what was sent")
        sent_bytes = end - self._at
        if answer.status == 413 and sent_bytes > SMALLEST_PIECE_BYTES:
            self._piece_bytes = max(sent_bytes // 4, SMALLEST_PIECE_BYTES)
            raise Transient(f"a piece of {sent_bytes} bytes is too large for the registry", wait_s=0.0)
        if method == "PATCH" and not self._at and answer.status in _NO_PIECES:
            # some registries take a blob whole or not at all
            self._location, self._piece_bytes = None, self._descriptor.size_bytes
            raise Transient("the registry takes no pieces", wait_s=0.0)
        raise self._api.refusal(answer, "the registry refuses the blob")

    def _reach(self, at: int) -> None:
        self._at = at
        self._reached_bytes = max(self._reached_bytes, at)

    def _pieces(self, start: int, end: int) -> Iterator[bytes]:
        """Read the source from `start` to `end`."""
        if start == end:
            return
        with self._open_at(start) as stream:
            at = start
            while at < end:
                piece = stream.read(min(_READ_BYTES, end - at))
                at += len(piece)
                if not piece:
                    documents.check_size(self._descriptor, at)
                if at == self._descriptor.size_bytes and stream.read(1):
                    documents.check_size(self._descriptor, at + 1)
                yield piece
                self._told(at)

    def _check_source(self) -> None:
        """Raise IntegrityError where it is the source that is not what the descriptor says."""
        import hashlib

        state = hashlib.new(self._descriptor.digest.algorithm)
        at = 0
        with self._open_at(0) as stream:
            while chunk := stream.read(CHUNK_BYTES):
                state.update(chunk)
                at += len(chunk)
        documents.check_size(self._descriptor, at)
        if state.hexdigest() != self._descriptor.digest.hex:
            what = f"got {self._descriptor.digest.algorithm}:{state.hexdigest()}, the bytes were changed"
            raise IntegrityError(Issue(str(self._descriptor.digest), what, "pack or pull it again"))
