"""Tables, lists and dictionaries of a client in, the body of one internal request out.

A frame whose columns are all of one numeric type travels as one matrix, any other as one tensor per column.
"""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any, NamedTuple, Optional

from lading_runtime import wire
from lading_runtime.front.cast import FLOATS, OBJECT, Misfit, infer, pack
from lading_runtime.front.lenient import AZURE, coerce, taken_by_azure
from lading_runtime.front.messages import Refusal, invalid, listed, quote, shown
from lading_runtime.front.schema import NESTED, Column, Columns, Schema, Tensor, as_numbers, pack_column
from lading_runtime.front.tensors import MAX_DIMENSIONS

# records of ever other keys make a table of their square: so many cells per one given, or in all
_MAX_GAPS = 10
_MAX_FILLED_CELLS = 10_000_000
_LISTS = {list}
# what the worker has to know of JSON values
_TOLD = frozenset({"binary", "datetime", OBJECT})
FILE = "file"
"""A frame in a file that the worker reads, with the types that it has there."""


class Input(NamedTuple):
    """One internal request: what the worker makes of the tensors, and the tensors.

    `content` is `frame` (columns), `array` (one tensor), `tensors` (named ones), `json` (a routine's body) or
    FILE.
    """

    content: str
    tensors: Sequence[tuple[Mapping[str, Any], wire.Buffer]]
    columns: Optional[Sequence[str]] = None  # noqa: UP045 - evaluated under Python 3.9 too
    params: Optional[Mapping[str, Any]] = None  # noqa: UP045


def body(data: bytes) -> Input:
    """Hand a JSON text on as it is."""
    return Input("json", [(wire.tensor("body", wire.JSON, [1], data), data)])


def rows(schema: Schema, names: Sequence[str] | None, data: Sequence[Any]) -> Input:
    """Encode rows of cells; `names` are the columns', None where they have none."""
    width = len(names) if names is not None else _width(schema, data)
    if set(map(type, data)) - {list} or set(map(len, data)) - {width}:
        row = next(i for i, cells in enumerate(data) if type(cells) is not list or len(cells) != width)
        got = _counted(len(data[row]), "cell") if isinstance(data[row], list) else shown(data[row])
        expected = f"a list of {_counted(width, 'cell')}"
        known = listed(names) if names else _names(schema)
        raise invalid(f"row {row}: got {got}, expected {expected}{known and ': ' + known}")
    if schema.tensors:
        if names is None or (len(schema.tensors) == 1 and schema.tensors[0].name not in names):
            return array(schema, data)
        return _tensors(
            schema, _raised(schema, {name: [cells[i] for cells in data] for i, name in enumerate(names)})
        )
    positions, columns = select(schema, names, width)
    if positions != list(range(width)):
        data = _pick(data, positions)
    matrix = _matrix(columns, data)
    if matrix:
        return matrix
    return _frame(columns, list(zip(*data)) or [()] * len(columns))  # noqa: B905 - checked above


def records(schema: Schema, data: Sequence[Any]) -> Input:
    """Encode rows that are objects; the first says the order of columns where no schema does."""
    for row, record in enumerate(data):
        if not isinstance(record, dict):
            raise invalid(f"row {row}: got {shown(record)}, expected an object")
    if schema.tensors:
        return _records_of_tensors(schema, data)
    if schema.columns and schema.named:
        columns: Sequence[Column] = _present(
            schema, set().union(*data) if data else {one.name for one in schema.columns}
        )
        names = [column.name for column in columns]
    else:
        if not data and schema.width:
            raise invalid(f"got no records, expected at least one, of {schema.width} columns")
        names = list(dict.fromkeys(chain.from_iterable(data)))
        _, columns = select(schema, names, len(names))
        if len(names) * len(data) > max(_MAX_GAPS * sum(map(len, data)), _MAX_FILLED_CELLS):
            raise invalid(f"got {len(names)} different keys in {len(data)} records, expected a table")
    for name, column in zip(names, columns):  # noqa: B905 - a column was chosen per name
        missing = [row for row, record in enumerate(data) if name not in record] if column.required else []
        if missing and schema.columns:
            raise invalid(
                f"column {quote(name)}, row {missing[0]}: missing, expected a value ({column.type})"
            )
    return _frame(columns, [[record.get(name) for record in data] for name in names])


