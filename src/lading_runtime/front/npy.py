"""numpy's files (.npy, .npz) in, tensors out, and back; without numpy, and never a pickle.

The format is numpy's NEP 1: a magic word, a version, a header that is a Python literal, and the raw values.
"""

# an archive is of no type before its library is imported
# ruff: noqa: ANN401

from __future__ import annotations

import io
import math
import re
import struct
import sys
from array import array
from collections.abc import Iterator, Sequence
from typing import Any

from lading_runtime.front.messages import Refusal, quote
from lading_runtime.front.tensors import BYTES, SIZES, Tensor, count
from lading_runtime.wire import ARRAY_CODES

_MAGIC = b"\x93NUMPY"
_MAX_HEADER_BYTES = 10_000
_ALIGNMENT = 64
# version → the header's length
_LENGTHS = {1: struct.Struct("<H"), 2: struct.Struct("<I"), 3: struct.Struct("<I")}
_DESCRIPTION = re.compile(r"""['"]descr['"]\s*:\s*['"]([<>|=])([biufcSUOMmV?])(\d{1,9})['"]""")
_ORDER = re.compile(r"""['"]fortran_order['"]\s*:\s*(True|False)\b""")
_SHAPE = re.compile(r"""['"]shape['"]\s*:\s*\(([\d,\sL]{0,999})\)""")
_DATATYPES = {
    ("b", 1): "BOOL",
    ("f", 4): "FP32",
    ("f", 8): "FP64",
    **{
        (sign, bits // 8): f"{name}{bits}"
        for sign, name in (("i", "INT"), ("u", "UINT"))
        for bits in (8, 16, 32, 64)
    },
}
_CODES = {datatype: f"{kind}{size}" for (kind, size), datatype in _DATATYPES.items()}


def read(data: bytes, name: str = "input-0") -> Tensor:
    """Read one array; refuse objects, which would be a pickle, and what is no array."""
    if len(data) < 8 or not data.startswith(_MAGIC) or data[6] not in _LENGTHS:
        raise _refused("expected a file of numpy's format, version 1 to 3")
    length = _LENGTHS[data[6]]
    start = 8 + length.size
    if len(data) < start:
        raise _refused("it ends in its header")
    (size,) = length.unpack_from(data, 8)
    if size > _MAX_HEADER_BYTES or start + size > len(data):
        raise _refused(f"got a header of {size} bytes, expected at most {_MAX_HEADER_BYTES} and the values")
    header = data[start : start + size].decode("utf-8" if data[6] == 3 else "latin-1", "replace")
    found = [pattern.search(header) for pattern in (_DESCRIPTION, _ORDER, _SHAPE)]
    if None in found:
        raise _refused(f"got the header {quote(header.strip())}, expected a plain type, an order and a shape")
    (order, kind, width), (fortran,), (lengths,) = (match.groups() for match in found if match)
    shape = [int(one.rstrip("L")) for one in lengths.replace(" ", "").split(",") if one]
    values = _Values(order, kind, int(width), count(".npy", shape))
    tensor = values.tensor(name, shape, memoryview(data)[start + size :])
    return _transposed(tensor) if fortran == "True" and len(shape) > 1 else tensor


def read_all(data: bytes, limit_bytes: int) -> list[Tensor]:
    """Read the arrays of an .npz, which together are no larger than `limit_bytes` when unpacked."""
    import zipfile  # 6 ms, of every start

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            if sum(one.file_size for one in members) > limit_bytes:
                raise Refusal(413, f".npz: got more than {limit_bytes} bytes (LADING_BODY_LIMIT_BYTES)")
            # what a member says of its size is checked by what it unpacks to
            return [read(_member(archive, one), one.filename.removesuffix(".npy")) for one in members]
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError) as error:
        raise Refusal(400, f".npz: {error}") from None


def write(tensor: Tensor) -> bytes:
    """Write one array; texts as numpy's fixed-width Unicode."""
    if tensor.datatype == BYTES:
        texts = [str(one).encode("utf-32-le", "replace") for one in tensor.listed()]
        width = max(map(len, texts), default=0) or 4
        data = b"".join(one.ljust(width, b"\0") for one in texts)
        code = f"<U{width // 4}"
    else:
        data = bytes(
            tensor.data if tensor.data is not None else array(ARRAY_CODES[tensor.datatype], tensor.numbers())
        )
        code = ("|" if SIZES[tensor.datatype] == 1 else "<") + _CODES[tensor.datatype]
    shape = "".join(f"{size}, " for size in tensor.shape).strip()
    shape = shape if len(tensor.shape) == 1 else shape.rstrip(",")
    header = f"{{'descr': '{code}', 'fortran_order': False, 'shape': ({shape}), }}"
    padding = -(10 + len(header) + 1) % _ALIGNMENT
    text = header.encode() + b" " * padding + b"\n"
    return _MAGIC + b"\x01\x00" + _LENGTHS[1].pack(len(text)) + text + data


