"""A wheel's RECORD: text in, paths with hash and length out, and the other way round (PEP 376, PEP 627)."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Iterable

from lading.core.digest import Digest
from lading.core.errors import IntegrityError, Issue

Recorded = dict[str, tuple[Digest, int]]
Row = tuple[str, tuple[Digest, int] | None]
_HASHES = {"sha256": 32, "sha384": 48, "sha512": 64}  # "sha256 or better"


def parse(data: bytes) -> Recorded:
    """Read the rows that have a hash and a length; raise IntegrityError for a malformed text.

    Of two rows for a path the last one counts, as in every installer.
    """
    recorded: Recorded = {}
    try:
        for path, encoded, size in csv.reader(io.StringIO(data.decode(), newline=""), strict=True):
            if encoded and size:
                recorded[path] = _parse_hash(encoded), int(size)
    except (ValueError, csv.Error) as error:
        raise IntegrityError(Issue("RECORD", f"is malformed ({error})")) from error
    return recorded


def text(rows: Iterable[Row]) -> bytes:
    """Write rows, sorted by path; law: `parse(text(rows)) == dict(rows)` where each has hash and length."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    for path, entry in sorted(rows, key=lambda row: row[0].encode()):
        if entry is None:
            writer.writerow((path, "", ""))
            continue
        digest, size_bytes = entry
        encoded = base64.urlsafe_b64encode(bytes.fromhex(digest.hex)).decode().rstrip("=")
        writer.writerow((path, f"{digest.algorithm}={encoded}", size_bytes))
    return stream.getvalue().encode()


def _parse_hash(encoded: str) -> Digest:
    """Read `sha256=<unpadded base64>`; ValueError for anything else, or a hash weaker than SHA-256."""
    algorithm, _, value = encoded.partition("=")
    raw = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))  # binascii.Error is a ValueError
    if len(raw) != _HASHES.get(algorithm):
        raise ValueError(f"got hash {encoded!r}, expected one of {', '.join(_HASHES)}")
    return Digest(algorithm, raw.hex())
