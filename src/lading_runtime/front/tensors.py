"""A named tensor on its way between a client and the model, its values as numbers in memory or as a list.

Which contract it came by is not told by it: JSON, binary tensors and gRPC make the same of the same values.
"""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import base64
import math
from array import array
from collections.abc import Sequence
from typing import Any, NamedTuple, Optional

from lading_runtime.front.messages import invalid, quote
from lading_runtime.wire import ARRAY_CODES, Buffer

BYTES = "BYTES"
MAX_DIMENSIONS = 32
"""As many as every numpy knows."""
MAX_LENGTH = (1 << 63) - 1
"""Of one dimension, and of anything that is counted in bytes."""
SIZES = {datatype: array(code).itemsize for datatype, code in ARRAY_CODES.items()}
"""Bytes per value, of those that have a fixed width."""


_SHORT = 60


class Tensor(NamedTuple):
    """A tensor: `data`, little-endian and row by row, or `values`, or both.

    Numbers have `data`. Texts (BYTES) have `values` alone: `str` where they came as JSON, else `bytes`.
    """

    name: str
    datatype: str
    shape: Sequence[int]
    data: Optional[Buffer] = None  # noqa: UP045 - evaluated under Python 3.9 too
    values: Optional[Sequence[Any]] = None  # noqa: UP045

    def numbers(self) -> Sequence[Any]:
        """Return the values of a tensor of numbers."""
        if self.values is not None:
            return self.values
        assert self.data is not None
        if self.datatype == "BOOL":
            return list(map(bool, self.data))
        packed = array(ARRAY_CODES[self.datatype])
        packed.frombytes(self.data)
        return packed.tolist()

    def listed(self, *, binary: bool = False) -> Sequence[Any]:
        """Return values as JSON has them; bytes as text, or as base64 where the model wants them `binary`.

        Raises a Refusal where text is asked for and bytes are none.
        """
        if self.datatype != BYTES:
            return self.numbers()
        values = self.values or ()
        if binary:
            return [base64.b64encode(one).decode() if isinstance(one, bytes) else one for one in values]
        try:
            return [one.decode() if isinstance(one, bytes) else one for one in values]
        except UnicodeDecodeError:
            at = next(index for index, one in enumerate(values) if not is_text(one))
            raise invalid(f"tensor {quote(self.name)}, value {at}: expected a text in UTF-8") from None

    def octets(self) -> list[bytes]:
        """Return the values of a tensor of texts, as bytes."""
        return [one if isinstance(one, bytes) else str(one).encode() for one in self.values or ()]


def named(name: str) -> str:
    """Say which tensor is meant; a name of a client may be long."""
    return f"tensor {name!r}" if len(name) <= _SHORT else f"tensor {quote(name)}"


def is_text(value: Any) -> bool:
    """Tell whether a value is no bytes, or bytes that are a text."""
    try:
        return not isinstance(value, bytes) or bool(value.decode() or True)
    except UnicodeDecodeError:
        return False


def count(where: str, shape: Any) -> int:
    """Return how many values a shape has; refuse one that is none, before anything is made of it."""
    if not is_shape(shape):
        expected = f"a list of at most {MAX_DIMENSIONS} lengths"
        raise invalid(f"{where}: got shape {quote(shape)}, expected {expected}")
    return math.prod(shape)


def is_shape(value: Any) -> bool:
    """Tell whether lengths are few and small enough for their product to cost nothing."""
    if not isinstance(value, (list, tuple)) or len(value) > MAX_DIMENSIONS:
        return False
    return all(type(size) is int and 0 <= size <= MAX_LENGTH for size in value)


def nested(shape: Sequence[int], flat: Sequence[Any]) -> Sequence[Any]:
    """Fold a flat list into lists of lists; one of no dimensions stays flat."""
    for size in reversed(shape[1:]):
        flat = [flat[start : start + size] for start in range(0, len(flat), size)] if size else []
    return flat
