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

    def add(self, column: int, values: Iterable[Any]) -> None:
        """Remember values of a column."""
        self.columns[column].extend(values)


class Source:
    """Python text that is being written: constants of the module, and the body of its loop over rows."""

    def __init__(self, points: Points, *, single: bool) -> None:
        """Write for cells of single precision (`single`) or of double."""
        self.points = points
        self.single = single
        self.module: list[str] = []
        self.body: list[str] = []
        self._count = 0

    def name(self, stem: str) -> str:
        """Make a name that is not taken."""
        self._count += 1
        return f"{stem}{self._count}"

    def constant(self, value: str, stem: str = "K") -> str:
        """Put an expression among the module's constants."""
        name = self.name(stem)
        self.module.append(f"{name} = {value}")
        return name

    def let(self, expression: str, stem: str = "v") -> str:
        """Name the value of an expression."""
        name = self.name(stem)
        self.body.append(f"{name} = {expression}")
        return name

    def rounded(self, expressions: Sequence[str], *, always: bool = False) -> list[str]:
        """Name values; in single precision (or `always`) each is rounded to it."""
        if not (self.single or always):
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


class Fitted:
    """What one estimator of a pipeline was compiled into: how it ends, and what it gives."""

    def __init__(self, result: str, datatype: str, columns: int | None) -> None:
        """Say by which statement a row's answer is added to `out`, its datatype and number of columns."""
        self.result = result
        self.datatype = datatype
        self.columns = columns


def literal(value: Any) -> str:
    """Print a plain value so that Python reads the very same again."""
    if isinstance(value, float):
        if value != value:  # noqa: PLR0124 - NaN
            return "NAN"
        if value in {float("inf"), float("-inf")}:
            return "INF" if value > 0 else "-INF"
    return repr(value)


def kind(model: Any) -> str:
    """Return an estimator's library and class: `sklearn.RandomForestClassifier`."""
    one = type(model)
    return f"{one.__module__.partition('.')[0]}.{one.__qualname__}"
