"""A compiled model's folder in, answers in the worker's own form out, with no library but Python's.

`form.json` tells what cells the model takes and what it gives; `form.py` beside it has `predict`, which takes
rows and returns one flat list. The proof compares what `Form.answer` returns with the worker's answer.
"""

# cells and labels may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import importlib.util
import json
import os
from array import array
from collections.abc import Iterable, Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

from lading_runtime import wire

if TYPE_CHECKING:  # Python 3.8 cannot evaluate it
    Tensors = Sequence[tuple[Mapping[str, Any], Any]]

FORMAT = 1
_FLOATS = ("FP64", "FP32")
_WIDE = {"INT64", "UINT64", "INT32", "UINT32"}
"""Whole numbers that have no room in single precision, so that numpy takes double beside it."""
_EXACT_INTEGER = 1 << 53


class Refused(Exception):  # noqa: N818 - an answer, as the worker gives it
    """The original would have refused this input, and says why."""


class Form:
    """A compiled model."""

    def __init__(self, folder: str) -> None:
        """Load the folder's `form.json` and `form.py`; raise ValueError where they are of another format."""
        with open(os.path.join(folder, "form.json"), "rb") as stream:  # noqa: PTH118, PTH123 - as at every start
            document = json.load(stream)
        if document.get("format") != FORMAT:
            message = f"got a compiled model of format {document.get('format')!r}, expected {FORMAT}"
            raise ValueError(message)
        self.document: Mapping[str, Any] = document
        module = _import(os.path.join(folder, "form.py"))  # noqa: PTH118
        self._predict = module.predict
        self._predict_single = getattr(module, "predict_single", module.predict)
        self._kind = str(document["kind"]).rpartition(".")[2]
        self._names = document["names"]
        self._width = self.width = int(document["width"])
        self._is_single = self.is_single = document["cells"] == "f32"
        self._refuses = frozenset(document["refuses"])
        self._integers_are_single = self.integers_are_single = bool(document["integers_are_single"])
        self._takes_empty = bool(document["takes_empty"])
        self._gaps_are_nan = bool(document["gaps_are_nan"])
        self._ignored = frozenset(document.get("ignored") or ())
        self._as_they_are = frozenset(document["texts"]) | self._ignored
        self._texts = frozenset(document["texts"]) - self._ignored
        self._by_name = bool(document.get("by_name"))
        self._frames = bool(document.get("frames", True))
        # an imputer makes objects of all that it is given
        self._filled = frozenset(document.get("filled") or ())
        self._checked = self._texts - self._filled if self._frames else frozenset[int]()
        self._refuses_objects = bool(document.get("refuses_objects"))
        output = document["output"]
        self._datatype = self.datatype = str(output["datatype"])
        self._code = wire.ARRAY_CODES.get(self._datatype)
        self._columns = self.columns = output["columns"]
        """How many numbers a row's answer has; None where that is one, and no list."""
        self.takes_doubles = not document["texts"] and "FP64" not in self._refuses
        self.facts = {"names": self._names, "width": self._width}

    def answer(
        self, content: str, tensors: Tensors, columns: Sequence[str] | None = None
    ) -> tuple[dict[str, Any], bytes]:
        """Answer one encoded request: the header and the tensor's bytes, as the worker would send them.

        Raises Refused where the original refuses the input; anything else that is raised is a failure.
        """
        if len(tensors) == 1 and (columns or content != "frame"):
            rows, kind = self._matrix(content, tensors[0], columns)
        else:
            rows, kind = self._frame(content, tensors)
        layout = "rows"  # how numpy holds the original's input, which BLAS minds
        if content == "frame" and self._names is not None:
            layout = "columns" if kind in _FLOATS else "integers"
        try:
            values = (self._predict_single if kind == "FP32" else self._predict)(rows, layout)
        except (ValueError, TypeError, OverflowError) as error:  # as a loader has it, of any cell
            raise Refused(str(error)[:2000]) from error
        count = len(values)
        # XGBoost, which alone answers no rows, takes them for those of two classes
        wide = self._columns if count else 2
        shape = [count] if self._columns is None else [count // self._columns, wide]
        if self._code is None:
            data = json.dumps(_fold(values, self._columns)).encode()
        else:
            data = array(self._code, values).tobytes()
        entry = {
            "name": "output-0",
            "datatype": self._datatype,
            "shape": shape,
            "parameters": {"binary_data_size": len(data)},
        }
        kind = "json" if self._code is None else "array"
        return {"parameters": {"content": kind}, "outputs": [entry]}, data

    def numbers(self, flat: Sequence[float]) -> list[Any]:
        """Answer rows of doubles that follow each other, in the model's own columns; return a flat list.

        Raises ValueError where the original refuses them.
        """
        cells = to_single(flat).tolist() if self._is_single else flat
        rows = [cells] if len(cells) == self._width else zip(*[iter(cells)] * self._width)  # noqa: B905
        # as `answer` has it: a table for a model that knows names is a frame
        layout = "rows" if self._names is None else "columns"
        values: list[Any] = self._predict(rows, layout)
        return values

    def _matrix(
        self, content: str, tensor: tuple[Mapping[str, Any], Any], columns: Sequence[str] | None
    ) -> tuple[Any, str]:
        """Return rows of one tensor, and their datatype."""
        entry, data = tensor
        shape = entry["shape"]
        self._check_shape(shape)
        if self._by_name and content != "frame":
            raise Refused("Specifying the columns using strings is only supported for dataframes.")
        picks = self._picks(content, columns)
        if picks is None and shape[1] != self._width:
            raise Refused(
                f"X has {shape[1]} features, but {self._kind} is expecting {self._width} features as input."
            )
        datatype = entry["datatype"]
        code = wire.ARRAY_CODES.get(datatype)
        if datatype in self._refuses or (code and self._texts - self._filled):
            raise Refused(f"{self._kind} does not take {datatype}")
        if code is None:
            flat = self._read_objects(data, shape[1], picks)
        else:
            cells: array[Any] = array(code)
            cells.frombytes(data)
            if (self._is_single and code != "f") or (
                code not in "fd" and self._integers_are_single and content != "frame"
            ):
                cells = to_single(cells)
            flat = cells.tolist()
        if picks is None:
            if shape[0] == 1:
                return [flat], datatype
            return zip(*[iter(flat)] * self._width), datatype  # noqa: B905 - of one iterator
        width = shape[1]
        return [[flat[start + pick] for pick in picks] for start in range(0, len(flat), width)], datatype

    def _frame(self, content: str, tensors: Tensors) -> tuple[Any, str]:
        """Return rows of a table whose columns came one by one, and their common datatype."""
        if content != "frame":
            message = f"got {len(tensors)} tensors, expected one"
            raise TypeError(message)
        picks = self._picks(content, [entry["name"] for entry, _ in tensors])
        if picks is not None:
            tensors = [tensors[pick] for pick in picks]
        elif len(tensors) != self._width:
            raise Refused(
                f"X has {len(tensors)} features, but {self._kind} is expecting {self._width} features "
                "as input."
            )
        self._check_shape([tensors[0][0]["shape"][0], len(tensors)])
        kinds = {
            entry["datatype"] for index, (entry, _) in enumerate(tensors) if index not in self._as_they_are
        }
        if (
            not self._frames
            and self._texts - self._filled
            and all(entry["datatype"] != wire.JSON for entry, _ in tensors)
        ):
            raise Refused(f"{self._kind} does not take numbers alone")
        columns = [self._column(index, *one) for index, one in enumerate(tensors)]
        if kinds & {"FP64", wire.JSON} or ("FP32" in kinds and kinds & _WIDE):
            kind = "FP64"
        else:
            kind = "FP32" if "FP32" in kinds else "INT64"  # or text alone
        return list(zip(*columns)), kind  # noqa: B905 - of one table

    def _column(self, index: int, entry: Mapping[str, Any], data: Any) -> Sequence[Any]:
        """Read one column's cells; numbers alone are refused in one of text, unless it is filled first."""
        checked = index in self._checked
        code = wire.ARRAY_CODES.get(entry["datatype"])
        if (code and checked) or (code is None and self._refuses_objects):
            raise Refused(f"{self._kind} does not take {entry['datatype']} as column {entry['name']!r}")
        if code is None:
            values: list[Any] = json.loads(bytes(data))
            # a column of objects is one to pandas whatever is in it
            is_object = entry["parameters"].get("type") == "object"
            if checked and not is_object and _are_numbers(values):
                raise Refused(f"{self._kind} does not take numbers as column {entry['name']!r}")
            if index in self._as_they_are:
                return _with_gaps(values, is_object=is_object) if is_object or self._gaps_are_nan else values
            numbers = list(map(_number, values))
            return to_single(numbers) if self._is_single else numbers
        cells: array[Any] = array(code)
        cells.frombytes(data)
        return to_single(cells) if self._is_single and code != "f" else cells

    def _read_objects(self, data: Any, width: int, picks: Sequence[int] | None) -> list[Any]:
        """Read cells of any type, row by row; those of columns that hold no text become numbers."""
        values = json.loads(bytes(data))
        texts = self._as_they_are if picks is None else {picks[one] for one in self._as_they_are}
        flat = [one if i % width in texts else _number(one) for i, one in enumerate(values)]
        return to_single(flat).tolist() if self._is_single else flat

    def _check_shape(self, shape: Sequence[int]) -> None:
        if len(shape) != 2:
            raise Refused(f"Expected 2D array, got {len(shape)}D array instead.")
        if not shape[0] and not self._takes_empty:
            raise Refused(
                f"Found array with 0 sample(s) (shape={tuple(shape)}) while a minimum of 1 is required by "
                f"{self._kind}."
            )

    def _picks(self, content: str, names: Sequence[str] | None) -> Sequence[int] | None:
        """Find the model's columns among those given by name; None where they are in order."""
        if content != "frame" or self._names is None or names is None or self._names == list(names):
            return None
        if not self._by_name:
            raise Refused("The feature names should match those that were passed during fit.")
        missing = [
            name for index, name in enumerate(self._names) if name not in names and index not in self._ignored
        ]
        if missing:
            raise Refused(f"columns are missing: {missing}")
        where = {name: position for position, name in enumerate(names)}
        return [where.get(name, 0) for name in self._names]  # any will do for one that is ignored


def _with_gaps(values: list[Any], *, is_object: bool) -> list[Any]:
    """Make null NaN, as pandas does, where there is text beside it or the column is one of objects."""
    if None in values and (is_object or any(type(one) is str for one in values)):
        return [float("nan") if one is None else one for one in values]
    return values


def _are_numbers(values: Sequence[Any]) -> bool:
    """Tell whether pandas makes a column of numbers of these values, or one of true and false."""
    kinds = set(map(type, values))
    return kinds == {bool} or bool(kinds - {type(None)} <= {int, float} and kinds != {type(None)} and kinds)


def _number(cell: Any) -> float:
    """Read a cell that should be a number, as numpy does; null is missing."""
    try:
        return float("nan") if cell is None else float(cell)
    except (ValueError, TypeError, OverflowError) as error:  # text, a list, a number without end
        raise Refused(str(error)) from error


def to_single(cells: Iterable[Any]) -> array[float]:
    """Round numbers to single precision once, as a cast does; what is too large becomes infinite."""
    if isinstance(cells, array) and cells.typecode in "qQ":
        return array("f", [one if abs(one) <= _EXACT_INTEGER else _odd(one) for one in cells])
    return array("f", cells)


def _odd(value: int) -> int:
    """Shorten an integer to 53 bits so that rounding it again is as if it were rounded once."""
    sign, value = (-1, -value) if value < 0 else (1, value)
    shift = value.bit_length() - 53
    rest = value & ((1 << shift) - 1)
    return sign * (((value >> shift) | bool(rest)) << shift)


def _fold(values: list[Any], columns: int | None) -> list[Any]:
    if columns is None:
        return values
    return [values[start : start + columns] for start in range(0, len(values), columns)]


def _import(file: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location("lading_compiled_model", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