def mapping(schema: Schema, data: Mapping[str, Any]) -> Input:
    """Encode an object of columns, or of named tensors."""
    is_bare = len(schema.tensors) == 1 and schema.tensors[0].name is None
    if schema.tensors and not is_bare:
        return _tensors(schema, data)
    if data and not is_bare and list not in set(map(type, data.values())):
        return records(schema, [data])  # one row, whose values have no lists around them
    if not (schema.columns if isinstance(schema.columns, Columns) else Columns(schema.columns)).has_nested:
        return _by_columns(schema, data, is_bare=is_bare)
    # its lists may be values, as MLflow's server takes them to be
    return _either(lambda: _by_columns(schema, data, is_bare=False), lambda: records(schema, [data]))


def _either(first: Callable[[], Input], second: Callable[[], Input]) -> Input:
    """Read by the first way, or else the second; where neither fits, it is the first that says why."""
    try:
        return first()
    except Refusal as refusal:
        try:
            return second()
        except Refusal:
            raise refusal from None


def _by_columns(schema: Schema, data: Mapping[str, Any], *, is_bare: bool) -> Input:
    if set(map(type, data.values())) != _LISTS:
        raise _no_columns(data)
    if len(set(map(len, data.values()))) > 1:
        lengths = {name: len(values) for name, values in data.items()}
        raise invalid(f"got columns of lengths {quote(lengths)}, expected lists of one length")
    names = list(data)
    if is_bare:
        return array(schema, list(map(list, zip(*data.values()))))  # noqa: B905 - of one length, see above
    positions, columns = select(schema, names, len(names))
    return _frame(columns, [data[names[position]] for position in positions])


def _no_columns(data: Mapping[str, Any]) -> Refusal:
    """Say what keeps an object from being columns."""
    if not data:
        return invalid("got an object without columns, expected a list under the name of each")
    name, values = next((name, values) for name, values in data.items() if type(values) is not list)
    return invalid(f"column {quote(name)}: got {shown(values)}, expected a list, as other columns have")


def array(schema: Schema, data: Sequence[Any]) -> Input:
    """Encode nested lists as one tensor; as a frame where the model knows columns."""
    if schema.tensors:
        if len(schema.tensors) > 1:
            raise invalid(f"got a list, expected an object of {listed(one.name for one in schema.tensors)}")
        return Input("array", [_tensor(schema.tensors[0], data)])
    if schema.columns:
        if len(schema.columns) > 1 or not data:
            return rows(schema, None, data)
        values = [[value] for value in data]
        if not isinstance(data[0], list):
            return rows(schema, None, values)
        if schema.columns[0].type not in NESTED:
            return rows(schema, None, data)
        return _either(lambda: rows(schema, None, data), lambda: rows(schema, None, values))
    shape, flat_data = flatten(data)
    if shape == [0] and schema.width is not None:
        shape = [0, schema.width]
    if len(shape) == 2:
        check_width(schema, shape[1])
    elif len(shape) == 1 and shape[0] and (schema.width or 0) > 1:
        row = next((at for at, one in enumerate(flat_data) if not isinstance(one, list)), 0)
        raise invalid(f"row {row}: got {shown(flat_data[row])}, expected a list of {schema.width} cells")
    kind = infer(flat_data)
    datatype, buffer = pack_values("inputs", kind, flat_data)
    return Input("array", [(wire.tensor("input-0", datatype, shape, buffer), buffer)])


def arrays(data: Sequence[Any] | Mapping[str, Any]) -> Input:
    """Encode what numpy makes of a list, or of an object's values: numbers beside text are text."""
    named = data if isinstance(data, dict) else {"input-0": data}
    made = []
    for name, value in named.items():
        shape, flat = flatten(value)
        kinds = set(map(type, flat))
        if str in kinds and kinds <= {str, int, float, bool}:
            flat = list(map(str, flat))
        datatype, buffer = pack_values(name, infer(flat), flat)
        made.append((wire.tensor(name, datatype, shape, buffer), buffer))
    return Input("tensors" if named is data else "array", made)


