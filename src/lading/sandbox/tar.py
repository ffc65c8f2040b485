"""A tar stream in; its members, one after another, out. Nothing in it is believed: not a name, not a length.

ustar and pax (POSIX.1-2001), and GNU's long names. The caller reads a member's contents, exactly, before it
asks for the next member.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Literal

from lading.core.errors import IntegrityError, Issue

BLOCK_BYTES = 512
_META_BYTES_MAX = 1 << 20
_NUL_BLOCK = bytes(BLOCK_BYTES)
_MODES = 0o1777  # neither setuid nor setgid
Kind = Literal["file", "folder", "symlink", "hardlink", "special"]
_KINDS: dict[bytes, Kind] = {
    b"0": "file",
    b"\0": "file",
    b"7": "file",
    b"1": "hardlink",
    b"2": "symlink",
    b"5": "folder",
}
_SPECIAL = frozenset({b"3", b"4", b"6"})
"""Devices and pipes."""
_KNOWN_KEYS = frozenset({b"path", b"linkpath", b"size"})
_PAX, _PAX_GLOBAL, _GNU_NAME, _GNU_LINK = b"x", b"g", b"L", b"K"


@dataclass(frozen=True, slots=True)
class Member:
    """One entry. `path` is relative and clean; so is the `target` of a hard link, not that of a symlink."""

    path: str
    kind: Kind
    size_bytes: int
    mode: int
    mtime_s: int
    target: str


def members(
    stream: IO[bytes], seen: Callable[[bytes], object], where: str, *, foreign: bool = False
) -> Iterator[tuple[Member, Callable[[int], bytes]]]:
    """Yield each member with a function that reads its contents; `seen` is given every byte of the tar.

    Raises IntegrityError where the tar is broken, escapes, or holds devices. In a `foreign` tar, which lading
    did not make, devices are `special` members, and a path that begins with a slash is one below the root.
    """
    reader = _Reader(stream, seen, where)
    extended: dict[str, str] = {}
    while (header := reader.exactly(BLOCK_BYTES)) != _NUL_BLOCK:
        kind, size_bytes = _checked(header, where)
        if kind in {_PAX, _PAX_GLOBAL, _GNU_NAME, _GNU_LINK}:
            if size_bytes > _META_BYTES_MAX:
                raise IntegrityError(Issue(where, f"got {size_bytes} bytes of metadata for one member"))
            data = reader.exactly(size_bytes)
            reader.skip_padding(size_bytes)
            extended |= _metadata(kind, data, where)
            continue
        member = _member(header, kind, size_bytes, extended, where, foreign=foreign)
        extended = {}
        yield member, reader.exactly
        reader.skip_padding(member.size_bytes)
    reader.drain(strict=not foreign)


class _Reader:
    """Read exactly what is asked for, and show it to `seen`."""

    def __init__(self, stream: IO[bytes], seen: Callable[[bytes], object], where: str) -> None:
        self._read, self._seen, self._where = stream.read, seen, where

    def exactly(self, size_bytes: int) -> bytes:
        data = self._read(size_bytes)
        if len(data) != size_bytes:
            raise IntegrityError(Issue(self._where, "the layer's tar ends early"))
        self._seen(data)
        return data

    def skip_padding(self, size_bytes: int) -> None:
        if padding := -size_bytes % BLOCK_BYTES:
            self.exactly(padding)

    def drain(self, *, strict: bool) -> None:
        """Take what follows the end mark: zeros, which count for the digest."""
        while data := self._read(1 << 16):
            if strict and data.count(0) != len(data):
                raise IntegrityError(Issue(self._where, "bytes follow the end of the layer's tar"))
            self._seen(data)


def _checked(header: bytes, where: str) -> tuple[bytes, int]:
    """Return the type and the size of a member whose header sums up."""
    claimed = _number(header[148:156], where)
    if claimed != sum(header) - sum(header[148:156]) + 8 * 0x20:
        raise IntegrityError(Issue(where, "a header of the layer's tar does not sum up"))
    return header[156:157], _number(header[124:136], where)


def _number(field: bytes, where: str) -> int:
    """Read octal digits, or GNU's big-endian binary."""
    if field[0] & 0x80:
        return int.from_bytes(field[1:], "big")
    try:
        return int(field.strip(b"\0 ") or b"0", 8)
    except ValueError:
        raise IntegrityError(Issue(where, f"got number {field!r} in the layer's tar")) from None


def _metadata(kind: bytes, data: bytes, where: str) -> dict[str, str]:
    """Read a pax header's records, or a GNU long name, for the member that follows."""
    if kind == _GNU_NAME:
        return {"path": _text(data, where)}
    if kind == _GNU_LINK:
        return {"linkpath": _text(data, where)}
    records, is_sparse = {}, False
    while data:
        length, space, _ = data.partition(b" ")
        if not space or not length.isdigit() or not 0 < int(length) <= len(data):
            raise IntegrityError(Issue(where, "a pax header of the layer's tar is broken"))
        key, _, value = data[len(length) + 1 : int(length) - 1].partition(b"=")
        if key in _KNOWN_KEYS:  # an extended attribute's value may be any bytes
            records[key.decode()] = _text(value, where)
        is_sparse |= key.startswith(b"GNU.sparse")
        data = data[int(length) :]
    if kind == _PAX_GLOBAL:
        return {}
    if is_sparse:
        raise IntegrityError(Issue(where, "a sparse member in the layer's tar is not supported"))
    return records


def _text(data: bytes, where: str) -> str:
    try:
        return data.rstrip(b"\0").decode()
    except UnicodeDecodeError:
        raise IntegrityError(Issue(where, f"got name {data[:80]!r}, expected UTF-8")) from None


def _member(
    header: bytes, kind: bytes, size_bytes: int, extended: dict[str, str], where: str, *, foreign: bool
) -> Member:
    name = extended.get("path")
    if name is None:
        name = _text(header[:100].partition(b"\0")[0], where)
        prefix = header[345:500].partition(b"\0")[0] if header[257:263] == b"ustar\0" else b""
        name = f"{_text(prefix, where)}/{name}" if prefix else name
    known: Kind | None = "special" if foreign and kind in _SPECIAL else _KINDS.get(kind)
    if known is None:
        what = f"got a member of type {kind!r}, expected a file, folder or link"
        raise IntegrityError(Issue(f"{where}: {name}", what))
    target = extended.get("linkpath")
    if target is None:
        target = _text(header[157:257].partition(b"\0")[0], where)
    if foreign:
        name = name.lstrip("/")
        target = target.lstrip("/") if known == "hardlink" else target
    if known == "file":
        size = extended.get("size", "")
        size_bytes = int(size) if size.isdecimal() else size_bytes
    else:
        size_bytes = 0
    return Member(
        _clean(name, where, may_be_root=known == "folder"),
        known,
        size_bytes,
        _number(header[100:108], where) & _MODES,
        min(_number(header[136:148], where), 1 << 33),
        _clean(target, where, may_be_root=False) if known == "hardlink" else target,
    )


def _clean(path: str, where: str, *, may_be_root: bool) -> str:
    """Return a path without './' and doubled slashes; refuse one that leads out."""
    parts = [part for part in path.split("/") if part not in {"", "."}]
    if path.startswith("/") or ".." in parts or "\0" in path or not (parts or may_be_root):
        raise IntegrityError(Issue(where, f"got member {path!r}, expected a path below the root"))
    return "/".join(parts)
