"""What a model's `predict` returned in, tensors for a message out.

numpy and pandas are looked at only where the model has imported them: a routine may need neither.
"""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import base64
import collections
import contextlib
import io
import json
import re
import sys
from array import array
from collections.abc import Mapping, Sequence
from typing import Any

from lading_runtime import wire

# numpy's names → datatypes, and what they are stored as: float16 is widened
_DATATYPES = {
    "bool": ("BOOL", "?"),
    "float16": ("FP32", "<f4"),
    "float32": ("FP32", "<f4"),
    "float64": ("FP64", "<f8"),
    **{f"int{bits}": (f"INT{bits}", f"<i{bits // 8}") for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": (f"UINT{bits}", f"<u{bits // 8}") for bits in (8, 16, 32, 64)},
}


_LISTS: Any = (set, frozenset, range, collections.deque, type({}.keys()), type({}.values()), type({}.items()))


# what says how an answer is sent, and is the server's own: a script may hand on another server's headers
_FRAMING = {"connection", "content-length", "date", "keep-alive", "transfer-encoding", "upgrade"}
_TOKEN = re.compile(r"[\w!#$%&'*+.^`|~-]+", re.ASCII)


class FormlessError(TypeError):
    """A model's answer has no JSON form."""


class Media:
    """An answer that goes to the client as it is: bytes of a media type."""

    def __init__(self, content_type: str, data: bytes, **more: Any) -> None:
        """Take the bytes; `status` and `headers`, by their names in lower case, if there are any."""
        self.content_type = content_type
        self.data = data
        self.more = more


class Named:
    """Several arrays, or one that has a name of its own."""

    def __init__(self, arrays: Mapping[str, Any]) -> None:
        """Take numpy arrays by name."""
        self.arrays = dict(arrays)

    def rows(self) -> int | None:
        """Return how many rows all of them have; None where they do not agree."""
        lengths = {one.shape[0] if one.shape else None for one in self.arrays.values()}
        return lengths.pop() if len(lengths) == 1 else None

    def cut(self, start: int, end: int) -> Named:
        """Return some rows."""
        return Named({name: one[start:end] for name, one in self.arrays.items()})


def response(value: Any) -> Media | None:
    """Return what a web framework's response holds, such as Flask's or Azure ML's; None of anything else.

    Raises ValueError for a status that ends no request, and for a header that HTTP has no words for.
    """
    status = getattr(value, "status_code", None)
    if not isinstance(status, int) or not hasattr(type(value), "get_data"):
        return None
    headers: dict[str, str] = {}
    for name, one in value.headers.items():
        key = str(name).lower()
        if key not in _FRAMING:
            headers[key] = f"{headers[key]}, {one}" if key in headers else str(one)
    if not 200 <= status < 600 or not all(map(_TOKEN.fullmatch, headers)):
        message = f"the response has status {status} and the headers {sorted(headers)}, which HTTP has not"
        raise ValueError(message)
    kind = headers.pop("content-type", "application/octet-stream")
    return Media(kind, bytes(value.get_data()), status=status, headers=headers)


def named(value: Any) -> Any:
    """Return a dictionary of arrays, which models of MLflow may answer with, as Named."""
    numpy = sys.modules.get("numpy")
    if numpy is None or type(value) is not dict or not value:
        return value
    is_named = all(type(name) is str and isinstance(one, numpy.ndarray) for name, one in value.items())
    return Named(value) if is_named else value


def unnamed(value: Any) -> Any:
    """Return a Series that has no name as an array: there is none for a frame's one column."""
    pandas = sys.modules.get("pandas")
    is_bare = pandas is not None and isinstance(value, pandas.Series) and value.name is None
    return value.to_numpy() if is_bare else value


def rows(value: Any) -> int | None:
    """Return how many rows a list, a table or arrays by name have; None of what has none."""
    value = named(value)
    if isinstance(value, Named):
        return value.rows()
    shape = getattr(value, "shape", None)
    if shape:
        return int(shape[0])
    return len(value) if isinstance(value, (list, tuple)) else None


def check_rows(value: Any, expected: int | None) -> Any:
    """Return an answer; raise RuntimeError for one of fewer or more rows than were asked about."""
    got = None if expected is None else rows(value)
    if got is not None and got != expected:
        message = f"it returned {got} rows for {expected}, expected one for each"
        raise RuntimeError(message)
    return value


def encode(value: Any) -> tuple[str, Sequence[Any]]:
    """Return `array`, `frame`, `tensors`, `media` or `json`, and the tensors, each with its bytes.

    A Series is a frame of one column, as MLflow's server has it. Raises TypeError for what has no JSON form.
    """
    if isinstance(value, Media):
        about = {"type": value.content_type, **value.more}
        return "media", [(wire.tensor("output-0", "UINT8", [len(value.data)], value.data, about), value.data)]
    value = named(value)
    if isinstance(value, Named):
        return "tensors", [_tensor(name, one) for name, one in value.arrays.items()]
    numpy, pandas = sys.modules.get("numpy"), sys.modules.get("pandas")
    if pandas is not None and isinstance(value, pandas.Series):
        value = value.to_frame()
    if pandas is not None and isinstance(value, pandas.DataFrame):
        return "frame", [
            _tensor(str(name), value.iloc[:, i].to_numpy()) for i, name in enumerate(value.columns)
        ]
    if numpy is not None and isinstance(value, numpy.ndarray):
        tensor = _tensor("output-0", value)
        return ("array" if tensor[0]["datatype"] != wire.JSON else "json"), [tensor]
    try:
        data = json.dumps(value, default=_default, allow_nan=False).encode()
    except (ValueError, TypeError):
        floats = _floats(value)
        if floats is not None:
            return "array", [floats]
        data = to_json(value)
    return "json", [(wire.tensor("output-0", wire.JSON, [1], data), data)]


def _tensor(name: str, array: Any) -> Any:
    known = _DATATYPES.get(array.dtype.name)
    if known is None:
        data = to_json(_plain(array))
        return wire.tensor(name, wire.JSON, array.shape, data), data
    datatype, stored = known
    data = array.astype(stored, copy=False).tobytes()
    return wire.tensor(name, datatype, array.shape, data), data


def _floats(value: Any) -> Any:
    """Return a number or a list of them as a tensor, which has what JSON has not: NaN and infinities."""
    values = value if type(value) is list else [value]
    if not all(isinstance(one, float) for one in values):
        return None
    data = array("d", values).tobytes()
    return wire.tensor("output-0", "FP64", [len(values)] if type(value) is list else [], data), data


def to_json(value: Any) -> bytes:
    """Print JSON; NaN and infinities, which it does not have, become null.

    It is ASCII: a lone surrogate, which a Python string may have, can only be written escaped.
    """
    try:
        return json.dumps(value, default=_default, allow_nan=False).encode()
    except (ValueError, TypeError):
        return json.dumps(_finite(value), allow_nan=False).encode()


def settled(value: Any) -> Any:
    """Return what does not change when files are removed: those within it are encoded now."""
    numpy, pandas = sys.modules.get("numpy"), sys.modules.get("pandas")
    if isinstance(value, (Media, Named)) or (numpy is not None and isinstance(value, numpy.ndarray)):
        return value
    if pandas is not None and isinstance(value, (pandas.DataFrame, pandas.Series)):
        return value
    raw = media(value)
    return plain_json(value) if raw is None else raw[1]


def plain_json(value: Any) -> Any:
    """Return a value as JSON has it; raise TypeError for what has no JSON form."""
    return json.loads(to_json(value))


def media(value: Any, wanted: Any = None) -> tuple[str, bytes] | None:
    """Return the media type and the bytes of a picture, bytes or a file; None of anything else.

    `wanted` may be the type that a picture is to have.
    """
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "application/octet-stream", bytes(value)
    pictures = sys.modules.get("PIL.Image")
    if pictures is not None and isinstance(value, pictures.Image):
        return ("image/jpeg", _jpeg(value)) if wanted == "image/jpeg" else ("image/png", _png(value))
    paths = sys.modules.get("pathlib")
    if paths is not None and isinstance(value, paths.Path) and value.is_file():
        return _guessed(value.name), value.read_bytes()
    if callable(getattr(value, "read", None)) and hasattr(value, "seekable") and hasattr(value, "close"):
        return _read(value)
    return None


def _guessed(name: Any, by_default: str = "application/octet-stream") -> str:
    import mimetypes

    return (mimetypes.guess_type(name)[0] if isinstance(name, str) else None) or by_default


def _read(stream: Any) -> tuple[str, bytes] | None:
    """Read an open file: from the beginning where it has just been written."""
    data = stream.read()
    if not data and stream.seekable():
        stream.seek(0)
        data = stream.read()
    if not isinstance(data, (str, bytes)):
        return None
    name = getattr(stream, "name", None)
    is_memory = isinstance(stream, (io.BytesIO, io.StringIO))
    if not is_memory:
        stream.close()
    if isinstance(data, str):
        return _guessed(name, "text/plain; charset=utf-8"), data.encode(errors="replace")
    return _guessed(name), data


def _jpeg(picture: Any) -> bytes:
    stream = io.BytesIO()
    picture.convert("RGB").save(stream, "JPEG")
    return stream.getvalue()


def _png(picture: Any) -> bytes:
    stream = io.BytesIO()
    has_form = picture.mode in {"1", "L", "LA", "I", "I;16", "P", "RGB", "RGBA"}
    (picture if has_form else picture.convert("RGB")).save(stream, "PNG")
    return stream.getvalue()


def _default(value: Any) -> Any:  # noqa: PLR0911 - a line per form
    """Turn what json does not know into something it does; raise TypeError where there is nothing."""
    raw = media(value)
    if raw is not None:
        return base64.b64encode(raw[1]).decode()
    if isinstance(value, _LISTS):
        return list(value)
    pandas, numpy = sys.modules.get("pandas"), sys.modules.get("numpy")
    if pandas is not None and (value is pandas.NA or value is pandas.NaT):
        return None
    if pandas is not None and isinstance(value, pandas.DataFrame):
        return value.to_dict(orient="records")
    if numpy is not None and isinstance(value, (numpy.ndarray, numpy.generic)):
        return _plain(value)
    if hasattr(value, "model_dump"):  # pydantic 2
        try:
            return value.model_dump(mode="json", by_alias=True)
        except Exception:  # noqa: BLE001 - it holds arrays or pictures, of which we know more
            return value.model_dump(by_alias=True)
    for method in ("isoformat", "tolist", "total_seconds"):
        if hasattr(value, method):
            return getattr(value, method)()
    return _object(value)


def _object(value: Any) -> Any:
    """Turn an object of a class with members, a choice or an odd number into plain values."""
    if hasattr(value, "__dataclass_fields__") and not isinstance(value, type):
        return {name: getattr(value, name) for name in value.__dataclass_fields__}
    names = {f"{one.__module__}.{one.__name__}" for one in type(value).__mro__}
    if "enum.Enum" in names:
        return value.value
    if "pydantic.main.BaseModel" in names:  # pydantic 1
        return value.dict()
    if names & {"decimal.Decimal", "fractions.Fraction"}:
        return float(value)
    if names & {"uuid.UUID", "pathlib.PurePath"}:
        return str(value)
    core = sys.modules.get("pydantic_core")
    if core is not None and not hasattr(value, "__next__"):  # its addresses, secrets and the like
        with contextlib.suppress(core.PydanticSerializationError):
            return core.to_jsonable_python(value)
    message = (
        f"the model returned a {type(value).__module__}.{type(value).__qualname__}, which has no JSON form"
    )
    raise FormlessError(message)


def _plain(array: Any) -> Any:
    """Turn an array into Python values; times go by microseconds, or they would come out as numbers."""
    if array.dtype.kind == "M":
        array = array.astype("datetime64[us]")
    return array.tolist()


def _key(key: Any) -> str:
    """Write an object's key as JSON does; a choice is its value."""
    if hasattr(type(key), "__members__") and hasattr(key, "value"):
        key = key.value
    if key is None or isinstance(key, bool):
        return {None: "null", True: "true", False: "false"}[key]
    return str(key.isoformat() if hasattr(key, "isoformat") else key)


def _finite(value: Any) -> Any:
    """Copy nested values for JSON: null for what is not finite, text for keys."""
    if isinstance(value, float):
        return value if value - value == 0 else None
    if value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, Mapping):
        return {_key(key): _finite(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]
    return _finite(_default(value))