def write_all(tensors: Sequence[Tensor]) -> bytes:
    """Write an .npz, uncompressed."""
    import zipfile

    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for one in tensors:
            archive.writestr(zipfile.ZipInfo(f"{one.name}.npy"), write(one))
    return target.getvalue()


def stacked(tensors: Sequence[Tensor]) -> Tensor:
    """Return columns side by side, as numpy would stack them; one tensor as it is."""
    if len(tensors) == 1:
        return tensors[0]
    columns = [one.listed() for one in tensors]
    kinds = {one.datatype for one in tensors}
    if BYTES in kinds:
        datatype: str | None = None
    elif kinds == {"BOOL"}:
        datatype = "BOOL"
    else:
        datatype = "FP64" if any(kind.startswith("FP") for kind in kinds) else "INT64"
    flat: list[Any] = [cell for row in zip(*columns) for cell in row]  # noqa: B905 - columns of one frame
    shape = [len(columns[0]), len(columns)]
    if datatype is None:
        return Tensor("output-0", BYTES, shape, values=list(map(str, flat)))
    return Tensor("output-0", datatype, shape, array(ARRAY_CODES[datatype], flat).tobytes())


class _Values:
    """What the values are: their byte order, kind and width in bytes or characters, and how many."""

    def __init__(self, order: str, kind: str, width: int, number: int) -> None:
        self.kind = "b" if kind == "?" else kind
        self.is_swapped = order == (">" if sys.byteorder == "little" else "<")
        self.width = width
        self.number = number
        self.size_bytes = width * 4 if kind == "U" else width

    def tensor(self, name: str, shape: Sequence[int], data: memoryview) -> Tensor:
        if self.kind not in "bifuSU":
            raise _refused(f"got values of type {self.kind}{self.width}, expected numbers, booleans or texts")
        if self.number * self.size_bytes != len(data):
            raise _refused(f"got {len(data)} bytes of values, expected {self.number * self.size_bytes}")
        if self.kind in "SU":
            return Tensor(name, BYTES, shape, values=list(self._texts(data)))
        if (self.kind, self.width) == ("f", 2):
            halves = struct.unpack(f"{'>' if self.is_swapped else '<'}{self.number}e", data)
            return Tensor(name, "FP32", shape, array("f", halves).tobytes())
        datatype = _DATATYPES.get((self.kind, self.width))
        if datatype is None:
            raise _refused(f"got values of type {self.kind}{self.width}, expected up to 8 bytes each")
        if datatype == "BOOL" and data and max(data) > 1:
            raise _refused("got a boolean that is neither 0 nor 1")
        packed = (
            array(ARRAY_CODES[datatype], bytes(data)) if self.width == 1 else array(ARRAY_CODES[datatype])
        )
        if self.width > 1:
            packed.frombytes(data)
            if self.is_swapped:
                packed.byteswap()
        return Tensor(name, datatype, shape, packed.tobytes())

    def _texts(self, data: memoryview) -> Iterator[Any]:
        """Read texts of a fixed width, which zeros fill up."""
        coding = "utf-32-be" if self.is_swapped else "utf-32-le"
        for index in range(self.number):
            cell = bytes(data[index * self.size_bytes : (index + 1) * self.size_bytes])
            if self.kind == "S":
                yield cell.rstrip(b"\0")
                continue
            try:
                yield cell.decode(coding).rstrip("\0")
            except UnicodeDecodeError:
                raise _refused(f"value {index} is no text") from None


def _transposed(tensor: Tensor) -> Tensor:
    """Bring what is written column by column into rows."""
    shape = list(tensor.shape)
    strides = [math.prod(shape[:axis]) for axis in range(len(shape))]
    values = tensor.listed(binary=False) if tensor.datatype != BYTES else (tensor.values or [])
    order = [0]
    for size, stride in zip(shape, strides):  # noqa: B905 - one per axis
        order = [start + step * stride for start in order for step in range(size)]
    flat = [values[at] for at in order]
    if tensor.datatype == BYTES:
        return tensor._replace(values=flat)
    return tensor._replace(data=array(ARRAY_CODES[tensor.datatype], flat).tobytes(), values=None)


def _member(archive: Any, member: Any) -> bytes:
    with archive.open(member) as stream:
        data: bytes = stream.read(member.file_size)
        return data


def _refused(what: str) -> Refusal:
    return Refusal(400, f".npy: {what}")
