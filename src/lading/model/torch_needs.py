"""What serving a model of PyTorch needs, and inputs of the sizes that its file tells."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from lading.core.model import Requirement
from lading.core.signature import Field
from lading.core.spec import Example
from lading.model.plain import library

_VERSION = re.compile(r"(\d+)\.(\d+)")
_FIRST_WITH_NUMPY_2 = (2, 3)
WIDENED = {"bfloat16": "float32", "float16": "float32"}
"""What clients send of types that neither JSON nor numpy's buffers have."""
_MOST_NUMBERS = 4096


def needed(version: str | None) -> tuple[Requirement, ...]:
    """Require PyTorch as the file tells it, and numpy, which it does not bring."""
    told = _VERSION.match(version or "")
    is_old = told is not None and (int(told[1]), int(told[2])) < _FIRST_WITH_NUMPY_2
    return library("torch", version), Requirement("numpy<2" if is_old else "numpy", "file")


def sample(inputs: Sequence[Field], shapes: Sequence[Sequence[int]]) -> tuple[Example, ...]:
    """Make up one request of noughts in known sizes; none where it were too long."""
    if not inputs or len(inputs) != len(shapes) or sum(map(math.prod, shapes)) > _MOST_NUMBERS:
        return ()
    values = {one.name: _noughts(one.dtype or "", shape) for one, shape in zip(inputs, shapes, strict=True)}
    return (Example({"inputs": values}, name="noughts"),)


def _noughts(dtype: str, shape: Sequence[int]) -> object:
    value: object = {"b": False, "i": 0, "u": 0}.get(dtype[:1], 0.0)
    for size in reversed(shape):
        value = [value] * size
    return value
