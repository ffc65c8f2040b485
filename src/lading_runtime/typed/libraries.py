"""Type hints of numpy, pandas and pydantic, where the model's environment has them."""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

from lading_runtime.typed.plain import Kind
from lading_runtime.typed.reading import Reading, Text, Upload
from lading_runtime.worker import tables

_TABLES = "a table: a list of rows, an object of columns, or `columns` with `data`"
_SPLIT = {"columns", "data", "index"}


class Array(Kind):
    """`numpy.ndarray`."""

    schema: Mapping[str, Any] = {"type": "array", "items": {}}
    expected = "nested lists of one length per level"
    takes = frozenset({"list", "file"})

    def __init__(self, dtype: Any = None) -> None:
        """`dtype` is what `numpy.typing.NDArray` names, None for what the values are."""
        self.dtype = dtype

    def convert(self, value: Any, at: str, reading: Reading) -> Any:
        """Make an array of lists, of a number, or of a `.npy` file."""
        import numpy as np

        try:
            if isinstance(value, np.ndarray):
                array = value
            elif isinstance(value, Upload):
                array = np.load(io.BytesIO(value.data), allow_pickle=False)
            elif isinstance(value, (list, int, float)):
                array = np.array(value)
            else:
                return reading.fail(at, value, self.expected)
            if array.dtype == object and not isinstance(value, np.ndarray):
                array = np.array(_nan(value), dtype="float64")
            if self.dtype is None:
                return array
            cast = array.astype(self.dtype)
        except (ValueError, TypeError, OverflowError, EOFError) as error:
            return reading.note(at, f"expected {self.expected}: {error}"[:500])
        is_lossless = cast.dtype.kind in "fc" or np.array_equal(cast, array)
        return cast if is_lossless else reading.note(at, f"the values do not fit {cast.dtype}")


def numbers(datatype: str, values: Sequence[Any], shape: Sequence[int]) -> Any:
    """Make an array of a tensor's values; ValueError, TypeError, OverflowError: they are none."""
    import numpy as np

    known = {"BOOL": "bool", "FP32": "float32", "FP64": "float64"}
    name = known.get(datatype) or (datatype.lower() if datatype.strip("U")[:3] == "INT" else None)
    return np.array(values, dtype=name).reshape(shape)


def _nan(value: Any) -> Any:
    """Put NaN where JSON has null."""
    if isinstance(value, list):
        return [_nan(one) for one in value]
    return float("nan") if value is None else value


class Frame(Kind):
    """`pandas.DataFrame`."""

    schema: Mapping[str, Any] = {
        "anyOf": [
            {"type": "array", "items": {"type": ["object", "array"]}},
            {"type": "object", "additionalProperties": {"type": "array"}},
        ]
    }
    expected = _TABLES
    takes = frozenset({"list", "object", "file"})

    def convert(self, value: Any, at: str, reading: Reading) -> Any:  # noqa: PLR0911 - a line per form
        """Make a frame of records, rows, columns, or a CSV or Parquet file."""
        import pandas as pd

        try:
            if isinstance(value, pd.DataFrame):
                return value
            if isinstance(value, Upload):
                if value.data[:4] == b"PAR1":
                    return tables.frame(value.data)
                return pd.read_csv(io.BytesIO(value.data))
            if isinstance(value, dict) and "data" in value and set(value) <= _SPLIT:
                return pd.DataFrame(value["data"], columns=value.get("columns"), index=value.get("index"))
            if isinstance(value, dict) and all(isinstance(one, list) for one in value.values()):
                return pd.DataFrame(value)
            if isinstance(value, dict):
                return pd.DataFrame([value])
            if isinstance(value, list):
                return pd.DataFrame(value)
        except (ValueError, TypeError, KeyError, ImportError, OverflowError) as error:
            return reading.note(at, f"expected {self.expected}: {error}"[:500])
        return reading.fail(at, value, self.expected)


def frame(values: Any) -> Any:
    """Make a frame, whose columns have no names."""
    import pandas as pd

    return pd.DataFrame(values)


