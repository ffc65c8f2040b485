"""Compressed files, as joblib writes them: a path goes in, a `Source` of what the file holds comes out.

The compressor is told by the first bytes, as joblib does, never by the suffix. One compressed stream with
nothing behind it is all that is accepted: joblib writes no more, and readers disagree about the rest.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from lading.core.errors import Issue, ModelError
from lading.model.source import CHUNK_BYTES, PlainStream, Source

_MAGICS = {
    **dict.fromkeys((b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda"), "zlib"),
    b"\x1f\x8b": "gzip",
    b"BZh": "bz2",
    b"\xfd7zXZ": "xz",
    b"\x5d\x00": "lzma",
    b"\x04\x22\x4d\x18": "lz4",
}
_LZMA_MEMORY_BYTES = 128 << 20
_ALWAYS_PLAUSIBLE_BYTES = 1 << 30
_PLAUSIBLE_RATIO = 256


class _Inflater(Protocol):
    """What bz2, lzma and lz4 decompressors have in common."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes | None: ...

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _ZlibInflater:
    """zlib under the same interface: it returns the input that it did not consume, the others keep it."""

    def __init__(self, window_bits: int) -> None:
        import zlib

        self._inflater = zlib.decompressobj(window_bits)

    @property
    def eof(self) -> bool:
        return self._inflater.eof

    @property
    def unused_data(self) -> bytes:
        return self._inflater.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inflater.decompress(self._inflater.unconsumed_tail + data, max_length)


class InflatingStream:
    """What a compressed file holds."""

    def __init__(self, file: io.FileIO, inflater: _Inflater, name: str, limit_bytes: int) -> None:
        """Inflate no more than the limit: a small file can hold any amount."""
        self._file = file
        self._inflater = inflater
        self._name = name
        self._left_bytes = limit_bytes

    def read(self, limit_bytes: int, /) -> bytes:
        """Return at most so many inflated bytes; raise ModelError for what is not one whole stream."""
        inflated = b""
        data = b""
        while not inflated and not self._inflater.eof:
            try:
                inflated = self._inflater.decompress(data, limit_bytes)
            except _foreign_errors() as error:
                raise self._refused(f"the compressed stream is broken: {error}") from error
            if not inflated and not self._inflater.eof:
                data = self._file.read(CHUNK_BYTES) or b""
                if not data:
                    raise self._refused("the compressed stream ends too early")
        if not inflated and (self._inflater.unused_data or self._file.read(1)):
            raise self._refused("there are bytes behind the compressed stream")
        self._left_bytes -= len(inflated)
        if self._left_bytes < 0:
            raise self._refused("it inflates to an implausible size", "save the model uncompressed")
        return inflated

    def skip(self, count_bytes: int, /) -> bool:
        """Inflate and drop; tell whether there were that many."""
        while count_bytes:
            dropped = len(self.read(min(count_bytes, CHUNK_BYTES)))
            if not dropped:
                return False
            count_bytes -= dropped
        return True

    def _refused(self, what: str, fix: str = "copy or save the model again") -> ModelError:
        return ModelError(Issue(self._name, what, fix))


def plausible_bytes(packed_bytes: int) -> int:
    """Tell how much may come out of so many bytes: a small file can hold any amount."""
    return _ALWAYS_PLAUSIBLE_BYTES + _PLAUSIBLE_RATIO * packed_bytes


def compression(first_bytes: bytes) -> str | None:
    """Name the compressor of a file that begins so, None where it is none of joblib's."""
    return next((name for magic, name in _MAGICS.items() if first_bytes.startswith(magic)), None)


@contextmanager
def open_source(path: Path, name: str) -> Iterator[tuple[Source, str | None]]:
    """Open a file for one reading; give the source and the compressor's name.

    Raises ModelError where the file cannot be opened. `name` is what errors call it.
    """
    try:
        file = io.FileIO(path)
    except OSError as error:
        raise ModelError(Issue(name, f"cannot be read: {error.strerror}")) from error
    with file:
        compressor = compression(file.read(8) or b"")
        file.seek(0)
        size_bytes = os.fstat(file.fileno()).st_size
        if compressor is None:
            yield Source(PlainStream(file), name, size_bytes), None
            return
        stream = InflatingStream(file, _inflater(compressor, name), name, plausible_bytes(size_bytes))
        yield Source(stream, name, size_bytes), compressor


def _inflater(compressor: str, name: str) -> _Inflater:
    """Make the decompressor; each library is imported only for a file that needs it."""
    if compressor in {"zlib", "gzip"}:
        return _ZlibInflater(31 if compressor == "gzip" else 15)
    if compressor == "bz2":
        import bz2

        return bz2.BZ2Decompressor()
    if compressor == "lz4":
        try:
            from lz4.frame import LZ4FrameDecompressor
        except ImportError as error:
            what = "compressed by lz4, which is not installed here"
            raise ModelError(Issue(name, what, "pip install lz4, or save the model again")) from error
        made: Callable[[], Any] = LZ4FrameDecompressor
        inflater: _Inflater = made()
        return inflater
    import lzma

    kind = lzma.FORMAT_XZ if compressor == "xz" else lzma.FORMAT_ALONE
    return lzma.LZMADecompressor(kind, memlimit=_LZMA_MEMORY_BYTES)


def _foreign_errors() -> tuple[type[Exception], ...]:
    """List what decompressors raise for broken data; lz4 raises RuntimeError, bz2 OSError."""
    import lzma
    import zlib

    return (zlib.error, lzma.LZMAError, OSError, EOFError, RuntimeError, ValueError)
