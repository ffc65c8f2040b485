"""A zip file in; its members, checked against each other and against their local headers, out.

The central directory alone says what the archive holds; a local header that disagrees is an error. Members
are handed out as they are stored (raw), so that a deflate stream can be spliced into a layer.
"""

from __future__ import annotations

import os
import stat
import struct
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO

from lading.core.errors import IntegrityError, Issue
from lading.layers.compress import BLOCK_BYTES, checked, inflate
from lading.layers.tar import check_path

READ_LIMIT_BYTES = 64 << 20
_LOCAL_HEADER = struct.Struct("<4s5H3I2H")  # APPNOTE.TXT 4.3.7
_ENCRYPTED, _DESCRIPTOR, _PATCH, _STRONG, _UTF8, _MASKED = 0x1, 0x8, 0x20, 0x40, 0x800, 0x2000
_ZIP64 = 0xFFFF_FFFF
_MAX_DEFLATE_RATIO = 1032  # no deflate stream inflates to more
_MAX_RATIO = 200
_RATIO_FREE_BYTES = 64 << 20
_MALFORMED = (zipfile.BadZipFile, struct.error, ValueError, EOFError, NotImplementedError, OverflowError)


@dataclass(frozen=True, slots=True)
class Member:
    """A file of the archive. `offset` is where its stored bytes begin."""

    name: str
    executable: bool
    deflated: bool
    size_bytes: int
    stored_bytes: int
    crc32: int
    offset: int


def raw(descriptor: int, member: Member) -> Iterator[bytes]:
    """Yield a member's stored bytes out of an open archive; IntegrityError where it is truncated."""
    offset, left = member.offset, member.stored_bytes
    while left:
        chunk = os.pread(descriptor, min(left, BLOCK_BYTES), offset)
        if not chunk:
            raise IntegrityError(Issue(member.name, "the archive is truncated"))
        yield chunk
        offset += len(chunk)
        left -= len(chunk)


def contents(descriptor: int, member: Member) -> Iterator[bytes]:
    """Yield a member's contents; IntegrityError where they are broken, or length or CRC-32 differ."""
    chunks = raw(descriptor, member)
    try:
        if member.deflated:
            yield from (plain for _, plain in inflate(chunks, member.size_bytes, member.crc32))
        else:
            yield from checked(chunks, member.size_bytes, member.crc32)
    except ValueError as error:
        raise IntegrityError(Issue(member.name, str(error))) from error


def read(descriptor: int, member: Member) -> bytes:
    """Return a small member's contents; IntegrityError as `contents` does, and above 64 MiB."""
    if member.size_bytes > READ_LIMIT_BYTES:
        what = f"got {member.size_bytes} bytes, expected at most {READ_LIMIT_BYTES}"
        raise IntegrityError(Issue(member.name, what))
    return b"".join(contents(descriptor, member))


def members(file: IO[bytes], where: str) -> dict[str, Member]:
    """List the files of a zip file by name; raise IntegrityError with every issue of its directory.

    Refused: encrypted members, methods other than stored and deflate, links and devices, paths that escape or
    come twice, members that overlap, lengths that cannot be, local headers that disagree with the directory.
    `where` names the archive in messages.
    """
    infos, directory_offset = _directory(file, where)
    issues = [Issue(f"{where}: {name}", what) for name, what in _issues(infos, file.fileno())]
    if issues:
        raise IntegrityError(*issues)
    located = _located(file.fileno(), infos, directory_offset, where)
    return {member.name: member for member in located}


def _directory(file: IO[bytes], where: str) -> tuple[list[zipfile.ZipInfo], int]:
    """Read the central directory; return its entries and where it begins."""
    try:
        with zipfile.ZipFile(file) as archive:
            return archive.infolist(), archive.start_dir
    except _MALFORMED as error:
        raise IntegrityError(Issue(where, f"is not a well-formed zip file ({error})")) from error