class Series(Kind):
    """`pandas.Series`."""

    schema: Mapping[str, Any] = {"type": "array", "items": {}}
    expected = "a list, or an object of values by name"
    takes = frozenset({"list", "object"})
    is_record = True

    def convert(self, value: Any, at: str, reading: Reading) -> Any:
        """Make a series of a list, or of a row."""
        import pandas as pd

        if isinstance(value, (list, dict)):
            return pd.Series(value)
        return value if isinstance(value, pd.Series) else reading.fail(at, value, self.expected)


class Validated(Kind):
    """What pydantic validates: a model, or any hint of which it knows more than we do."""

    def __init__(self, hint: Any, definitions: dict[str, Any]) -> None:
        """Ask pydantic for the schema, whose definitions go among the others; 1 knows models alone."""
        import pydantic

        self._is_new = hasattr(pydantic, "TypeAdapter")
        self._error = pydantic.ValidationError
        name = getattr(hint, "__name__", "value")
        if self._is_new:
            adapter: Any = pydantic.TypeAdapter(hint)
            self._validate = adapter.validate_python
            document = adapter.json_schema(ref_template="#/$defs/{model}", schema_generator=_generator())
        else:
            self._validate = hint.parse_obj
            document = hint.schema(ref_template="#/$defs/{model}")
        for key in ("$defs", "definitions"):
            definitions.update(document.pop(key, {}))
        takes = _containers(document, definitions)
        self.is_record = "object" in takes
        if document.get("type") == "object":
            definitions.setdefault(name, document)
            document = {"$ref": f"#/$defs/{name}"}
        self.schema: Mapping[str, Any] = document
        self.expected = f"an object ({name})" if self.is_record else _described(document)
        self.takes = frozenset(takes)  # type: ignore[misc]

    def of_text(self, text: Text) -> Any:
        """Take a field as it is where a text is wanted."""
        types = {one.get("type") for one in self.schema.get("anyOf", [self.schema])} - {"null"}
        return str(text) if types == {"string"} else super().of_text(text)

    def convert(self, value: Any, at: str, reading: Reading) -> Any:
        """Validate, and tell all that pydantic finds, with its places."""
        try:
            return self._validate(value)
        except self._error as error:
            for one in error.errors():
                place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in one["loc"])
                where = (at + place).lstrip(".")
                reading.note(where, _problem(one))
        except RecursionError:
            reading.note(at, "nested too deeply")
        return None


def _generator() -> Any:
    """Return what makes JSON Schemas: an empty one of what has none, such as a validator's array."""
    from pydantic.json_schema import GenerateJsonSchema

    class Generator(GenerateJsonSchema):
        def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> Any:
            del schema, error_info
            return {}

    return Generator


def _containers(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> set[str]:
    """Tell which JSON containers fit a schema, or one of those that it is a choice of."""
    if "$ref" in schema:
        schema = definitions.get(schema["$ref"].rpartition("/")[2], {"type": "object"})
    several = schema.get("anyOf") or schema.get("oneOf") or ()
    names = {"object": {"object"}, "array": {"list"}}
    return names.get(str(schema.get("type")), set()).union(
        *(_containers(one, definitions) for one in several)
    )


def _problem(error: Mapping[str, Any]) -> str:
    """Say what one of pydantic's errors says, in our words as far as they go."""
    message = re.sub(r"^(Input should be|Value error,|Assertion failed,) ?", "", str(error["msg"]))
    if error["type"] in {"missing", "value_error.missing"}:
        return "missing"
    if error["type"] in {"extra_forbidden", "value_error.extra"}:
        return "unknown"
    if "input" not in error:
        return message
    from lading_runtime.typed.reading import shown

    if str(error["msg"]).startswith("Input should be"):
        return f"got {shown(error['input'])}, expected {message}"
    return f"got {shown(error['input'])}: {message}"


def _described(document: Mapping[str, Any]) -> str:
    """Say what a schema asks for, in short."""
    limits = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    parts = [f"{sign} {document[key]}" for key, sign in limits.items() if key in document]
    kind = {"integer": "a whole number", "number": "a number", "string": "a text", "array": "a list"}
    return " ".join([kind.get(str(document.get("type")), "a value that fits"), *parts])


def table(columns: Sequence[str] | None, rows: Sequence[Any]) -> dict[str, Any]:
    """Write rows as the object that a Frame reads."""
    return {"columns": None if columns is None else list(columns), "data": list(rows)}
