"""A layer's blob in; its tar, whatever it is compressed by, out."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, cast

from lading.core.descriptor import LAYER_GZIP, LAYER_TAR, LAYER_ZSTD
from lading.core.errors import IntegrityError, Issue, VerifyError
from lading.core.image import Layer

_SPARE_BYTES = 1 << 30
_RATIO_MAX = 200
"""What a layer may inflate to, times what it weighs; a bomb is a thousand."""


@contextmanager
def plain(blob: IO[bytes], layer: Layer, *, bounded: bool = False) -> Iterator[IO[bytes]]:
    """Open a layer's tar. `bounded` refuses one that inflates to far more than layers do.

    Raises IntegrityError where the blob is broken, VerifyError where what inflates it is not installed.
    """
    kind = layer.descriptor.media_type
    opened, broken = _open(kind, blob, layer)
    failures: tuple[type[Exception], ...] = (EOFError, gzip.BadGzipFile, *broken)
    try:
        with opened as stream:
            size_bytes = layer.descriptor.size_bytes
            limit_bytes = _SPARE_BYTES + _RATIO_MAX * size_bytes
            yield cast("IO[bytes]", _Bounded(stream, limit_bytes, layer.title)) if bounded else stream
    except failures as error:
        raise IntegrityError(Issue(layer.title, f"its compressed bytes are broken: {error}")) from error


class _Bounded:
    """Reads so many bytes, and no more."""

    def __init__(self, stream: IO[bytes], left_bytes: int, where: str) -> None:
        self._read, self._left_bytes, self._where = stream.read, left_bytes, where

    def read(self, size_bytes: int) -> bytes:
        data = self._read(size_bytes)
        self._left_bytes -= len(data)
        if self._left_bytes < 0:
            raise IntegrityError(Issue(self._where, "inflates to far more than a layer does"))
        return data


def _open(kind: str, blob: IO[bytes], layer: Layer) -> tuple[IO[bytes], tuple[type[Exception], ...]]:
    if kind == LAYER_TAR:
        return blob, ()
    if kind == LAYER_ZSTD:
        return _open_zstd(blob, layer)
    if kind != LAYER_GZIP:
        raise IntegrityError(Issue(layer.title, f"got media type {kind!r}, expected {LAYER_GZIP!r}"))
    from zlib_ng import gzip_ng, zlib_ng

    opened = cast("IO[bytes]", gzip_ng.open(blob, "rb"))  # type: ignore[no-untyped-call]
    return opened, (cast("type[Exception]", zlib_ng.error),)


def _open_zstd(blob: IO[bytes], layer: Layer) -> tuple[IO[bytes], tuple[type[Exception], ...]]:
    try:
        from compression import zstd  # type: ignore[import-not-found,unused-ignore] # Python 3.14 and later
    except ImportError:
        try:
            from backports import zstd  # type: ignore[import-not-found,unused-ignore]
        except ImportError as error:
            issue = Issue(layer.title, "zstd is not installed", "install 'lading[zstd]', or pack with gzip")
            raise VerifyError(issue) from error
    return zstd.open(blob, "rb"), (zstd.ZstdError,)
