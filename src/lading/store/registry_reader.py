"""A blob in a registry → a stream that survives a broken connection."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from contextlib import ExitStack

from lading.core.digest import Digest
from lading.http.client import Response, Transient
from lading.store.registry_api import RegistryApi


class BlobReader(io.RawIOBase):
    """The bytes of a blob from an offset on, asked for again from where they stopped coming.

    Read from its beginning to its end, the blob is checked: IntegrityError at its end. One that begins later
    is checked by whoever has the beginning.
    """

    def __init__(
        self,
        api: RegistryApi,
        repository: str,
        digest: Digest,
        start_bytes: int | None,
        *,
        scopes: tuple[str, ...],
        waiting: Callable[[], None],
    ) -> None:
        """Ask for the blob; `start_bytes` is None where all of it is wanted, checked."""
        super().__init__()
        self._api, self._repository, self._scopes, self._digest = api, repository, scopes, digest
        self._path = f"{repository}/blobs/{digest}"
        self._waiting = waiting
        self._at = start_bytes or 0
        self._hash = hashlib.new(digest.algorithm) if start_bytes is None else None
        self._stack = ExitStack()
        self._pieces: Iterator[bytes] | None = None
        self._spare = b""
        self._is_over = False
        self.is_there = api.persist(self._path, self._ask)

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def tell(self) -> int:
        """Return how many bytes have been read, or were not wanted."""
        return self._at - len(self._spare)

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as many bytes as are asked for, fewer only at the end."""
        wanted = -1 if size is None else size
        parts, had = [self._spare], len(self._spare)
        while (wanted < 0 or had < wanted) and (piece := self._next()):
            parts.append(piece)
            had += len(piece)
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        if wanted < 0:
            wanted = had
        self._spare = data[wanted:]
        return data[:wanted]

    def read1(self, size: int = -1, /) -> bytes:
        """Read what has come, up to a size; nothing only at the end."""
        if not self._spare:
            self._spare = self._next()
        data, self._spare = (self._spare, b"") if size < 0 else (self._spare[:size], self._spare[size:])
        return data

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override] # any buffer that is written
        """Read into a buffer, as the layers of `io` do."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Let the connection go."""
        self._stack.close()
        super().close()

    def _next(self) -> bytes:
        piece = b"" if self._is_over else self._api.persist(self._path, self._receive, self._reached)
        if piece:
            self._at += len(piece)
            if self._hash:
                self._hash.update(piece)
        elif not self._is_over:
            self._is_over = True
            if self._hash and self._hash.hexdigest() != self._digest.hex:
                got = f"{self._digest.algorithm}:{self._hash.hexdigest()}"
                raise self._api.damaged(self._repository, self._digest, f"has other bytes: got {got}")
        return piece

    def _reached(self) -> int:
        self._waiting()
        return self._at

    def _receive(self) -> bytes:
        """Return the next piece, nothing at the end; Transient where the connection breaks."""
        if self._pieces is None and not self._ask():
            raise Transient("what was being read is not there any more")
        try:
            return next(self._pieces or iter(()), b"")
        except Transient:
            self._drop()
            raise

    def _ask(self) -> bool:
        """Begin to receive; return whether the blob is there."""
        headers = {"Range": f"bytes={self._at}-"} if self._at else {}
        self._drop()
        response = self._stack.enter_context(self._api.send("GET", self._path, self._scopes, headers=headers))
        if response.status == 404:
            self._drop()
            return False
        if response.status == 416 and self._at:  # nothing is left of it
            self._pieces = iter(())
            return True
        if response.status not in {200, 206}:
            raise self._api.refusal(self._api.read(response), "the blob cannot be read")
        claimed = response.headers.get("docker-content-digest")
        if claimed not in {None, str(self._digest)}:
            raise self._api.damaged(self._repository, self._digest, f"answers with {claimed}")
        self._pieces = self._wanted(response)
        return True

    def _wanted(self, response: Response) -> Iterator[bytes]:
        """Leave out what was not asked for."""
        begin = response.range_start if response.status == 206 else 0
        if begin is None or begin > self._at:
            raise Transient("the server sent another part than was asked for")
        skip = self._at - begin
        for piece in response.raw():
            if skip >= len(piece):
                skip -= len(piece)
                continue
            yield piece[skip:] if skip else piece
            skip = 0

    def _drop(self) -> None:
        self._stack.close()
        self._pieces = None
