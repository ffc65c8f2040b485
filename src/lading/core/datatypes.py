"""Names of the types of numbers: numpy's in the middle, each protocol's and library's own around them."""

from __future__ import annotations

import re
from collections.abc import Mapping

_WHOLE = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
NAMES = frozenset(
    {
        *("bool", *_WHOLE, "float16", "float32", "float64", "float128", "complex64", "complex128"),
        *("complex256", "str", "bytes", "object", "datetime64", "timedelta64"),
    }
)
"""numpy's own; those of times may have a unit behind them, as `datetime64[ns]`."""


def _pairs(text: str) -> Mapping[str, str]:
    return dict(one.split("=") for one in text.split())


_CODES = _pairs(
    "i1=int8 i2=int16 i4=int32 i8=int64 u1=uint8 u2=uint16 u4=uint32 u8=uint64 f2=float16 f4=float32 "
    "f8=float64 f16=float128 c8=complex64 c16=complex128 c32=complex256 b1=bool O=object U=str S=bytes "
    "U0=str S0=bytes M8=datetime64 m8=timedelta64"
)
_OTHERS = _pairs(
    "float=float64 double=float64 single=float32 half=float16 int=int64 intc=int32 intp=int64 long=int64 "
    "longlong=int64 short=int16 byte=int8 ubyte=uint8 ushort=uint16 uintc=uint32 uint=uint64 uintp=uint64 "
    "ulong=uint64 ulonglong=uint64 complex=complex128 longdouble=float128 bool_=bool str_=str bytes_=bytes "
    "object_=object ?=bool b=int8 h=int16 i=int32 l=int64 q=int64 B=uint8 H=uint16 I=uint32 L=uint64 "
    "Q=uint64 e=float16 f=float32 d=float64 g=float128 F=complex64 D=complex128 G=complex256 "
    "M=datetime64 m=timedelta64"
)
_UNIT = re.compile(r"\[(\d*(?:Y|M|W|D|h|m|s|ms|us|μs|ns|ps|fs|as))\]\Z")

OIP = {
    **{name: name.upper() for name in ("bool", *_WHOLE)},
    **_pairs("float16=FP16 float32=FP32 float64=FP64 str=BYTES bytes=BYTES object=BYTES"),
}
"""numpy's names → the Open Inference Protocol's."""
OF_SCALARS = _pairs(
    "boolean=bool integer=int32 long=int64 float=float32 double=float64 string=str binary=bytes "
    "datetime=datetime64[ns]"
)
"""MLflow's types of columns → numpy's names (mlflow/types/schema.py)."""


def _numbered(text: str) -> Mapping[int, str]:
    return {int(key): value for key, value in _pairs(text).items()}


ONNX = _numbered(
    "1=float32 2=uint8 3=int8 4=uint16 5=int16 6=int32 7=int64 8=str 9=bool 10=float16 11=float64 12=uint32 "
    "13=uint64 14=complex64 15=complex128"
)
"""onnx.TensorProto.DataType → numpy's names; what is not here, such as bfloat16, numpy has not."""
TENSORFLOW = _numbered(
    "1=float32 2=float64 3=int32 4=uint8 5=int16 6=int8 7=str 8=complex64 9=int64 10=bool 17=uint16 "
    "18=complex128 19=float16 22=uint32 23=uint64"
)
"""tensorflow.DataType (types.proto) → numpy's names; references to variables are a hundred above."""
TENSORFLOW_NAMES = {
    name: int(number)
    for name, number in _pairs(
        "DT_FLOAT=1 DT_DOUBLE=2 DT_INT32=3 DT_UINT8=4 DT_INT16=5 DT_INT8=6 DT_STRING=7 DT_COMPLEX64=8 "
        "DT_INT64=9 DT_BOOL=10 DT_UINT16=17 DT_COMPLEX128=18 DT_HALF=19 DT_UINT32=22 DT_UINT64=23"
    ).items()
}


def numpy_name(text: object) -> str | None:
    """Return numpy's name of a type that is spelled in one of its ways; None where it is no type of it.

    A byte order is not kept, for names have none. Texts of a length (`<U10`) are none, as MLflow has it.

    >>> [numpy_name(one) for one in ("<f4", "double", "M8[ns]", "U10", "string")]
    ['float32', 'float64', 'datetime64[ns]', None, None]
    """
    if not isinstance(text, str):
        return None
    unit = _UNIT.search(text)
    plain = text[: unit.start()] if unit else text
    code = plain[1:] if plain[:1] in {"<", ">", "=", "|"} else plain
    name = plain if plain in NAMES else _CODES.get(code) or _OTHERS.get(code)
    if unit is None or name is None:
        return name
    return f"{name}[{unit[1].replace('μ', 'u')}]" if name in {"datetime64", "timedelta64"} else None