def _issues(infos: Iterable[zipfile.ZipInfo], descriptor: int) -> Iterator[tuple[str, str]]:
    """Yield name and problem of every entry of the directory that cannot be accepted."""
    seen: set[str] = set()
    total_bytes = 0
    for info in infos:
        name = info.orig_filename
        if name in seen:
            yield name, "comes twice"
        seen.add(name)
        total_bytes += info.file_size
        yield from ((name, problem) for problem in _problems(info))
    limit_bytes = _RATIO_FREE_BYTES + _MAX_RATIO * os.fstat(descriptor).st_size
    if total_bytes > limit_bytes:
        yield "all members", f"claim {total_bytes} bytes, expected at most {limit_bytes}"


def _problems(info: zipfile.ZipInfo) -> Iterator[str]:
    name, kind = info.orig_filename, stat.S_IFMT(info.external_attr >> 16)
    is_directory = name.endswith("/")
    try:
        check_path(name.removesuffix("/"))
    except IntegrityError as error:
        yield error.issues[0].what
    if "\\" in name:
        yield "has a backslash in its name"
    if info.flag_bits & (_ENCRYPTED | _STRONG | _MASKED):
        yield "is encrypted"
    if info.flag_bits & _PATCH or info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        yield f"got compression method {info.compress_type}, expected stored or deflate"
    if kind and kind != (stat.S_IFDIR if is_directory else stat.S_IFREG):
        yield "is neither a file nor a directory"
    if is_directory and info.file_size:
        yield "is a directory with contents"
    stored = info.compress_type == zipfile.ZIP_STORED
    most_bytes = info.compress_size if stored else _MAX_DEFLATE_RATIO * info.compress_size
    if info.file_size > most_bytes or (stored and info.file_size != info.compress_size):
        yield f"claims {info.file_size} bytes out of {info.compress_size}"


def _located(
    descriptor: int, infos: Iterable[zipfile.ZipInfo], directory_offset: int, where: str
) -> Iterator[Member]:
    """Find the members' bytes behind their local headers, none of which may reach into the next one."""
    end = 0
    for info in sorted(infos, key=lambda one: one.header_offset):
        name = info.orig_filename
        start = info.header_offset
        offset = start + _local_header_bytes(descriptor, info, f"{where}: {name}") if start >= end else -1
        end = offset + info.compress_size
        if offset < 0 or end > directory_offset:
            raise IntegrityError(Issue(f"{where}: {name}", "overlaps another member or the directory"))
        mode = info.external_attr >> 16
        if not name.endswith("/"):
            yield Member(
                name,
                executable=stat.S_ISREG(mode) and bool(mode & 0o111),
                deflated=info.compress_type == zipfile.ZIP_DEFLATED,
                size_bytes=info.file_size,
                stored_bytes=info.compress_size,
                crc32=info.CRC,
                offset=offset,
            )


def _local_header_bytes(descriptor: int, info: zipfile.ZipInfo, where: str) -> int:
    """Return the length of a local header that agrees with the directory; raise IntegrityError otherwise."""
    encoding = "utf-8" if info.flag_bits & _UTF8 else "cp437"
    expected_name = info.orig_filename.encode(encoding)
    data = os.pread(descriptor, _LOCAL_HEADER.size + len(expected_name), info.header_offset)
    if len(data) < _LOCAL_HEADER.size:
        raise IntegrityError(Issue(where, "the archive is truncated"))
    signature, _, flags, method, _, _, *numbers, name_bytes, extra_bytes = _LOCAL_HEADER.unpack_from(data)
    name = data[_LOCAL_HEADER.size :]
    same = signature == b"PK\x03\x04" and method == info.compress_type
    same = same and name_bytes == len(expected_name) and name == expected_name
    same = same and not (flags ^ info.flag_bits) & (_ENCRYPTED | _DESCRIPTOR | _UTF8)
    for got, expected in zip(numbers, (info.CRC, info.compress_size, info.file_size), strict=True):
        deferred = bool(flags & _DESCRIPTOR) and got == 0
        same = same and (got in {expected, _ZIP64} or deferred)
    if not same:
        raise IntegrityError(Issue(where, "its local header disagrees with the directory"))
    return _LOCAL_HEADER.size + int(name_bytes) + int(extra_bytes)
