"""A piece in, the pieces within it out: members of zip and tar archives, and what a compressor holds.

Only what could be of interest is copied out: of a checkpoint the arrays, which are most of it, are not.
What cannot be read is a finding, for there are readers that do not mind.
"""

from __future__ import annotations

import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator
from typing import IO

from lading.core.errors import ModelError
from lading.core.scan import Finding
from lading.model.compression import compression, open_source
from lading.model.sniff import may_be_pickle, reads_as_pickle
from lading.scan import rules
from lading.scan.piece import Piece, spooled

_SMALL_BYTES = 16 << 20
"""What is as small as this is always looked at; of what is larger, the beginning says whether it is."""
_START_BYTES = 1 << 16
_MOST_MEMBERS = 100_000
_DEEPEST = 8
_CLOSED = {
    b"7z\xbc\xaf\x27\x1c": "7-Zip",
    b"Rar!\x1a\x07": "RAR",
    b"MSCF": "cabinet",
    b"\x1f\x9d": "compress",
}
"""Archives that are not looked into."""
_ENCRYPTED = 0x1
_END_BYTES_MAX = 22 + 20 + 56 + (1 << 16)
"""The end of a zip archive, with what tells where it is large, and the longest comment."""
_ZSTD = b"\x28\xb5\x2f\xfd"
_INTERESTING = (
    *(b"PK\x03\x04", b"PK\x05\x06", b"\x93NUMPY", b"\x89HDF", b"{", b"[", b"<"),
    *(b"\x7fELF", b"MZ", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe", _ZSTD, *_CLOSED),
)
_FOREIGN = (
    *(OSError, ValueError, RuntimeError, NotImplementedError, EOFError, KeyError, AttributeError),
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, MemoryError, UnicodeError),
)
"""What zipfile and tarfile raise for what they do not like."""


def members(piece: Piece, followed: frozenset[str] = frozenset()) -> Generator[Piece | Finding]:
    """Yield what lies within, but for what is `followed`; each holds only until the next is asked for."""
    opened = list(_ways(piece))
    if opened and piece.depth >= _DEEPEST:
        yield unreadable(piece, piece.name, f"archives within archives, more than {_DEEPEST} deep")
        return
    for way in opened:
        try:
            for one in way(piece):
                if isinstance(one, Finding) or one.name.rpartition("!")[2] not in followed:
                    yield one
        except ModelError as error:
            issue = error.issues[0]
            yield unreadable(piece, issue.where, issue.what)
        except _FOREIGN as error:
            yield unreadable(piece, piece.name, _cut_short(error))


def _cut_short(error: BaseException) -> str:
    return f"cannot be read to its end: {str(error) or type(error).__name__}"


def unreadable(piece: Piece, where: str, what: str) -> Finding:
    """Make the finding for what cannot be followed."""
    return Finding(rules.UNREADABLE, piece.file, where, piece.last, what)


def _ways(piece: Piece) -> Iterator[Callable[[Piece], Iterator[Piece | Finding]]]:
    """Tell how it can be opened. A file may be several things to several readers, so all of them count."""
    start = piece.start(_START_BYTES)
    if any(start.startswith(magic) for magic in _CLOSED):
        yield _closed
    # a zip archive is told by its end
    if zipfile.is_zipfile(piece.path):
        yield _zip
    elif start.startswith(b"PK\x03\x04"):
        yield _broken_zip
    if _is_tar(start):
        yield _tar
    elif start.startswith(_ZSTD):
        yield _zstd
    elif compression(start) and not reads_as_pickle(piece.model_file):
        # a compressed pickle is followed as it is
        yield _inflated


def _closed(piece: Piece) -> Iterator[Finding]:
    start = piece.start(8)
    kind = next(name for magic, name in _CLOSED.items() if start.startswith(magic))
    yield unreadable(piece, piece.name, f"an archive of {kind}, which is not looked into here")


def _broken_zip(piece: Piece) -> Iterator[Finding]:
    yield unreadable(piece, piece.name, "begins as a zip archive and does not end as one")


