"""Messages between front and worker: an Open Inference Protocol header, raw tensors behind it.

    u64 header length | u64 body length | header: JSON, padded with spaces to 8 bytes | the tensors' bytes

All numbers are little-endian. The header's `inputs` (of a request) or `outputs` (of an answer) name each
tensor, its `datatype`, its `shape` and, as in the protocol's binary extension, `parameters.binary_data_size`.
One datatype is our own: `JSON`, for what has no fixed width (strings, objects, a routine's whole body).

Standard library only, for it runs in the model's environment too.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Union

PREFIX = struct.Struct("<QQ")
LIMIT_BYTES = 4 << 30
QUERY = "?"
"""Among parameters: those of the request's target, as they came, which no parameter is called."""
JSON = "JSON"
UNNAMED = "input-0"
"""What the one tensor is called that has no name of its own."""
# so many parts of an answer may be under way before their reader has taken the first
WINDOW = 16
Buffer = Union[bytes, bytearray, memoryview]  # noqa: UP007 - evaluated under Python 3.8 too
"""A tensor's bytes; a view's items are bytes too."""
# datatype → code of the `array` module; float16 has none: workers widen it
ARRAY_CODES = {
    "BOOL": "B",
    "INT8": "b",
    "INT16": "h",
    "INT32": "i",
    "INT64": "q",
    "UINT8": "B",
    "UINT16": "H",
    "UINT32": "I",
    "UINT64": "Q",
    "FP32": "f",
    "FP64": "d",
}


class WireError(Exception):
    """The other side does not speak this form."""


def tensor(
    name: str,
    datatype: str,
    shape: Sequence[int],
    data: Buffer,
    parameters: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Describe one tensor for a header."""
    return {
        "name": name,
        "datatype": datatype,
        "shape": list(shape),
        "parameters": {"binary_data_size": len(data), **(parameters or {})},
    }


def frame(header: bytes, buffers: Sequence[Buffer]) -> list[Buffer]:
    """Return the parts of one message, in order."""
    header += b" " * (-len(header) % 8)
    return [PREFIX.pack(len(header), sum(map(len, buffers))), header, *buffers]


def lengths(prefix: bytes | bytearray | memoryview) -> tuple[int, int]:
    """Read the lengths of header and body; raise WireError where they are absurd."""
    header_bytes, body_bytes = PREFIX.unpack(prefix)
    if header_bytes + body_bytes > LIMIT_BYTES:
        message = f"got a message of {header_bytes + body_bytes} bytes, expected at most {LIMIT_BYTES}"
        raise WireError(message)
    return header_bytes, body_bytes


def split(
    entries: Sequence[Mapping[str, Any]], body: memoryview
) -> Iterator[tuple[Mapping[str, Any], memoryview]]:
    """Pair each tensor of a header with its bytes; raise WireError where they do not add up."""
    start = 0
    for entry in entries:
        end = start + int(entry["parameters"]["binary_data_size"])
        if end < start or end > len(body):
            message = f"tensor {entry['name']!r} ends at byte {end} of {len(body)}"
            raise WireError(message)
        yield entry, body[start:end]
        start = end
    if start != len(body):
        message = f"got {len(body)} bytes of tensors, expected {start}"
        raise WireError(message)
