"""Files, directories and links in; one compressed, deterministic tar in a blob out.

The tar is ustar (POSIX.1-2001), with a pax header only where a name or a length does not fit. Everything
belongs to 0:0 and dates from 1970. A file that is deflated already is spliced: its stream becomes a gzip
member verbatim.
"""

from __future__ import annotations

import gzip
import hashlib
import re
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from lading.core.digest import Digest
from lading.core.errors import IntegrityError, Issue
from lading.core.ports import BlobWriter
from lading.layers.compress import (
    BLOCK_BYTES,
    GZIP_HEADER,
    Compression,
    compressor,
    gzip_trailer,
    inflate,
)

_TAR_BLOCK = 512
_REGULAR, _SYMLINK, _DIRECTORY, _PAX = b"0", b"2", b"5", b"x"
_NAME_BYTES, _PREFIX_BYTES, _PATH_BYTES, _COMPONENT_BYTES = 100, 155, 4095, 255
_OCTAL_LIMIT = 8**11
_WHITEOUT = b".wh."
_UNSAFE = re.compile(r"\0|(?:\A|/)(?:\.{0,2}(?:/|\Z)|\.wh\.)")
_SPLICED_FROM_BYTES = 1024  # shorter files cost less in their header's member than in one of their own


@contextmanager
def opened(blob: IO[bytes]) -> Iterator[tarfile.TarFile]:
    """Read a layer's gzip-compressed tar once, from first to last.

    Raises what tarfile and gzip do. A blob has many gzip members, of which tarfile itself reads the first.
    """
    with gzip.GzipFile(fileobj=blob) as data, tarfile.open(fileobj=data, mode="r|") as archive:
        yield archive


@dataclass(frozen=True, slots=True)
class SealedTar:
    """A layer in its blob: the digest of the tar, and digest and length of what was written."""

    diff_id: Digest
    digest: Digest
    size_bytes: int
    tar_bytes: int


