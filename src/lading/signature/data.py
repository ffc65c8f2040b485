"""A file of data in, the inputs that MLflow's `infer_signature` gives it out, with notes for people.

CSV is taken as `pandas.read_csv` reads it, Parquet and Arrow as `pandas.read_parquet` does, a file of numpy's
as its arrays, and JSON as it is: a list of objects is rows, an object is one. A request of MLflow's server,
such as `{"dataframe_split": …}`, is the data in it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lading.core import grammar
from lading.core.errors import Issue, ModelError, SpecError
from lading.core.signature import Field
from lading.signature import arrays, arrow, csv_file
from lading.signature.columns import column, of_frame
from lading.signature.values import is_missing, of_column, type_of

SUFFIXES = (
    ".csv",
    ".json",
    ".jsonl",
    ".ndjson",
    ".npy",
    ".npz",
    ".parquet",
    ".pq",
    ".arrow",
    ".feather",
    ".ipc",
)
_ANY = (Field("any"),)
_MOST_BYTES = 256 << 20
_DEEPEST = 100  # as in the grammar


@dataclass(frozen=True, slots=True)
class Inferred:
    """What data tells."""

    fields: tuple[Field, ...]
    notes: tuple[str, ...] = ()


def infer(path: Path) -> Inferred:
    """Infer the fields of a file; raise SpecError where it cannot be read.

    A column that has no type in MLflow's grammar makes all of it one column of any type, as MLflow has it.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise SpecError(Issue(str(path), f"got {suffix!r}, expected one of {', '.join(SUFFIXES)}"))
    if not path.is_file():
        raise SpecError(Issue(str(path), "there is no such file"))
    if suffix in {".npy", ".npz"}:
        found = arrays.read(path)
        single = [one.name or "it" for one in found if one.type == "any"]
        return (
            _untyped(f"{', '.join(single)} is one value, and no array of rows") if single else Inferred(found)
        )
    try:
        if suffix == ".json":
            return of_json(_parsed(_text(path), str(path)))
        if suffix in {".jsonl", ".ndjson"}:
            lines = _text(path).splitlines()
            rows = [_parsed(line, f"{path}:{at}") for at, line in enumerate(lines, 1) if line.strip()]
            return of_json(rows)
        return _of_columns(csv_file.read(path) if suffix == ".csv" else arrow.read(path))
    except UnicodeDecodeError as error:
        raise SpecError(Issue(str(path), f"not UTF-8 at byte {error.start}")) from error
    except OSError as error:
        raise SpecError(Issue(str(path), f"cannot be read: {error.strerror}")) from error


def _text(path: Path) -> str:
    if (size := path.stat().st_size) > _MOST_BYTES:
        fix = "give a sample of it; a thousand rows tell as much"
        raise SpecError(Issue(str(path), f"got {size} bytes, expected {_MOST_BYTES} at most", fix))
    return path.read_text(encoding="utf-8-sig")


def _parsed(text: str, where: str) -> Any:  # noqa: ANN401 - any JSON value
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SpecError(Issue(where, f"no JSON: {error}")) from error


def _of_columns(columns: Iterator[tuple[str, Field | ValueError]]) -> Inferred:
    """Put columns together; one that has no type makes all of them one of any type."""
    fields: list[Field] = []
    problems = []
    for name, found in columns:
        if isinstance(found, ValueError):
            problems.append(f"column {name!r}: {found}")
        else:
            fields.append(found)
    if problems:
        return _untyped(*problems)
    return Inferred(tuple(fields), tuple(_hints(fields))) if fields else _untyped("there are no columns")


def _untyped(*problems: str) -> Inferred:
    return Inferred(_ANY, (*problems, "so all of it is one column of any type, as MLflow has it"))


def _hints(fields: Sequence[Field]) -> Iterator[str]:
    """Warn, as MLflow does, of whole numbers: none is NaN."""
    whole = [one.name or "it" for one in fields if one.type in {"integer", "long"}]
    if whole:
        names = ", ".join(whole[:5]) + (", …" if len(whole) > 5 else "")
        yield (
            f"{names}: whole numbers cannot be missing; where one may be, write double and required: false, "
            "or infer from rows of which some lack it"
        )


def of_json(data: Any) -> Inferred:  # noqa: ANN401 - any JSON value
    """Infer the fields of plain values: rows, one row, or a request of MLflow's server."""
    try:
        _refuse_deep(data)
        frame = _frame(data)
        if frame is not None:
            return _of_columns(frame)
        fields = _plain(_unwrapped(data))
    except ValueError as error:
        return _untyped(str(error))
    return Inferred(fields, tuple(_hints(fields)))


