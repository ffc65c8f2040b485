"""The points where a model may change its answer in, requests that try it there out."""

# cells may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import json
import math
import struct
from array import array
from collections.abc import Iterable, Iterator, Sequence
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

from lading_runtime import wire
from lading_runtime.compile.notes import Points

if TYPE_CHECKING:  # Python 3.8 cannot evaluate it
    Row = Sequence[Any]
BATCH_ROWS = 256
_EXACT_INTEGER = 1 << 53
_KINDS = ("FP64", "FP32", "INT64", "INT32", "UINT8", "BOOL")
_SINGLES = 100
SIZES = (*range(1, 25), 31, 32, 33, 63, 64, 65, 100, 256, 1_000)
SPECIAL = (
    *(math.nan, math.inf, -math.inf, 0.0, -0.0),
    *(5e-324, -5e-324, 2.2250738585072014e-308, 1e-310, 1e-45, 1.1754943508222875e-38, 7e-46),
    *(3.4028234663852886e38, -3.4028234663852886e38, 3.4028235677973362e38, 3.4028235677973366e38),
    *(3.5e38, -3.5e38, 1.7976931348623157e308, -1.7976931348623157e308, 1e15, -1e15, 1.0, -1.0),
)


ODD: Sequence[Any] = (
    *(None, True, "1", 1, "True", 1.5, [], {}, "", "abc", False, 0, -2, (1 << 53) + 1, 1 << 70),
    *("true", "0", "1.5", " 1 ", "1_0", "nan", "inf", "None", "1\u00a0", "\u0661", [1]),
)
"""Cells of every type that JSON has, and texts that may be read as such."""
PAIRS: Sequence[Any] = (
    *((True, False), ("1", "0"), (1, 2), (True, None), (1, True), (1.5, "1.5"), (1, 2.5), ("a", None)),
)


class Probe(NamedTuple):
    """One request, as the front would send it."""

    content: str
    tensors: Sequence[tuple[dict[str, Any], bytes]]
    columns: Optional[Sequence[str]] = None  # noqa: UP045 - evaluated under Python 3.8
    rows: Sequence[Row] = ()
    """The cells again, where one row may be asked for by itself."""