def flatten(data: Any) -> tuple[list[int], list[Any]]:
    """Return the shape of nested lists and their values, row by row; refuse ragged ones."""
    shape = []
    flat = [data]
    while flat and type(flat[0]) is list and set(map(type, flat)) == _LISTS:
        lengths = set(map(len, flat))
        if len(lengths) > 1:
            raise invalid(f"got rows of lengths {quote(sorted(lengths))}, expected rows of one length")
        shape.append(lengths.pop())
        if len(shape) > MAX_DIMENSIONS:
            raise invalid(f"got lists more than {MAX_DIMENSIONS} deep, expected fewer dimensions")
        flat = list(chain.from_iterable(flat))
    return shape, flat


def pack_values(where: str, kind: str, values: Sequence[Any], *, truths: bool = False) -> tuple[str, bytes]:
    """Cast values; raise a Refusal that says which of them does not fit. `truths`: as Column has it."""
    try:
        return pack(kind, values)
    except Misfit as misfit:
        if truths and kind in FLOATS and type(misfit.value) is bool:
            return pack_values(where, kind, as_numbers(values))
        raise invalid(f"{where}, value {misfit.index}: {misfit}") from None


def select(schema: Schema, names: Sequence[str] | None, width: int) -> tuple[list[int], Sequence[Column]]:
    """Find the schema's columns among those given: by name, else by position."""
    if not schema.columns:
        check_width(schema, width)
        return list(range(width)), [_untyped(name) for name in names or map(str, range(width))]
    if names is None or not schema.named:
        if width != len(schema.columns):
            raise invalid(
                f"got {_counted(width, 'column')}, expected {len(schema.columns)}: {_names(schema)}"
            )
        return list(range(width)), schema.columns
    if isinstance(schema.columns, Columns) and names == schema.columns.names:
        return list(range(width)), schema.columns
    where = {name: position for position, name in enumerate(names)}
    columns = _present(schema, set(where))
    return [where[column.name] for column in columns], columns


def _present(schema: Schema, given: set[str]) -> list[Column]:
    """Return the schema's columns that are there, in its order; refuse when a required one is not."""
    missing = [one.name for one in schema.columns if one.required and one.name not in given]
    if missing:
        extra = sorted(given - {one.name for one in schema.columns})
        note = f"; got {listed(extra)} besides" if extra else ""
        raise invalid(f"columns {listed(missing)} are missing, expected {_names(schema)}{note}")
    present = [one for one in schema.columns if one.name in given]
    if not present:
        raise invalid(f"got the columns {listed(sorted(given))}, expected some of {_names(schema)}")
    return present


def _pick(data: Sequence[list[Any]], positions: Sequence[int]) -> list[list[Any]]:
    if len(positions) == 1:
        return [[cells[positions[0]]] for cells in data]
    return list(map(list, map(itemgetter(*positions), data)))


def _matrix(columns: Sequence[Column], data: Sequence[Any]) -> Input | None:
    """Pack all cells at once where all columns are of one numeric type; None where they are not."""
    if not isinstance(columns, Columns):
        columns = Columns(columns)
    if not columns.is_uniform:
        return None
    flat = list(chain.from_iterable(data))
    kind = columns.kind
    if kind is None:
        if len(set(map(type, flat))) != 1:
            return None
        kind = infer(flat)
    if kind not in wire.ARRAY_CODES:
        return None
    try:
        datatype, buffer = pack(kind, flat)
    except Misfit as misfit:
        if columns[0].lenient or columns[0].truths:
            return None
        row, cell = divmod(misfit.index, len(columns))
        pack_column(columns[cell], kind, [line[cell] for line in data[: row + 1]])
        raise
    shape = [len(data), len(columns)]
    return Input("frame", [(wire.tensor("matrix", datatype, shape, buffer), buffer)], columns=columns.names)