def _refuse_deep(data: Any) -> None:  # noqa: ANN401 - any JSON value
    """Raise ValueError for values in values without end, as no signature has them."""
    level = [data]
    for _ in range(_DEEPEST):
        level = [
            inner
            for one in level
            if isinstance(one, (list, dict))
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return
    raise ValueError(f"it is nested more than {_DEEPEST} deep")


def _plain(data: Any) -> tuple[Field, ...]:  # noqa: ANN401 - any JSON value
    """Infer what `infer_signature` does of lists and dictionaries; raise ValueError where it cannot."""
    if data == [] and isinstance(data, list):
        return (Field("string"),)
    if isinstance(data, list) and all(isinstance(one, dict) for one in data):
        found: dict[str, list[Any]] = {}
        for row in data:
            for name, value in row.items():
                found.setdefault(name, []).append(value)
        if not found:
            raise ValueError("the objects are empty")
        return tuple(
            column(of_column(values), name, required=all(row.get(name) is not None for row in data))
            for name, values in found.items()
        )
    if isinstance(data, dict):
        if not data:
            raise ValueError("the object is empty")
        fields = []
        for name, value in data.items():
            required = not (any(map(is_missing, value)) if isinstance(value, list) else is_missing(value))
            fields.append(column(type_of(value) or {"type": "any"}, name, required=required))
        return tuple(fields)
    typed = of_column(data) if isinstance(data, list) else type_of(data)
    return (column(typed or {"type": "any"}, None, required=True),)


def _unwrapped(data: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Take the data out of a request of MLflow's, KServe's or Azure ML's."""
    if isinstance(data, dict) and set(data) - {"params", "parameters"} in (
        {"inputs"},
        {"instances"},
        {"input_data"},
    ):
        return next(value for key, value in data.items() if key not in {"params", "parameters"})
    return data


def _frame(data: Any) -> Iterator[tuple[str, Field | ValueError]] | None:  # noqa: ANN401 - any JSON value
    """Return the columns of what pandas makes a frame of: a split one, or records that are said to be."""
    given = data if isinstance(data, dict) else {}
    split = given.get("dataframe_split", given.get("input_data", given))
    if (
        isinstance(split, dict)
        and "columns" in split
        and {"data"} <= set(split) <= {"columns", "index", "data"}
    ):
        names, rows = split["columns"], split["data"]
        if not isinstance(names, list) or not isinstance(rows, list):
            raise ValueError("a split frame has lists of 'columns' and 'data'")
        if any(not isinstance(row, list) or len(row) != len(names) for row in rows):
            raise ValueError(f"a row has not {len(names)} cells, as many as there are columns")
        return _framed({str(name): [row[at] for row in rows] for at, name in enumerate(names)})
    records = given.get("dataframe_records")
    if isinstance(records, list) and all(isinstance(one, dict) for one in records):
        keys = dict.fromkeys(name for one in records for name in one)
        # what a record lacks is NaN to pandas
        return _framed({name: [one.get(name, math.nan) for one in records] for name in keys})
    return None


def _framed(columns: Mapping[str, Sequence[Any]]) -> Iterator[tuple[str, Field | ValueError]]:
    for name, values in columns.items():
        try:
            yield name, of_frame(name, values)
        except ValueError as error:
            yield name, error


def params(values: object, where: str = "params") -> tuple[Field, ...]:
    """Infer parameters of an object of their defaults; raise SpecError with every issue.

    A list of numbers is a list parameter, an object one of its own type, as `infer_signature` has them.
    """
    if not isinstance(values, Mapping):
        raise SpecError(Issue(where, f"got {values!r:.60}, expected an object of names and defaults"))
    rows, issues = [], []
    for name, value in values.items():
        try:
            kind, shape = _param(value)
        except ValueError as error:
            issues.append(Issue(f"{where}.{name}", f"got {value!r:.60}: {error}"))
            continue
        rows.append({"name": name, **kind, "default": value, "shape": shape})
    if issues:
        raise SpecError(*issues)
    try:
        return grammar.read({"params": rows}, where).params
    except ModelError as error:
        raise SpecError(*error.issues) from error


def _param(value: Any) -> tuple[dict[str, Any], list[int] | None]:  # noqa: ANN401 - any JSON value
    if isinstance(value, list):
        kinds = {type(one) for one in value}
        if not kinds:
            return {"type": "datetime"}, [-1]  # as MLflow has it, for every item of it is a time
        if kinds <= {int, float} and float in kinds:
            return {"type": "double"}, [-1]
        if len(kinds) == 1 and kinds <= {bool, int, str}:
            return type_of(value[0]) or {}, [-1]
        raise ValueError("expected a list of numbers, of truths or of texts")
    typed = type_of(value)
    if typed is None or typed["type"] == "any":
        raise ValueError("expected a value, a list or an object, of which the type can be told")
    return typed, None
