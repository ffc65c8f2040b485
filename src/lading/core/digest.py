"""Digests, as the OCI image specification writes them: `algorithm:hex`."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import IO

from lading.core.errors import IntegrityError, Issue

_LENGTHS = {"sha256": 64, "sha512": 128}
_HEX = re.compile(r"[0-9a-f]+\Z")
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """A digest. Law: `str(Digest.parse(text)) == text`."""

    algorithm: str
    hex: str

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Read `sha256:<64 hex>` or `sha512:<128 hex>`, lower case only.

        Raises IntegrityError for anything else (OCI image spec, descriptor.md, "Digests").
        """
        algorithm, _, value = text.partition(":")
        if len(value) != _LENGTHS.get(algorithm) or not _HEX.match(value):
            what = f"got {text!r}, expected 'sha256:' and 64 lower-case hexadecimal digits"
            raise IntegrityError(Issue("digest", what))
        return cls(algorithm, value)

    @classmethod
    def of(cls, data: bytes | bytearray | memoryview) -> Digest:
        """Compute the SHA-256 digest of bytes in memory."""
        return cls("sha256", hashlib.sha256(data).hexdigest())

    @classmethod
    def of_stream(cls, stream: IO[bytes]) -> Digest:
        """Compute the SHA-256 digest of a stream, a chunk at a time."""
        state = hashlib.sha256()
        while chunk := stream.read(CHUNK_BYTES):
            state.update(chunk)
        return cls("sha256", state.hexdigest())

    def __str__(self) -> str:
        """Print `algorithm:hex`."""
        return f"{self.algorithm}:{self.hex}"

    @property
    def short(self) -> str:
        """Twelve digits, for people."""
        return self.hex[:12]