class Prober:
    """Makes requests for one model."""

    def __init__(self, points: Points, names: Sequence[str] | None, *, seed: int = 0) -> None:
        """Draw the same requests for the same model each time."""
        self._random = Random(seed)  # noqa: S311 - probes are no secret
        self._names = list(names) if names is not None else None
        self._texts = points.texts | points.ignored
        self._ignored = points.ignored
        self._values: list[Sequence[Any]] = [
            _tidy_texts(column) if index in self._texts else _tidy(column)
            for index, column in enumerate(points.columns)
        ]
        self.thresholds = sum(map(len, self._values))

    def table(self, rows: Sequence[Row]) -> Probe:
        """Encode rows as the front does: numbers as one matrix, a frame with text column by column."""
        if not self._texts:
            return self.matrix(rows)
        if self._names is None:
            data = json.dumps([_plain(cell) for row in rows for cell in row]).encode()
            entry = wire.tensor("input-0", wire.JSON, [len(rows), len(self._values)], data)
            return Probe("array", [(entry, data)], None, rows)
        columns = [self._column(index, [row[index] for row in rows]) for index in range(len(self._values))]
        return Probe("frame", columns, None, rows)

    def _column(
        self, index: int, cells: Sequence[Any], datatype: str = "FP64"
    ) -> tuple[dict[str, Any], bytes]:
        if index in self._texts:
            datatype, data = wire.JSON, json.dumps(list(map(_plain, cells))).encode()
        else:
            data = array(wire.ARRAY_CODES[datatype], cells).tobytes()
        name = self._names[index] if self._names else f"column-{index}"
        return wire.tensor(name, datatype, [len(cells)], data), data

    def mixed(self, rows: Sequence[Row]) -> Iterator[Probe]:
        """Encode rows of any cells in each way that the front may; not where it refuses them itself."""
        columns = list(zip(*rows))  # noqa: B905 - Python 3.8
        width = len(columns)
        if self._names is None or len(self._names) != width:
            flat = _packed([cell for row in rows for cell in row])
            if flat is not None:
                entry = wire.tensor("input-0", flat[0], [len(rows), width], flat[1])
                yield Probe("array", [(entry, flat[1])], None, rows)
        packed = list(map(_packed, columns))
        if None in packed:
            return
        yield self._frame(packed, len(rows), rows)
        if self._texts - self._ignored and width == len(self._values):  # text as a signature has it
            for index in self._texts:
                data = json.dumps(list(map(_plain, columns[index]))).encode()
                packed[index] = (wire.JSON, data)
            yield self._frame(packed, len(rows), rows)

    def _frame(self, packed: Sequence[tuple[str, bytes]], count: int, rows: Sequence[Row]) -> Probe:
        width = len(packed)
        names = self._names if self._names and len(self._names) == width else list(map(str, range(width)))
        tensors = [
            (wire.tensor(name, datatype, [count], data), data)
            for name, (datatype, data) in zip(names, packed)  # noqa: B905
        ]
        return Probe("frame", tensors, None, rows)

    def odd(self, count: int) -> Iterator[Probe]:
        """Try cells of other types than a column has: one, a column of them, and nothing else."""
        numbers = [index for index in range(len(self._values)) if index not in self._texts]
        for cell in ODD[:count]:
            for columns in (numbers, sorted(self._texts)):
                if not columns:
                    continue
                column = self._random.choice(columns)
                first, second = (list(row) for row in self.random(2))
                first[column] = cell
                yield from self.mixed([first])
                yield from self.mixed([second, first])
                second[column] = cell
                yield from self.mixed([first, second])
            yield from self.mixed([[cell] * len(self._values)])
        for kinds in PAIRS if count else ():
            yield from self.mixed([[self._random.choice(kinds) for _ in self._values] for _ in range(4)])

    def matrix(self, rows: Sequence[Row], datatype: str = "FP64") -> Probe:
        """Encode rows of numbers as one matrix."""
        width = len(rows[0]) if rows else len(self._values)
        data = array(wire.ARRAY_CODES[datatype], [cell for row in rows for cell in row]).tobytes()
        names = self._names if self._names is not None and len(self._names) == width else None
        content = "frame" if names else "array"
        entry = wire.tensor("matrix", datatype, [len(rows), width], data)
        return Probe(content, [(entry, data)], names, rows if datatype == "FP64" else ())

    def random(self, count: int) -> list[Row]:
        """Draw rows from the model's own ranges."""
        return [[self._cell(values) for values in self._values] for _ in range(count)]

    def edges(self, limit: int) -> Iterator[Row]:
        """Draw a row for each value at and beside every threshold, in both precisions; at most `limit`."""
        every = [(column, value) for column, values in enumerate(self._values) for value in values]
        self._random.shuffle(every)
        count = 0
        for column, value in every:
            for near in [value] if column in self._texts else beside(value):
                if count == limit:
                    return
                count += 1
                row = [self._cell(values) for values in self._values]
                row[column] = near
                yield row

    def special(self) -> Iterator[Probe]:
        """Try NaN, infinities, zeros, subnormal and huge numbers, one row at a time."""
        numbers = [index for index in range(len(self._values)) if index not in self._texts]
        for value in SPECIAL:
            for column in _some(numbers):
                row = list(self.random(1)[0])
                row[column] = value
                yield self.table([row])
            everywhere = [
                cell if index in self._texts else value for index, cell in enumerate(self.random(1)[0])
            ]
            yield self.table([everywhere])
            yield self.table([everywhere, *self.random(2)])

    def shapes(self) -> Iterator[Probe]:
        """Try widths, dimensions and datatypes that a client may send."""
        width = len(self._values)
        for wrong in {width - 1, width + 1} - {0}:
            yield self.matrix([[1.0] * wrong])
        for shape in ([0, width], [width], [1, width, 1]):
            data = array("d", [1.0] * math.prod(shape)).tobytes()
            yield Probe("array", [(wire.tensor("matrix", "FP64", shape, data), data)])
        rows = self.random(BATCH_ROWS)
        numbers = [index for index in range(width) if index not in self._texts]
        whole = [
            [int(min(max(cell, -1e6), 1e6)) if index in numbers else cell for index, cell in enumerate(row)]
            for row in rows
        ]
        for kinds in self._kinds(width):
            columns = [
                self._column(i, [_cast(row[i], kinds[i]) for row in whole], kinds[i]) for i in range(width)
            ]
            yield Probe("frame", columns)
        if self._texts == self._ignored:
            plain = [
                [1 if index in self._ignored else cell for index, cell in enumerate(row)] for row in whole
            ]
            yield from self._matrices(plain if self._ignored else rows, plain)

    def _kinds(self, width: int) -> Iterator[Sequence[str]]:
        """Choose datatypes of columns that come one by one: two in turn, and all of them at random."""
        for first in ("FP64", "FP32"):
            for second in ("INT64", "INT32", "UINT8", "BOOL", "FP32"):
                yield [second if place % 2 else first for place in range(width)]
        for _ in range(4):
            yield [self._random.choice(_KINDS) for _ in range(width)]

    def _matrices(self, rows: Sequence[Row], whole: Sequence[Sequence[int]]) -> Iterator[Probe]:
        yield self.matrix(rows, "FP32")
        yield self.matrix(whole, "INT64")
        yield self.matrix(whole, "INT32")
        yield self.matrix([[abs(cell) % 256 for cell in row] for row in whole], "UINT8")
        yield self.matrix([[cell & 1 for cell in row] for row in whole], "BOOL")
        odd = [(1 << 53) + 1, (1 << 62) + (1 << 38) + 1, -(1 << 60) - 1, (1 << 24) + 1]
        yield self.matrix([[self._random.choice(odd) for _ in row] for row in rows[:64]], "INT64")

    def plain(self, rows: Sequence[Row]) -> Probe:
        """Encode rows without names, as an array."""
        probe = self.table(rows)
        if self._texts:
            return probe
        return probe._replace(content="array", columns=None)

    def _cell(self, values: Sequence[Any]) -> Any:
        choice = self._random.random()
        if values and values[-1] is None:  # text
            return self._random.choice(values)
        if not values:
            return self._random.gauss(0.0, 10.0 ** self._random.randint(-1, 3))
        if choice < 0.2:
            return self._random.choice(values)
        low, high = max(values[0], -1e300), min(values[-1], 1e300)  # so that their difference is a number
        span = (high - low) or abs(high) or 1.0
        cell = self._random.uniform(low - span / 4, high + span / 4)
        return cell if choice < 0.9 else round(cell, 1)


