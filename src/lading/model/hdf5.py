"""An HDF5 file in; the texts among its root's attributes, which is where Keras tells its model, out.

Only what stands in the root's object header is read, by the HDF5 File Format Specification (superblocks 0
to 3, object headers 1 and 2, attributes 1 to 3, global heaps). Of weights nothing is read, and no length is
trusted. What is in sight but cannot be read, of the texts that Keras makes a model from, is an error.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from lading.core.errors import Issue, ModelError

MAGIC = b"\x89HDF\r\n\x1a\n"
OF_KERAS = ("model_config", "training_config")
"""The attributes that Keras makes a model from."""
_ATTRIBUTE, _CONTINUATION, _ATTRIBUTES_INFO = 0x0C, 0x10, 0x15
_FIXED, _VARYING, _STRING = 3, 9, 1
_MOST_TEXT_BYTES = 64 << 20
_MOST_BLOCKS = 1000
_SHARED = 1


def start_of(path: Path) -> int | None:
    """Tell where a file's HDF5 begins: at its start, or at 512 bytes or twice, four times, … as many."""
    try:
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            at = 0
            while at + len(MAGIC) <= size:
                stream.seek(at)
                if stream.read(len(MAGIC)) == MAGIC:
                    return at
                at = 2 * at or 512
    except OSError:
        pass
    return None


def texts(path: Path, name: str) -> Mapping[str, str]:
    """Read the root's attributes that are one text each; raise ModelError where the file is broken."""
    try:
        with path.open("rb") as stream:
            return _File(stream, start_of(path) or 0).attributes()
    except (ValueError, IndexError, OSError) as error:
        raise ModelError(
            Issue(name, f"is no HDF5 file that can be read: {error}", "save the model again")
        ) from error


