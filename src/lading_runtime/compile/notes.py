"""What a compiler knows of a model while it writes it down."""

# parameters of estimators may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Optional


class NotCompiled(Exception):  # noqa: N818 - an outcome, not an error
    """Why this model is served as it is."""


class Points:
    """Values of each input column where a model may change its answer: what the proof looks at closely."""

    def __init__(self, width: int) -> None:
        """Begin with none."""
        self.columns: list[list[Any]] = [[] for _ in range(width)]
        self.texts: set[int] = set()
        """The columns that hold text."""
        self.filled: set[int] = set()
        """Those in which all that is missing is filled first."""
        self.ignored: set[int] = set()
        """The columns that are dropped before anything looks at them."""
        self.refuses_truth = False
        """Whether an input of true and false alone is refused."""
        self.integers_are_single = False
        """Whether an array of integers is rounded to single precision."""

    def add(self, column: int, values: Iterable[Any]) -> None:
        """Remember values of a column."""
        self.columns[column].extend(values)


class Source:
    """Python text that is being written: constants of the module, and the body of its loop over rows."""

    def __init__(self, points: Points, suffix: str = "") -> None:
        """Begin with nothing; `suffix` keeps the names of two functions of one module apart."""
        self.points = points
        self.before: list[str] = []
        """What is done once for all rows."""
        self._suffix = suffix
        self.module: list[str] = []
        self.body: list[str] = []
        self.graph: Any = None
        """What adds up trees and products in the place of statements; None where statements do."""
        self.first: list[str] = []
        """The body of a loop over rows that gathers what the graph is asked for all at once."""
        self.asked: Sequence[str] = ()
        """The variables of that."""
        self._begun: list[str] = []
        self._count = 0

    def name(self, stem: str) -> str:
        """Make a name that is not taken."""
        self._count += 1
        return f"{stem}{self._count}{self._suffix}"

    def constant(self, value: str, stem: str = "K") -> str:
        """Put an expression among the module's constants."""
        name = self.name(stem)
        self.module.append(f"{name} = {value}")
        return name

    def begin(self, *statements: str) -> None:
        """Give sums their first values."""
        self.body += statements
        self._begun += statements

    def ask(self, cells: Sequence[str]) -> None:
        """Gather these cells of each row for the graph; what follows goes through its answers, each a `t`."""
        self.asked = cells
        self.first = [*self.body, f"gather(({', '.join(cells)},))"]
        self.body = list(self._begun)

    def let(self, expression: str, stem: str = "v") -> str:
        """Name the value of an expression."""
        name = self.name(stem)
        self.body.append(f"{name} = {expression}")
        return name

    def lets(self, expressions: Sequence[str], *, single: bool) -> list[str]:
        """Name values, each rounded to single precision where that is theirs."""
        if not single:
            return [self.let(one) for one in expressions]
        names = [self.name("v") for _ in expressions]
        self.body.append(f"{', '.join(names)}, = array('f', ({', '.join(expressions)},))")
        return names


class Table(NamedTuple):
    """A row as a step of a pipeline sees it."""

    cells: Sequence[str]
    """The variables that hold it."""
    columns: Sequence[Optional[int]]  # noqa: UP045 - evaluated under Python 3.8
    """The column of the model's input that each comes from, None where it is not one alone."""
    single: bool = False
    """Whether the original holds it in single precision."""
    sparse: bool = False
    """Whether the original holds it in a sparse matrix."""
    rounded: bool = False
    """Whether every cell is a number of single precision already."""
    raw: bool = True
    """Whether no step has come before."""
    follows: bool = True
    """Whether the original's array lies in memory as its input does, a frame's column by column."""


class Fitted:
    """What one estimator of a pipeline was compiled into: how it ends, and what it gives."""

    def __init__(self, result: str, datatype: str, columns: int | None) -> None:
        """Say by which statement a row's answer is added to `out`, its datatype and number of columns."""
        self.result = result
        self.datatype = datatype
        self.columns = columns


def guard(source: Source, table: Table, *, takes_nan: bool, single: bool | None = None) -> None:
    """Refuse what is not finite; a sum, which is quick, tells whether to look closer."""
    dtype = "float32" if (table.single if single is None else single) else "float64"
    if table.cells:
        source.body += [
            f"total = {' + '.join(table.cells)}",
            f"if total - total != 0.0: check(({', '.join(table.cells)},), {takes_nan}, {dtype!r})",
        ]


def literal(value: Any) -> str:
    """Print a plain value so that Python reads the very same again."""
    if isinstance(value, float):
        if value != value:  # noqa: PLR0124 - NaN
            return "NAN"
        if value in {float("inf"), float("-inf")}:
            return "INF" if value > 0 else "-INF"
    return repr(value)


def is_missing(value: Any) -> bool:
    """Tell whether a value is None or NaN."""
    return value is None or bool(value != value)  # noqa: PLR0124


def kind(model: Any) -> str:
    """Return an estimator's library and class: `sklearn.RandomForestClassifier`."""
    one = type(model)
    return f"{one.__module__.partition('.')[0]}.{one.__qualname__}"
