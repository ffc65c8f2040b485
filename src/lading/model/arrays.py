"""numpy's dtypes and arrays in a pickle: their symbols and states go in, sizes and shapes come out.

Everything raises UnfollowedError for what numpy does not write: the length of an array decides where the next
instruction is, so it has to be beyond doubt.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from lading.model.symbols import Array, Dtype, Global, Instance, Raw, Symbol, UnfollowedError

_CODE = re.compile(r"([biufcmMOSUV])([0-9]{1,9})\Z")
_LARGEST_ARRAY_BYTES = 1 << 60
_WRAPPER_KEYS = {"subclass", "shape", "order", "dtype", "allow_mmap", "numpy_array_alignment_bytes"}
_FILE_KEYS = {"filename", "subclass", "allow_mmap"}
_PLAIN_NAME = re.compile(r"[^./\\\0][^/\\\0]*\Z")
_ARRAY_CLASSES = {
    ("numpy", "ndarray"),
    ("numpy", "memmap"),
    ("numpy", "matrix"),
    ("numpy.matrixlib.defmatrix", "matrix"),
}


@dataclass(frozen=True, slots=True)
class RawArray:
    """An array whose bytes stand behind its wrapper."""

    dtype: Dtype
    shape: tuple[int, ...]
    padded: bool

    @property
    def size_bytes(self) -> int:
        """Multiply the shape and the size of an element."""
        return math.prod(self.shape) * self.dtype.size_bytes


def make_dtype(arguments: tuple[Symbol, ...]) -> Dtype:
    """Read `dtype(code, False, True)`."""
    code = arguments[0] if arguments else None
    match = _CODE.match(code) if isinstance(code, str) else None
    if match is None:
        # what is no text may be nested so that printing it takes for ever
        shown = repr(code[:40]) if isinstance(code, str) else "no text"
        raise UnfollowedError(f"got {shown}, expected the code of a dtype")
    letter, size = match[1], int(match[2])
    return Dtype(match[0], size * 4 if letter == "U" else size, holds_objects=letter == "O")


def build_dtype(dtype: Dtype, state: Symbol) -> None:
    """Read a dtype's state: version, byte order, subarray, names, fields, size, alignment and flags."""
    if dtype.built or not isinstance(state, tuple) or len(state) < 7:
        raise UnfollowedError("a dtype in a state that numpy does not write")
    _, _, subarray, _, fields, size, _, *rest = state
    holds_objects = dtype.code[0] == "O"
    for member in _members(fields, subarray):
        holds_objects = holds_objects or member.holds_objects
    flags = rest[0] if rest else int(holds_objects)
    if not isinstance(size, int) or not isinstance(flags, int):
        raise UnfollowedError("a dtype in a state that numpy does not write")
    if size not in {-1, dtype.size_bytes} or bool(flags & 1) != holds_objects:
        raise UnfollowedError("a dtype that contradicts itself")
    dtype.holds_objects = holds_objects
    dtype.built = True


def _members(fields: Symbol, subarray: Symbol) -> list[Dtype]:
    """Collect the dtypes of fields (`{name: (dtype, offset…)}`) and of a subarray (`(dtype, shape)`)."""
    found = [] if subarray is None else [subarray]
    if isinstance(fields, dict):
        found += fields.values()
    elif fields is not None:
        raise UnfollowedError("a dtype whose fields are no dict")
    members = [one[0] if isinstance(one, tuple) and one else None for one in found]
    dtypes = [one for one in members if isinstance(one, Dtype)]
    if len(dtypes) != len(members):
        raise UnfollowedError("a dtype whose fields are no dtypes")
    return dtypes


def build_array(array: Array, state: Symbol) -> None:
    """Read an array's state: version, shape, dtype, Fortran order, bytes or a list of objects."""
    if array.built or not isinstance(state, tuple) or len(state) != 5 or not isinstance(state[2], Dtype):
        raise UnfollowedError("an array in a state that numpy does not write")
    _, shape, array.dtype, _, content = state
    array.shape = shape_of(shape)
    array.items = content if type(content) is list else None
    array.built = True


def shape_of(symbol: Symbol) -> tuple[int, ...]:
    """Check that a symbol is a shape."""
    if not isinstance(symbol, tuple) or not all(type(one) is int and one >= 0 for one in symbol):
        raise UnfollowedError("an array whose shape is no tuple of numbers")
    return symbol


def raw_array(wrapper: Instance, state: Symbol) -> RawArray:
    """Read the state of joblib's NumpyArrayWrapper."""
    if wrapper.built or not isinstance(state, dict) or not state.keys() <= _WRAPPER_KEYS:
        raise UnfollowedError("an array wrapper in a state that joblib does not write")
    wrapper.built = True
    cls, dtype, order = state.get("subclass"), state.get("dtype"), state.get("order")
    if not isinstance(cls, Global) or (cls.module, cls.name) not in _ARRAY_CLASSES or order not in ("C", "F"):
        raise UnfollowedError("an array wrapper around what is no numpy array")
    if not isinstance(dtype, Dtype) or (dtype.size_bytes == 0 and not dtype.holds_objects):
        raise UnfollowedError("an array wrapper whose dtype cannot be told")
    raw = RawArray(dtype, shape_of(state.get("shape")), state.get("numpy_array_alignment_bytes") is not None)
    if raw.size_bytes > _LARGEST_ARRAY_BYTES:
        raise UnfollowedError("an array of absurd size")
    return raw


def file_of(wrapper: Instance, state: Symbol) -> str:
    """Read the state of joblib's NDArrayWrapper, before 0.10: the name of a file beside the pickle."""
    if wrapper.built or not isinstance(state, dict) or not state.keys() <= _FILE_KEYS:
        raise UnfollowedError("an array wrapper in a state that joblib does not write")
    wrapper.built = True
    cls, name = state.get("subclass"), state.get("filename")
    if not isinstance(cls, Global) or (cls.module, cls.name) not in _ARRAY_CLASSES:
        raise UnfollowedError("an array wrapper around what is no numpy array")
    if not isinstance(name, str) or not _PLAIN_NAME.match(name):
        raise UnfollowedError("an array wrapper whose file is not beside the pickle")
    return name


def frombuffer(arguments: tuple[Symbol, ...]) -> Array:
    """Read protocol 5's `_frombuffer(bytes, dtype, shape, order)`, of newer numpys with axes too."""
    match arguments:
        case (Raw(), Dtype() as dtype, tuple() as shape, str()):
            return Array(dtype, shape_of(shape))
        case (Raw(), Dtype() as dtype, tuple() as shape, str(), None):
            return Array(dtype, shape_of(shape))
        case (Raw(), Dtype() as dtype, tuple() as shape, "K", tuple() as axes):
            if sorted(shape_of(axes)) != list(range(len(shape_of(shape)))):
                raise UnfollowedError("an array whose axes are not those of its shape")
            return Array(dtype, tuple(shape[axis] for axis in axes))
        case _:
            raise UnfollowedError("an array in a form that numpy does not write")