class LayerWriter:
    """Write one layer into a blob. Entries come in the caller's order; parents are added once, mode 0755.

    Paths are relative to the image's root, with forward slashes. IntegrityError for one that escapes, comes
    twice, lies under a file or link, or means a deletion to an image engine (`.wh.`).
    """

    def __init__(self, blob: BlobWriter, *, compression: Compression = "gzip") -> None:
        """Begin a layer; `finish` commits the blob."""
        self._blob = blob
        self._compress = compressor(compression)
        self._splices = compression == "gzip"
        self._modes: dict[str, int | None] = {"": 0o755}  # None: not a directory
        self._plain = bytearray()  # tar bytes that are in no member yet
        self._tar_hash = hashlib.sha256()
        self._tar_bytes = 0
        self._size_bytes = 0

    def directory(self, path: str, mode: int = 0o755) -> None:
        """Add a directory; nothing happens where it is there already with this mode."""
        if path in self._modes and self._modes[path] == mode:
            return
        self._enter(path, mode)
        self._add(_header(path, mode, _DIRECTORY))

    def file(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Add a small file."""
        self._enter(path, None)
        self._add(_header(path, mode, _REGULAR, size_bytes=len(data)))
        self._add(data)
        self._pad(len(data))

    def stream(self, path: str, source: IO[bytes], size_bytes: int, mode: int = 0o644) -> None:
        """Add a file of any length; blocks that do not shrink are stored.

        IntegrityError when the source has another length.
        """
        self.chunks(path, iter(lambda: source.read(BLOCK_BYTES), b""), size_bytes, mode)

    def chunks(self, path: str, chunks: Iterable[bytes], size_bytes: int, mode: int = 0o644) -> None:
        """Add a file given in chunks, as `stream` does."""
        self._enter(path, None)
        self._add(_header(path, mode, _REGULAR, size_bytes=size_bytes))
        left = size_bytes
        for chunk in chunks:
            left -= len(chunk)
            if left < 0:
                break
            self._add(chunk)
        if left:
            what = f"its length is not {size_bytes} bytes: did it change meanwhile?"
            raise IntegrityError(Issue(path, what))
        self._pad(size_bytes)

    def deflated(
        self,
        path: str,
        chunks: Iterable[bytes],
        *,
        size_bytes: int,
        crc32: int,
        digest: Digest | None = None,
        mode: int = 0o644,
    ) -> None:
        """Add a file given as a raw deflate stream (RFC 1951), spliced in verbatim.

        It is inflated for the layer's diff ID alone. IntegrityError when the contents have not this length,
        CRC-32 or digest.
        """
        self._enter(path, None)
        self._add(_header(path, mode, _REGULAR, size_bytes=size_bytes))
        splices = self._splices and size_bytes >= _SPLICED_FROM_BYTES
        if splices:
            self._flush()
        contents_hash = hashlib.new(digest.algorithm) if digest else None
        before = GZIP_HEADER
        try:
            for raw, plain in inflate(chunks, size_bytes, crc32):
                if contents_hash:
                    contents_hash.update(plain)
                if splices:
                    self._count(plain)
                    self._emit(before + raw)
                    before = b""
                else:
                    self._add(plain)
        except ValueError as error:
            raise IntegrityError(Issue(path, str(error))) from error
        if digest and contents_hash and contents_hash.hexdigest() != digest.hex:
            got = Digest(digest.algorithm, contents_hash.hexdigest())
            raise IntegrityError(Issue(path, f"got {got}, expected {digest}"))
        if splices:
            self._emit(gzip_trailer(crc32, size_bytes))
        self._pad(size_bytes)

    def symlink(self, path: str, target: str) -> None:
        """Add a symbolic link; its target is kept as it stands."""
        self._enter(path, None)
        self._add(_header(path, 0o777, _SYMLINK, target=target))

    def finish(self) -> SealedTar:
        """End the tar, commit the blob and return what it is."""
        self._add(bytes(2 * _TAR_BLOCK))
        self._flush()
        digest = self._blob.commit()
        diff_id = Digest("sha256", self._tar_hash.hexdigest())
        return SealedTar(diff_id, digest, self._size_bytes, self._tar_bytes)

    def _enter(self, path: str, mode: int | None) -> None:
        """Check a path, remember it, and add the parents that are not there yet."""
        if path in self._modes:
            raise IntegrityError(Issue(path, "comes twice in one layer"))
        check_path(path)
        missing = []
        parent = path.rpartition("/")[0]
        while parent not in self._modes:
            missing.append(parent)
            parent = parent.rpartition("/")[0]
        if self._modes[parent] is None:
            raise IntegrityError(Issue(path, f"{parent!r} is not a directory"))
        for one in reversed(missing):
            check_path(one)
            self._modes[one] = 0o755
            self._add(_header(one, 0o755, _DIRECTORY))
        self._modes[path] = mode

    def _pad(self, size_bytes: int) -> None:
        self._add(bytes(-size_bytes % _TAR_BLOCK))

    def _add(self, data: bytes) -> None:
        """Append bytes of the tar that go through the compressor."""
        self._plain += data
        while len(self._plain) >= BLOCK_BYTES:
            self._member(bytes(self._plain[:BLOCK_BYTES]))
            del self._plain[:BLOCK_BYTES]

    def _flush(self) -> None:
        if self._plain:
            self._member(bytes(self._plain))
            self._plain.clear()

    def _member(self, block: bytes) -> None:
        self._count(block)
        self._emit(self._compress(block))

    def _count(self, plain: bytes) -> None:
        self._tar_hash.update(plain)
        self._tar_bytes += len(plain)

    def _emit(self, data: bytes) -> None:
        self._size_bytes += len(data)
        self._blob.write(data)


def check_path(path: str) -> None:
    """Raise IntegrityError for a path that is not plainly below the image's root, or deletes there."""
    if not _UNSAFE.search(path) and path.isascii() and len(path) <= _COMPONENT_BYTES:
        return
    try:
        parts = path.encode().split(b"/")
    except UnicodeEncodeError as error:
        raise IntegrityError(Issue(ascii(path), "expected a name in UTF-8")) from error
    problem = None
    if any(part.startswith(_WHITEOUT) for part in parts):
        problem = "a name that begins with '.wh.' deletes files in an image"
    elif _UNSAFE.search(path):
        problem = "expected a relative path without '.', '..' and empty parts"
    elif sum(map(len, parts)) + len(parts) > _PATH_BYTES or max(map(len, parts)) > _COMPONENT_BYTES:
        problem = f"longer than {_PATH_BYTES} bytes, or than {_COMPONENT_BYTES} between two slashes"
    if problem:
        raise IntegrityError(Issue(repr(path)[:200], problem))


def _header(path: str, mode: int, kind: bytes, *, size_bytes: int = 0, target: str = "") -> bytes:
    """Return the header of an entry, behind a pax header where ustar cannot hold it."""
    name, link = path.encode() + (b"/" if kind == _DIRECTORY else b""), target.encode()
    records = b""
    split = _split(name) if path.isascii() else None
    if split is None:
        records += _record(b"path", name)
        split = b"", path.encode("ascii", "replace")[:_NAME_BYTES]
    if len(link) > _NAME_BYTES or not target.isascii():
        records += _record(b"linkpath", link)
        link = target.encode("ascii", "replace")[:_NAME_BYTES]
    if size_bytes >= _OCTAL_LIMIT:
        records += _record(b"size", b"%d" % size_bytes)
    prefix, name = split
    entry = _ustar(name, mode, size_bytes % _OCTAL_LIMIT, kind, link, prefix)
    if not records:
        return entry
    padding = bytes(-len(records) % _TAR_BLOCK)
    return _ustar(b"././@PaxHeader", 0o644, len(records), _PAX, b"", b"") + records + padding + entry


def _split(name: bytes) -> tuple[bytes, bytes] | None:
    """Split a path into ustar's prefix and name; None where it does not fit."""
    if len(name) <= _NAME_BYTES:
        return b"", name
    at = name.rfind(b"/", 0, min(_PREFIX_BYTES + 1, len(name) - 1))
    if at <= 0 or len(name) - at - 1 > _NAME_BYTES:
        return None
    return name[:at], name[at + 1 :]


def _record(key: bytes, value: bytes) -> bytes:
    """Return a pax record, `length key=value`, whose length counts its own digits (POSIX pax)."""
    size_bytes = len(key) + len(value) + 3
    while size_bytes != (full := len(key) + len(value) + 3 + len(b"%d" % size_bytes)):
        size_bytes = full
    return b"%d %s=%s\n" % (size_bytes, key, value)


def _ustar(name: bytes, mode: int, size_bytes: int, kind: bytes, link: bytes, prefix: bytes) -> bytes:  # noqa: PLR0917 (the format's own fields, in its order)
    """Return one ustar block (POSIX.1-2001, pax, "ustar Interchange Format")."""
    head = b"%b%07o\x000000000\x000000000\x00%011o\x0000000000000\x00" % (
        name.ljust(_NAME_BYTES, b"\0"),
        mode & 0o7777,
        size_bytes,
    )
    tail = b"%b%bustar\x0000%b0000000\x000000000\x00%b%b" % (
        kind,
        link.ljust(_NAME_BYTES, b"\0"),
        bytes(64),
        prefix.ljust(_PREFIX_BYTES, b"\0"),
        bytes(12),
    )
    checksum = sum(head) + sum(tail) + 8 * 0x20
    return b"%b%06o\0 %b" % (head, checksum, tail)
