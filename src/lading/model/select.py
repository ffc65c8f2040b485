"""A document of JSON or UBJSON of any size goes in, the values at some of its paths come out.

It is read once, forward, and what nobody asked for is passed over: model files are mostly numbers.
Raises ValueError for what is neither; a length in the file is only trusted as far as the file goes.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Collection, Iterator
from typing import IO, Any

_CHUNK_BYTES = 1 << 20
_LONGEST_TEXT_BYTES = 16 << 20
_MOST_KEPT_BYTES = 64 << 20
_DEEPEST = 64
# whole numeric arrays at once; a text without its end stops where the data does
_TOKEN = re.compile(rb'\[[^\[\]{}"]*\]|"(?:[^"\\]+|\\.)*("?)|[\[\]{}]', re.DOTALL)
_REST_OF_TEXT = re.compile(rb'(?:[^"\\]+|\\.)*("?)', re.DOTALL)
_SPACE = re.compile(rb"[ \t\r\n]*")
_SCALAR = re.compile(rb"[^ \t\r\n,\]}]*")
_NUMBERS = {b"U": "B", b"i": "b", b"I": "h", b"l": "i", b"L": "q", b"d": "f", b"D": "d"}
_WORDS = {b"Z": None, b"T": True, b"F": False}

Path = tuple[str, ...]


def from_json(stream: IO[bytes], wanted: Collection[Path]) -> dict[Path, Any]:
    """Return the values at the wanted paths of keys, as far as they are there."""
    return dict(_Json(stream).select((), frozenset(wanted)))


def from_ubjson(stream: IO[bytes], size_bytes: int, wanted: Collection[Path]) -> dict[Path, Any]:
    """Do the same with UBJSON, as XGBoost writes it."""
    return dict(_Ubjson(stream, size_bytes).select((), frozenset(wanted)))


def _leads(path: Path, wanted: frozenset[Path]) -> bool:
    return any(one[: len(path)] == path for one in wanted)


class _Json:
    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._data = b""
        self._at = 0

    def select(self, path: Path, wanted: frozenset[Path]) -> Iterator[tuple[Path, Any]]:
        if path in wanted:
            yield path, json.loads(self._value(keep=True))
        elif not _leads(path, wanted) or self._peek() != b"{":
            self._value(keep=False)
        else:
            self._at += 1
            while self._peek() != b"}":
                if self._peek() == b",":
                    self._at += 1
                if self._peek() != b'"':
                    raise ValueError("expected a key")
                key = json.loads(self._value(keep=True))
                if self._peek() != b":":
                    raise ValueError("expected a colon behind a key")
                self._at += 1
                yield from self.select((*path, key), wanted)
            self._at += 1

    def _more(self) -> None:
        """Read on; what is before the position is dropped."""
        chunk = self._stream.read(_CHUNK_BYTES)
        if not chunk:
            raise ValueError("it ends too early")
        self._data = self._data[self._at :] + chunk
        self._at = 0

    def _peek(self) -> bytes:
        while True:
            match = _SPACE.match(self._data, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._data):
                return self._data[self._at : self._at + 1]
            self._more()

    def _go_past_text(self, start: int) -> None:
        """Go past a text of any length, of which the quote before `start` has been read."""
        self._at = start
        while match := _REST_OF_TEXT.match(self._data, self._at):
            self._at = match.end()
            if match[1]:
                return
            self._more()

    def _value(self, *, keep: bool) -> bytes:
        """Go past a value; return its text where it is kept."""
        if self._peek() not in b'"[{':
            return self._scalar()
        depth, kept, size = 0, [], 0
        while True:
            match = _TOKEN.search(self._data, self._at)
            if match is not None and match[1] == b"" and not keep:
                self._go_past_text(match.start() + 1)
                if not depth:
                    return b""
                continue
            if match is None or match[1] == b"":
                # what was searched is done with, but for a text that goes on
                end = match.start() if match else len(self._data)
                kept += [self._data[self._at : end]] if keep else []
                size += (end - self._at) if keep else 0
                self._at = end
                if len(self._data) - end > _LONGEST_TEXT_BYTES or size > _MOST_KEPT_BYTES:
                    raise ValueError("a value is too long")
                self._more()
                continue
            start, self._at = self._at, match.end()
            token = match[0]
            if len(token) == 1:
                depth += 1 if token in b"[{" else -1
            kept += [self._data[start : self._at]] if keep else []
            size += (self._at - start) if keep else 0
            if size > _MOST_KEPT_BYTES:
                raise ValueError("a value is too long")
            if depth <= 0:
                return b"".join(kept)

    def _scalar(self) -> bytes:
        while True:
            match = _SCALAR.match(self._data, self._at)
            assert match
            if match.end() < len(self._data) or match.end() - match.start() > _CHUNK_BYTES:
                break
            self._more()
        self._at = match.end()
        if not match[0] or len(match[0]) > _CHUNK_BYTES:
            raise ValueError("expected a value")
        return match[0]


class _Ubjson:
    def __init__(self, stream: IO[bytes], size_bytes: int) -> None:
        self._stream = stream
        self._size_bytes = size_bytes

    def select(self, path: Path, wanted: frozenset[Path], kind: bytes = b"") -> Iterator[tuple[Path, Any]]:
        kind = kind or self._take(1)
        if path in wanted:
            yield path, self._value(kind, keep=True)
        elif not _leads(path, wanted) or kind != b"{":
            self._value(kind, keep=False)
        else:
            for key in self._keys():
                yield from self.select((*path, key), wanted)

    def _keys(self) -> Iterator[str]:
        """Read key after key; whoever asks reads the values between."""
        while (kind := self._take(1)) != b"}":
            yield self._take(self._count(kind)).decode()

    def _take(self, count: int) -> bytes:
        self._check(count)
        if count > _LONGEST_TEXT_BYTES:
            raise ValueError("a value is too long")
        data = self._stream.read(count)
        if len(data) != count:
            raise ValueError("it ends too early")
        return data

    def _check(self, count: int) -> None:
        if not 0 <= count <= self._size_bytes - self._stream.tell():
            raise ValueError("a length leads beyond the end")

    def _number(self, kind: bytes) -> Any:  # noqa: ANN401 - int or float
        code = _NUMBERS.get(kind)
        if code is None:
            raise ValueError(f"got {kind!r}, expected a number")
        return struct.unpack(f">{code}", self._take(struct.calcsize(code)))[0]

    def _count(self, kind: bytes) -> int:
        number = self._number(kind)
        if not isinstance(number, int):
            raise ValueError("a length that is no whole number")  # noqa: TRY004 - the file's fault
        return number

    def _value(self, kind: bytes, *, keep: bool, depth: int = 0) -> Any:  # noqa: ANN401 - any value
        if kind in _WORDS:
            return _WORDS[kind]
        if kind in _NUMBERS:
            return self._number(kind)
        if kind in {b"S", b"H", b"C"}:
            count = 1 if kind == b"C" else self._count(self._take(1))
            return self._take(count).decode() if keep else self._skip(count)
        if depth > _DEEPEST:
            raise ValueError("it is nested too deeply")
        if kind == b"[":
            return self._array(keep=keep, depth=depth)
        if kind == b"{":
            found = {
                key: self._value(self._take(1), keep=keep, depth=depth + 1) for key in self._each(keep=keep)
            }
            return found if keep else None
        raise ValueError(f"got {kind!r}, expected a value")

    def _each(self, *, keep: bool) -> Iterator[str]:
        """Read keys; those of what is not kept are one and the same."""
        for key in self._keys():
            yield key if keep else ""

    def _skip(self, count: int) -> object:
        """Go past bytes; there is no value of them."""
        self._check(count)
        self._stream.seek(count, 1)
        return None

    def _array(self, *, keep: bool, depth: int) -> list[Any] | None:
        kind, found = self._take(1), []
        typed = self._take(1) if kind == b"$" else None
        if typed is not None:
            kind = self._take(1)
        if kind != b"#":
            if typed is not None:
                raise ValueError("an array of a type without a length")
            while kind != b"]":
                value = self._value(kind, keep=keep, depth=depth + 1)
                found += [value] if keep else []
                kind = self._take(1)
            return found
        count = self._count(self._take(1))
        if typed in _NUMBERS:
            return self._numbers(_NUMBERS[typed], count, keep=keep)
        # each takes a byte at least, but for words whose type is told once
        self._check(count)
        for _ in range(count):
            value = self._value(typed or self._take(1), keep=keep, depth=depth + 1)
            found += [value] if keep else []
        return found if keep else None

    def _numbers(self, code: str, count: int, *, keep: bool) -> list[Any] | None:
        if not keep:
            self._skip(count * struct.calcsize(code))
            return None
        return list(struct.unpack(f">{count}{code}", self._take(count * struct.calcsize(code))))
