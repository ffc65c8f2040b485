"""Libraries in; the cache in which the dynamic linker finds them, `/etc/ld.so.cache`, out.

What `ldconfig` would write, without running it. Source: glibc, sysdeps/generic/dl-cache.h ("new format") and
elf/cache.c; elf(5) for what a library calls itself.
"""

from __future__ import annotations

import functools
import re
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_MAGIC = b"glibc-ld.so.cache1.1"
_HEADER = struct.Struct("<20sIIB3xI12x")
_ENTRY = struct.Struct("<iIIIQ")
_LITTLE_ENDIAN = 2
_SUBFOLDER = 1 << 62
"""Set in the capabilities of what is for some processors alone, whose names stand elsewhere in the cache."""
_FLAGS = {62: 0x0303, 183: 0x0A03}  # x86-64 and AArch64, each with glibc
_PIECES = re.compile(r"\d+|\D")
_LOAD, _DYNAMIC = 1, 2
_DT_STRTAB, _DT_SONAME = 5, 14


@dataclass(frozen=True, slots=True)
class Entry:
    """A library: what programs ask for, and the file they get."""

    name: str
    path: str
    flags: int
    version: int = 0
    capabilities: int = 0


def parse(cache: bytes) -> list[Entry]:
    """Read a cache, also one that has the old format before the new; empty where it is none that is known."""
    start = cache.find(_MAGIC)
    if start < 0 or len(cache) < start + _HEADER.size:
        return []
    cache = cache[start:]
    _, count, _, _, _ = _HEADER.unpack_from(cache)
    if _HEADER.size + count * _ENTRY.size > len(cache):
        return []
    rows = _ENTRY.iter_unpack(cache[_HEADER.size : _HEADER.size + count * _ENTRY.size])
    return [
        Entry(_text(cache, key), _text(cache, value), flags, version, capabilities)
        for flags, key, value, version, capabilities in rows
        if not capabilities & _SUBFOLDER  # beside each of them stands one for any processor
    ]


def encode(entries: Iterable[Entry]) -> bytes:
    """Write a cache in the order that the linker's search expects; equal entries, equal bytes."""
    unique = sorted(set(entries), key=lambda one: (one.path, one.capabilities))
    ordered = sorted(unique, key=functools.cmp_to_key(_compare), reverse=True)
    start = _HEADER.size + len(ordered) * _ENTRY.size
    places: dict[str, int] = {}
    strings = bytearray()
    for one in ordered:
        for text in (one.name, one.path):
            if text not in places:
                places[text] = start + len(strings)
                strings += text.encode() + b"\0"
    rows = [
        _ENTRY.pack(one.flags, places[one.name], places[one.path], one.version, one.capabilities)
        for one in ordered
    ]
    header = _HEADER.pack(_MAGIC, len(ordered), len(strings), _LITTLE_ENDIAN, 0)
    return b"".join((header, *rows, strings))


def merge(cache: Sequence[Entry], added: Sequence[Entry]) -> bytes:
    """Add libraries to a cache; what it has already under a name stays first."""
    known = {(one.name, one.flags) for one in cache}
    return encode([*cache, *(one for one in added if (one.name, one.flags) not in known)])


def entries(libraries: Iterable[tuple[str, bytes]]) -> list[Entry]:
    """Return an entry for each shared library among files, given by path relative to the root.

    A package brings the link by which its library is found under the name that it calls itself.
    """
    found = []
    for path, data in libraries:
        if (read := soname(data)) is not None:
            machine, name = read
            folder, _, own = path.rpartition("/")
            found.append(Entry(name or own, f"/{folder}/{name or own}", _FLAGS[machine]))
    return found


def soname(data: bytes) -> tuple[int, str] | None:
    """Return a library's processor and what it calls itself, perhaps nothing; None for other files."""
    if data[:6] != b"\x7fELF\x02\x01" or len(data) < 64:
        return None
    kind, machine = struct.unpack_from("<HH", data, 16)
    if kind != 3 or machine not in _FLAGS:  # ET_DYN
        return None
    (offset,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    try:
        segments = [struct.unpack_from("<IIQQQQ", data, offset + number * size) for number in range(count)]
        dynamic = next((one for one in segments if one[0] == _DYNAMIC), None)
        if dynamic is None:
            return None
        tags = dict(struct.iter_unpack("<QQ", data[dynamic[2] : dynamic[2] + dynamic[5] // 16 * 16]))
        if _DT_SONAME not in tags:
            return machine, ""
        table = tags[_DT_STRTAB]
        load = next(one for one in segments if one[0] == _LOAD and one[3] <= table < one[3] + one[5])
        return machine, _text(data, load[2] + table - load[3] + tags[_DT_SONAME])
    except (struct.error, ValueError, KeyError, StopIteration):
        return None


def _text(data: bytes, at: int) -> str:
    return data[at : data.index(b"\0", at)].decode("utf-8", "replace")


def _compare(one: Entry, other: Entry) -> int:
    """Order as `_dl_cache_libcmp` does: runs of digits by value, and before any other character."""
    mine, theirs = _PIECES.findall(one.name), _PIECES.findall(other.name)
    for a, b in zip(mine, theirs, strict=False):
        if a.isdigit() and b.isdigit():
            if int(a) != int(b):
                return -1 if int(a) < int(b) else 1
        elif a.isdigit() != b.isdigit():
            return 1 if a.isdigit() else -1
        elif a != b:
            return -1 if a < b else 1
    if len(mine) != len(theirs):
        return -1 if len(mine) < len(theirs) else 1
    return (one.flags > other.flags) - (one.flags < other.flags)
