"""Blocks of bytes in; gzip members or zstd frames out, the same on every machine.

A concatenation of members is itself a gzip file (RFC 1952, 2.2), as frames are a zstd file (RFC 8878, 3).
Each block is compressed alone, so its bytes depend on nothing but the block and the pinned compressor.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

from zlib_ng import zlib_ng

from lading.core.errors import Issue, SpecError

Compression = Literal["gzip", "zstd"]
VERSION = zlib_ng.ZLIBNG_VERSION
"""Of the compressor: another one may give other bytes for the same tar."""
BLOCK_BYTES = 1 << 20
GZIP_HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"  # deflate, no flags, no time, no operating system
_GZIP_LEVEL = 3
_ZSTD_LEVEL = 3
_RAW_DEFLATE = -15
_SAMPLE_BYTES = 1 << 15
_STORED_BYTES = (1 << 16) - 1


def compressor(compression: Compression) -> Callable[[bytes], bytes]:
    """Return the function that makes one member or frame of a block; raise SpecError where it is missing."""
    return gzip_member if compression == "gzip" else _zstd()


def gzip_member(block: bytes) -> bytes:
    """Compress a block into a gzip member; store it if a sample of it does not shrink by a tenth."""
    crc32 = zlib_ng.crc32(block)
    shrinks = len(block) <= 2 * _SAMPLE_BYTES or _shrinks(block)
    body = _deflate(block) if shrinks else _store(block)
    return b"".join((GZIP_HEADER, body, gzip_trailer(crc32, len(block))))


def gzip_trailer(crc32: int, size_bytes: int) -> bytes:
    """End a member; the length is modulo 2^32 (RFC 1952, 2.3.1), so a member may be longer."""
    return struct.pack("<II", crc32, size_bytes & 0xFFFF_FFFF)


def inflate(chunks: Iterable[bytes], size_bytes: int, crc32: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield each chunk of a raw deflate stream with what it inflates to, never more than BLOCK_BYTES at once.

    Raises ValueError when the stream is broken, does not end with the chunks, or when what it inflates to has
    another length or CRC-32.
    """
    state = zlib_ng.decompressobj(_RAW_DEFLATE)
    left, crc = size_bytes, 0
    for chunk in chunks:
        raw, data = chunk, chunk
        while True:
            limit = min(left + 1, BLOCK_BYTES)
            try:
                plain = state.decompress(data, limit)
            except zlib_ng.error as error:  # type: ignore[misc] # the stub calls it an instance
                raise ValueError(f"broken deflate stream ({error})") from error
            left -= len(plain)
            if left < 0:
                raise ValueError(f"inflates to more than {size_bytes} bytes")
            crc = zlib_ng.crc32(plain, crc)
            yield raw, plain
            raw, data = b"", state.unconsumed_tail
            if not data and len(plain) < limit:
                break
    if not state.eof or state.unused_data or left:
        raise ValueError(f"does not inflate to {size_bytes} bytes and end there")
    _check_crc32(crc, crc32)


def checked(chunks: Iterable[bytes], size_bytes: int, crc32: int) -> Iterator[bytes]:
    """Yield chunks as they are; raise ValueError when they have another length or CRC-32 in all."""
    left, crc = size_bytes, 0
    for chunk in chunks:
        left -= len(chunk)
        crc = zlib_ng.crc32(chunk, crc)
        yield chunk
    if left:
        raise ValueError(f"is not {size_bytes} bytes long")
    _check_crc32(crc, crc32)


def _check_crc32(got: int, expected: int) -> None:
    if got != expected:
        raise ValueError(f"got CRC-32 {got:08x}, expected {expected:08x}")


def _deflate(block: bytes) -> bytes:
    return zlib_ng.compress(block, _GZIP_LEVEL, _RAW_DEFLATE)


def _shrinks(block: bytes) -> bool:
    middle = len(block) // 2
    sample = block[middle : middle + _SAMPLE_BYTES]
    return len(_deflate(sample)) < 0.9 * len(sample)


def _store(block: bytes) -> bytes:
    """Write stored deflate blocks (RFC 1951, 3.2.4) by hand, so that no compressor decides their lengths."""
    parts = []
    for start in range(0, len(block), _STORED_BYTES):
        part = block[start : start + _STORED_BYTES]
        last = start + _STORED_BYTES >= len(block)
        parts += [struct.pack("<BHH", last, len(part), len(part) ^ 0xFFFF), part]
    return b"".join(parts)


def zstd_pieces(most_bytes: int) -> Callable[[bytes], Iterator[bytes]]:
    """Return what uncompresses chunks of zstd frames into pieces of bounded size; it raises ValueError."""
    zstd = _module()
    states = [zstd.ZstdDecompressor()]

    def pieces(chunk: bytes) -> Iterator[bytes]:
        while True:
            if states[0].eof and chunk:  # another frame
                states[0] = zstd.ZstdDecompressor()
            if states[0].eof:
                return
            try:
                yield states[0].decompress(chunk, most_bytes)
            except zstd.ZstdError as error:
                raise ValueError(str(error)) from error
            chunk = states[0].unused_data if states[0].eof else b""
            if not chunk and states[0].needs_input:
                return

    return pieces


def _zstd() -> Callable[[bytes], bytes]:
    zstd = _module()
    return lambda block: zstd.compress(block, _ZSTD_LEVEL)


def _module() -> Any:  # noqa: ANN401 (there are two, and perhaps neither)
    try:
        from compression import zstd  # type: ignore[import-not-found,unused-ignore] # Python 3.14 and later
    except ImportError:
        try:
            from backports import zstd  # type: ignore[import-not-found,unused-ignore]
        except ImportError as error:
            issue = Issue("compression", "zstd is not installed", "install 'lading[zstd]', or use gzip")
            raise SpecError(issue) from error
    return zstd