def _zip(piece: Piece) -> Iterator[Piece | Finding]:
    with zipfile.ZipFile(piece.path) as archive:
        entries = archive.infolist()
        if len(entries) > _MOST_MEMBERS:
            yield unreadable(piece, piece.name, f"holds more than {_MOST_MEMBERS} members")
            return
        if not _is_where_told(piece, archive.start_dir):
            what = "its directory does not lie where its end says: there are readers that take another"
            yield unreadable(piece, piece.name, what)
        if _has_unlisted(piece, entries):
            what = "holds a member that its directory does not list, which there are readers that find"
            yield unreadable(piece, piece.name, what)
        for entry in entries:
            if entry.is_dir() and not entry.file_size:
                continue
            if entry.flag_bits & _ENCRYPTED:
                where = f"{piece.name}!{entry.filename}"
                yield unreadable(piece, where, "marked as encrypted, which there are readers that ignore")
                continue
            try:
                with archive.open(entry) as stream:
                    yield from _member(piece, entry.filename, stream, entry.file_size, entry.compress_size)
            except _FOREIGN as error:
                where = f"{piece.name}!{entry.filename}"
                yield unreadable(piece, where, _cut_short(error))


def _is_where_told(piece: Piece, directory_at: int) -> bool:
    """Tell whether the directory that was read, the one before the end, lies where the end says."""
    with piece.path.open("rb") as stream:
        stream.seek(max(piece.size_bytes - _END_BYTES_MAX, 0))
        tail = stream.read()
        at = tail.rfind(b"PK\x05\x06")
        told = int.from_bytes(tail[at + 16 : at + 20], "little")
        if told == 0xFFFFFFFF and tail[at - 20 : at - 16] == b"PK\x06\x07":
            stream.seek(int.from_bytes(tail[at - 12 : at - 4], "little"))
            told = int.from_bytes(stream.read(56)[48:56], "little")
    return told == directory_at


def _has_unlisted(piece: Piece, entries: list[zipfile.ZipInfo]) -> bool:
    """Tell whether another member stands before all that the directory lists, or behind one of them."""
    starts = {entry.header_offset for entry in entries}
    if piece.start(4) == b"PK\x03\x04" and 0 not in starts:
        return True
    with piece.path.open("rb") as stream:
        for entry in entries:
            stream.seek(entry.header_offset)
            head = stream.read(30)
            end = entry.header_offset + len(head) + entry.compress_size
            end += int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little")
            stream.seek(end)
            behind = stream.read(28)
            # sizes may be told once more, behind the data
            found = next((at for at in (0, 12, 16, 20, 24) if behind[at : at + 4] == b"PK\x03\x04"), None)
            if found is not None and end + found not in starts:
                return True
    return False


def _is_tar(start: bytes) -> bool:
    """Tell by the checksum of the first header, for the oldest archives have no magic number."""
    blank = len(start) - len(start.lstrip(b"\0"))
    begins = blank // 512 * 512
    try:
        tarfile.TarInfo.frombuf(start[begins : begins + 512], "utf-8", "surrogateescape")
    except (tarfile.TarError, ValueError):
        return False
    return True


def _tar(piece: Piece) -> Iterator[Piece | Finding]:
    # there are readers that go on behind the end, so that one archive may follow another
    with tarfile.open(piece.path, "r:", ignore_zeros=True) as archive:
        for count, entry in enumerate(archive, start=1):
            if count > _MOST_MEMBERS:
                yield unreadable(piece, piece.name, f"holds more than {_MOST_MEMBERS} members")
                return
            stream = archive.extractfile(entry) if entry.isreg() else None
            if stream is not None:
                with stream:
                    yield from _member(piece, entry.name, stream, entry.size, entry.size)


def _zstd(piece: Piece) -> Iterator[Piece | Finding]:
    import sys

    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd

    with (
        zstd.open(piece.path) as stream,
        spooled(piece, "zstd", b"", stream.read, piece.limit_bytes()) as one,
    ):
        yield one


def _inflated(piece: Piece) -> Iterator[Piece]:
    with open_source(piece.path, piece.name) as (source, compressor):
        read = source.stream.read
        with spooled(piece, compressor or "", read(1 << 18), read, piece.limit_bytes()) as one:
            yield one


def _member(
    piece: Piece, name: str, stream: IO[bytes], size_bytes: int, packed_bytes: int
) -> Iterator[Piece]:
    """Give a member where it could be of interest."""
    first = stream.read(_START_BYTES)
    if size_bytes <= _SMALL_BYTES or _is_interesting(first, name):
        with spooled(piece, name, first, stream.read, piece.limit_bytes(packed_bytes)) as one:
            yield one


def _is_interesting(first: bytes, name: str) -> bool:
    """Tell by the beginning of a large member, or by its name."""
    if first.startswith(_INTERESTING) or compression(first) or _is_tar(first):
        return True
    return may_be_pickle(first) or name.endswith((".pkl", ".pickle", ".pb", ".onnx", ".xml", ".pmml"))
