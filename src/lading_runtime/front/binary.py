"""The binary tensor extension: a JSON part's length and a body in, tensors out, and the way back.

All of it is little-endian and row by row. BYTES are, for each value, a u32 length and the bytes; FP16 and
BF16, which JSON does not have, are widened to FP32: nothing is lost. Lengths are checked before use.
Triton's extension_binary_data.md is the source.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable, Mapping, Sequence

from lading_runtime.front.messages import Refusal, invalid, quote
from lading_runtime.front.tensors import BYTES, MAX_LENGTH, SIZES, Tensor, count, named
from lading_runtime.wire import Buffer

HEADER = b"inference-header-content-length"
DATATYPES = (BYTES, *SIZES, "FP16", "BF16")
_HALVES = ("FP16", "BF16")
_PREFIX = struct.Struct("<I")
_TRUTH = bytes((0, 1))
_MAX_DIGITS = 19


def header_length(headers: Mapping[bytes, bytes], body_bytes: int) -> int | None:
    """Return how long a body's JSON part is; None: all of it; 0: it is one tensor and no JSON."""
    text = headers.get(HEADER)
    if text is None:
        return None
    if not text.isdigit() or len(text) > _MAX_DIGITS or int(text) > body_bytes:
        expected = f"expected a length of at most the body's {body_bytes} bytes"
        raise Refusal(400, f"got inference-header-content-length {quote(text.decode('latin-1'))}, {expected}")
    return int(text)


def split(sizes: Sequence[int], rest: memoryview) -> list[memoryview]:
    """Cut what follows the JSON part into pieces of these sizes; refuse sizes that do not add up."""
    if sum(sizes) != len(rest):
        raise invalid(f"got {len(rest)} bytes of binary tensors, expected {quote(sum(sizes))} by their sizes")
    pieces = []
    start = 0
    for size in sizes:
        pieces.append(rest[start : start + size])
        start += size
    return pieces


def decode(name: str, datatype: object, shape: Sequence[int], data: memoryview) -> Tensor:
    """Read one tensor; numbers are not copied, but for halves."""
    where = named(name)
    if not isinstance(datatype, str) or datatype not in DATATYPES:
        raise invalid(f"{where}: got datatype {quote(datatype)}, expected one of {', '.join(DATATYPES)}")
    expected = count(where, shape)
    if datatype == BYTES:
        return Tensor(name, BYTES, shape, values=texts(where, expected, data))
    size = 2 if datatype in _HALVES else SIZES[datatype]
    if expected * size != len(data):
        wanted = str(expected * size) if expected <= MAX_LENGTH else "more than there can be"
        raise invalid(f"{where}: got {len(data)} bytes, expected {wanted} for shape {quote(shape)}")
    if datatype == "BOOL" and bytes(data).translate(None, _TRUTH):
        raise invalid(f"{where}: got a BOOL that is neither 0 nor 1")
    if datatype in _HALVES:
        return Tensor(name, "FP32", shape, widened(datatype, data))
    return Tensor(name, datatype, shape, data)


def texts(where: str, expected: int, data: memoryview) -> list[bytes]:
    """Read the values of a BYTES tensor."""
    values: list[bytes] = []
    at = 0
    end = len(data)
    if expected * _PREFIX.size > end:  # also what keeps a shape from costing anything
        wanted = str(expected) if expected <= MAX_LENGTH else "more than there can be"
        raise invalid(f"{where}: got {end} bytes, expected {wanted} lengths and their bytes")
    unpack_from = _PREFIX.unpack_from
    while at + 4 <= end and len(values) < expected:
        start = at + 4
        at = start + unpack_from(data, at)[0]
        if at > end:
            raise invalid(f"{where}, value {len(values)}: ends at byte {at} of {end}")
        values.append(bytes(data[start:at]))
    if at != end or len(values) != expected:
        raise invalid(f"{where}: got {len(values)} values in {at} of {end} bytes, expected {expected} in all")
    return values


def framed(values: Iterable[bytes]) -> bytes:
    """Write the values of a BYTES tensor: what `texts` reads."""
    pack = _PREFIX.pack
    return b"".join([part for one in values for part in (pack(len(one)), one)])


def widened(datatype: str, data: memoryview) -> bytes:
    """Turn FP16 or BF16 into FP32, which holds every value of both."""
    if datatype == "FP16":
        return array("f", struct.unpack(f"<{len(data) // 2}e", data)).tobytes()
    wide = bytearray(len(data) * 2)  # a BF16 is the upper half of a FP32
    wide[2::4] = data[0::2]
    wide[3::4] = data[1::2]
    return bytes(wide)


def encode(tensor: Tensor) -> Buffer:
    """Write one tensor: what `decode` reads."""
    return framed(tensor.octets()) if tensor.data is None else tensor.data