class _File:
    """A file of known sizes of addresses and lengths."""

    def __init__(self, stream: IO[bytes], base: int) -> None:
        self._stream = stream
        self._base = base
        self._is_dense = False
        self._size = os.fstat(stream.fileno()).st_size - base
        start = self._read(0, 128)
        if not start.startswith(MAGIC):
            raise ValueError("it does not begin as one does")
        version = start[8]
        if version in {0, 1}:
            self._address, self._length = start[13], start[14]
            # base, free space, end and driver; then the root's entry: its name's offset and its header
            at = (24 if version == 0 else 28) + 5 * self._address
        elif version in {2, 3}:
            self._address, self._length = start[9], start[10]
            at = 12 + 3 * self._address
        else:
            raise ValueError(f"its superblock is of version {version}")
        if self._address not in {4, 8} or self._length not in {4, 8}:
            raise ValueError("its addresses are of an unknown size")
        self._root = int.from_bytes(start[at : at + self._address], "little")

    def attributes(self) -> dict[str, str]:
        """Return the attributes that are one text."""
        found: dict[str, str] = {}
        for name, text in filter(None, map(self._attribute, self._messages())):
            if found.setdefault(name, text) != text:
                raise ValueError("an attribute is there twice")
        if self._is_dense and self._has(b"model_config"):
            raise ValueError("its attributes lie in a heap, which is not followed")
        return found

    def _has(self, name: bytes) -> bool:
        with mmap.mmap(self._stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return data.find(name) >= 0

    def _read(self, at: int, count: int) -> bytes:
        if at < 0 or at > self._size:
            raise ValueError("an address leads out of it")
        self._stream.seek(self._base + at)
        return self._stream.read(min(count, self._size - at))

    def _exactly(self, at: int, count: int) -> bytes:
        if count > _MOST_TEXT_BYTES:
            raise ValueError("a part of it is too long")
        data = self._read(at, count)
        if len(data) != count:
            raise ValueError("a length leads out of it")
        return data

    def _messages(self) -> Iterator[bytes]:
        """List the attributes' messages of the root's header, through all of its blocks."""
        start = self._exactly(self._root, 24)
        is_new = start.startswith(b"OHDR")
        ordered = 0
        if is_new:
            flags = start[5]
            at = 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
            width = 1 << (flags & 3)
            ordered = 2 if flags & 0x04 else 0
            size = int.from_bytes(self._exactly(self._root + at, width), "little")
            blocks = [(self._root + at + width, size)]
        elif start[0] == 1:
            blocks = [(self._root + 16, int.from_bytes(start[8:12], "little"))]
        else:
            raise ValueError("its root is of an unknown form")
        for count, (at, size) in enumerate(blocks):
            if count > _MOST_BLOCKS:
                raise ValueError("its root has too many parts")
            block = self._exactly(at, size)
            for kind, data, is_elsewhere in _split(block, is_new=is_new, ordered=ordered):
                if kind == _CONTINUATION:
                    to = int.from_bytes(data[: self._address], "little")
                    length = int.from_bytes(data[self._address : self._address + self._length], "little")
                    # a new block begins with its name, and ends with a sum
                    blocks.append((to + 4, length - 8) if is_new else (to, length))
                elif kind == _ATTRIBUTE and is_elsewhere:
                    self._is_dense = True
                elif kind == _ATTRIBUTE:
                    yield data
                elif kind == _ATTRIBUTES_INFO:
                    at_heap = 2 + (2 if data[1] & 1 else 0)
                    self._is_dense = data[at_heap : at_heap + self._address] != b"\xff" * self._address

    def _attribute(self, data: bytes) -> tuple[str, str] | None:
        version, flags = data[0], data[1]
        name_size, kind_size, space_size = (int.from_bytes(data[at : at + 2], "little") for at in (2, 4, 6))
        at = 9 if version == 3 else 8
        pad = 8 if version == 1 else 1
        name = data[at : at + name_size].split(b"\0")[0].decode("utf-8", "replace")
        at += -(-name_size // pad) * pad
        kind = data[at : at + kind_size]
        at += -(-kind_size // pad) * pad
        space = data[at : at + space_size]
        at += -(-space_size // pad) * pad
        found = None
        if not (version != 1 and flags & _SHARED) and len(kind) >= 8 and len(space) >= 2 and not space[1]:
            try:
                found = self._text(kind, data, at)
            except ValueError:
                if name in OF_KERAS:
                    raise
        if found is None and name in OF_KERAS:
            raise ValueError(f"{name!r} is stored in a form that is not followed")
        return None if found is None else (name, found.rstrip(b"\0").decode("utf-8", "replace"))

    def _text(self, kind: bytes, data: bytes, at: int) -> bytes | None:
        if kind[0] & 15 == _FIXED:
            size = int.from_bytes(kind[4:8], "little")
            return data[at : at + size]
        if kind[0] & 15 == _VARYING and kind[1] & 15 == _STRING:
            return self._heaped(data[at : at + 8 + self._address])
        return None

    def _heaped(self, reference: bytes) -> bytes:
        """Read a text of any length from the heap: its length, the heap's address and its number there."""
        size = int.from_bytes(reference[:4], "little")
        heap = int.from_bytes(reference[4 : 4 + self._address], "little")
        wanted = int.from_bytes(reference[4 + self._address :], "little")
        start = self._exactly(heap, 8 + self._length)
        if not start.startswith(b"GCOL"):
            raise ValueError("a text is in no heap")
        end = heap + int.from_bytes(start[8:], "little")
        at = heap + 8 + self._length
        head = 8 + self._length
        while at + head <= end:
            entry = self._exactly(at, head)
            number, length = int.from_bytes(entry[:2], "little"), int.from_bytes(entry[8:], "little")
            if number == wanted:
                return self._exactly(at + head, length)[:size]
            if not number:
                break
            at += head + -(-length // 8) * 8
        raise ValueError("a text is not where it should be")


def _split(block: bytes, *, is_new: bool, ordered: int) -> Iterator[tuple[int, bytes, bool]]:
    """List the messages of a block: their kinds and bytes, and whether those only say where it is."""
    at = 0
    head = 4 + ordered if is_new else 8
    while at + head <= len(block):
        if is_new:
            kind, size = block[at], int.from_bytes(block[at + 1 : at + 3], "little")
        else:
            kind, size = (
                int.from_bytes(block[at : at + 2], "little"),
                int.from_bytes(block[at + 2 : at + 4], "little"),
            )
        flags = block[at + (3 if is_new else 4)]
        at += head
        if at + size > len(block):
            raise ValueError("a message is longer than its block")
        yield kind, block[at : at + size], bool(flags & 2)
        at += size