def _frame(columns: Sequence[Column], cells: Sequence[Sequence[Any]]) -> Input:
    tensors = []
    for column, values in zip(columns, cells):  # noqa: B905 - one list of cells was made per column
        kind = column.kind or infer(values)
        if column.lenient == AZURE:
            kind = taken_by_azure(kind, values)
        datatype, buffer = pack_column(column, kind, values)
        parameters = {"type": kind} if kind in _TOLD else None
        tensors.append((wire.tensor(column.name, datatype, [len(values)], buffer, parameters), buffer))
    return Input("frame", tensors)


def _records_of_tensors(schema: Schema, data: Sequence[Mapping[str, Any]]) -> Input:
    names = list(data[0]) if data else []
    for row, record in enumerate(data):
        if set(record) != set(names):
            raise invalid(
                f"row {row}: got the keys {quote(list(record))}, expected {quote(names)} as in row 0"
            )
    return rows(schema, names, [[record[name] for name in names] for record in data])


def _tensors(schema: Schema, data: Mapping[str, Any]) -> Input:
    tensors = present(schema, data)
    return Input("tensors", [_tensor(one, data[one.name or ""]) for one in tensors])


def _raised(schema: Schema, columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Have the cells of a column be rows of one, where that is what a tensor wants: a converter's inputs."""
    for tensor in schema.tensors:
        cells = columns.get(tensor.name or "")
        if cells and list(tensor.shape) == [-1, 1] and not any(isinstance(cell, list) for cell in cells):
            columns[tensor.name or ""] = [[cell] for cell in cells]
    return columns


def present(schema: Schema, given: Collection[str]) -> list[Tensor]:
    """Return the signature's tensors that are given; refuse where a required one, or all, are missing."""
    found = [one for one in schema.tensors if one.name in given]
    missing = [one.name for one in schema.tensors if one.required and one.name not in given]
    if missing or not found:
        expected = listed(one.name for one in schema.tensors)
        lost = missing or [one.name for one in schema.tensors]
        raise invalid(f"tensors {listed(lost)} are missing, expected {expected}")
    return found


def _tensor(tensor: Tensor, data: Any) -> tuple[Mapping[str, Any], bytes]:
    name = tensor.name or "input-0"
    shape, flat = flatten(data)
    check_shape(name, shape, tensor.shape)
    kind, values = coerce(tensor.kind, flat, tensor.lenient) if tensor.lenient else (tensor.kind, flat)
    datatype, buffer = pack_values(f"tensor {name!r}", kind, values, truths=tensor.truths)
    return wire.tensor(name, datatype, shape, buffer, told(tensor.kind)), buffer


def told(kind: str) -> dict[str, str] | None:
    """Return what a worker has to know of a tensor's values: texts that are times."""
    return {"type": kind} if kind == "datetime" else None


def check_shape(name: str, shape: Sequence[int], declared: Sequence[int]) -> None:
    """Refuse a shape that is not what a signature declares, where -1 is any length."""
    expected = list(declared)
    fits = len(shape) == len(expected) and all(want in {-1, got} for want, got in zip(expected, shape))  # noqa: B905
    if not fits:
        raise invalid(f"tensor {name!r}: got shape {quote(list(shape))}, expected {expected}")


def check_width(schema: Schema, width: int) -> None:
    """Refuse another number of columns than the model knows."""
    if schema.width is not None and width != schema.width:
        raise invalid(f"got {_counted(width, 'column')}, expected {schema.width}")


def _untyped(name: str) -> Column:
    return Column(str(name), None, required=True, type="any", spec={})


def _width(schema: Schema, data: Sequence[Any]) -> int:
    """Return how many cells a row has to have: as the model says, else as many as the first."""
    if schema.columns or schema.width is not None:
        return len(schema.columns) or schema.width or 0
    return len(data[0]) if data and isinstance(data[0], list) else 0


def _names(schema: Schema) -> str:
    return listed(column.name for column in schema.columns) if schema.columns else ""


def _counted(number: int, what: str) -> str:
    return f"1 {what}" if number == 1 else f"{number} {what}s"