def beside(value: float) -> Iterator[float]:
    """Yield a number and its neighbours, in double and in single precision."""
    yield value
    yield from _neighbours(value, "<d", "<q")
    try:
        (single,) = struct.unpack("<f", struct.pack("<f", value))
    except OverflowError:
        return
    yield single
    for near in _neighbours(single, "<f", "<i"):
        yield near
        middle = (near + single) / 2  # where rounding to single precision turns
        yield middle
        yield from _neighbours(middle, "<d", "<q")


def _neighbours(value: float, real: str, whole: str) -> Iterator[float]:
    (bits,) = struct.unpack(whole, struct.pack(real, value))
    for step in (1, -1):
        if value == 0.0:
            near = struct.unpack(real, struct.pack(whole, 1))[0] * step
        else:
            (near,) = struct.unpack(real, struct.pack(whole, bits + step))
        if near - near == 0.0:
            yield near


def _tidy(values: Iterable[Any]) -> list[float]:
    return sorted({float(one) for one in values if one == one and abs(one) != math.inf})  # noqa: PLR0124


def _tidy_texts(values: Iterable[Any]) -> list[Any]:
    """Add a text that is not known, an empty one and none at all to those that are."""
    return [*sorted({one for one in values if isinstance(one, str)}), "no such", "", None]


def _packed(cells: Sequence[Any]) -> Any:
    """Return the datatype that the front gives cells of one tensor, and their bytes; None: it refuses."""
    kinds = {type(cell) for cell in cells}
    if kinds - {type(None)} <= {int, float} and kinds != {int}:
        numbers = [math.nan if cell is None else cell for cell in cells]
        if any(type(one) is int and abs(one) > _EXACT_INTEGER for one in numbers):
            return None
        return "FP64", array("d", numbers).tobytes()
    if kinds == {bool}:
        return "BOOL", bytes(cells)
    if kinds == {int}:
        return ("INT64", array("q", cells).tobytes()) if max(map(abs, cells)) >> 63 == 0 else None
    return wire.JSON, json.dumps(list(map(_plain, cells))).encode()


def _plain(cell: Any) -> Any:
    return None if cell != cell else cell  # noqa: PLR0124 - JSON has no NaN


def _cast(cell: Any, datatype: str) -> Any:
    if isinstance(cell, int):
        return cell & 1 if datatype == "BOOL" else abs(cell) % 256 if datatype == "UINT8" else cell
    return cell


def _some(columns: Sequence[int]) -> Iterable[int]:
    """Choose columns to try: all of few, some of many."""
    return columns if len(columns) <= 6 else [*columns[:2], columns[len(columns) // 2], *columns[-2:]]


def batches(rows: Iterable[Row], size: int = BATCH_ROWS) -> Iterator[list[Row]]:
    """Group rows."""
    batch: list[Row] = []
    for row in rows:
        batch.append(row)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def probes(
    prober: Prober, examples: Sequence[Row], random_rows: int, edge_rows: int, odd_cells: int
) -> Iterator[Probe]:
    """Yield every request of a proof."""
    for row in examples:
        yield from prober.mixed([row])
    yield from prober.odd(odd_cells)
    rows = prober.random(random_rows)
    for batch in batches(rows):
        yield prober.table(batch)
    for row in rows[:_SINGLES]:
        yield prober.table([row])
    for size in SIZES:  # BLAS adds in another order where there are more rows
        yield prober.table(rows[:size])
        yield prober.plain(rows[:size])
    for batch in batches(prober.edges(edge_rows)):
        yield prober.table(batch)
    yield from prober.special()
    yield from prober.shapes()


def message(probe: Probe) -> tuple[dict[str, Any], memoryview]:
    """Make of a probe what the worker reads."""
    parameters: dict[str, Any] = {"content": probe.content}
    if probe.columns is not None:
        parameters["columns"] = list(probe.columns)
    inputs = [entry for entry, _ in probe.tensors]
    header = {"id": 0, "parameters": parameters, "inputs": json.loads(json.dumps(inputs))}
    return header, memoryview(bytearray(b"".join(data for _, data in probe.tensors)))
