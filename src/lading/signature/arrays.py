"""A file of numpy's, `.npy` or `.npz`, in; its tensors out, of which the headers alone are read."""

from __future__ import annotations

import ast
import zipfile
from pathlib import Path
from typing import IO, Any

from lading.core.datatypes import numpy_name
from lading.core.errors import Issue, SpecError
from lading.core.signature import Field

_MAGIC = b"\x93NUMPY"
_MOST_BYTES = 1 << 20


def read(path: Path) -> tuple[Field, ...]:
    """Return the tensors, whose first dimension is of any length; raise SpecError for what has none.

    Arrays of an `.npz` are named; that of an `.npy` is not.
    """
    try:
        if not zipfile.is_zipfile(path):
            with path.open("rb") as stream:
                return (_tensor(stream, None),)
        with zipfile.ZipFile(path) as archive:
            found = []
            for info in archive.infolist():
                with archive.open(info) as stream:
                    found.append(_tensor(stream, info.filename.removesuffix(".npy")))
            return tuple(found)
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise SpecError(Issue(str(path), f"no arrays of numpy's: {error}")) from error


def _tensor(stream: IO[bytes], name: str | None) -> Field:
    """Read an array's header (numpy.lib.format)."""
    start = stream.read(8)
    if start[:6] != _MAGIC or len(start) < 8:
        raise ValueError(f"{name or 'it'} does not begin as an array does")
    width = 2 if start[6] == 1 else 4
    size = int.from_bytes(stream.read(width), "little")
    if size > _MOST_BYTES:
        raise ValueError(f"got a header of {size} bytes")
    try:
        header: Any = ast.literal_eval(stream.read(size).decode("utf-8" if start[6] > 2 else "latin-1"))
        descr, shape = header["descr"], tuple(header["shape"])
    except (SyntaxError, ValueError, KeyError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError(f"got a header that is none: {type(error).__name__}") from error
    plain = descr.lstrip("<>=|") if isinstance(descr, str) else ""
    sized = {"U": "str", "S": "bytes"}.get(plain[:1])  # of any length, as MLflow has them
    dtype = sized or numpy_name(descr)
    if dtype is None:
        raise ValueError(f"got an array of {descr!r:.40}, expected numbers, texts or times")
    if any(type(one) is not int for one in shape):
        raise ValueError(f"got the shape {shape!r:.40}, expected whole numbers")
    if not shape:
        return Field("any", name)  # one value, which MLflow takes for no array
    return Field("tensor", name, dtype=dtype, shape=(-1, *shape[1:]))
