"""What loading a pickle would make, as far as it matters: symbols that stand for values.

Text, numbers, None and booleans stand for themselves, as do tuples, lists and dicts of symbols.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Symbol = Any
"""One of the classes below, or a literal; what the walk does not follow is `UNKNOWN`."""


@dataclass(frozen=True, slots=True)
class Raw:
    """Bytes, or text too long to look at; never kept."""

    size_bytes: int


class Unknown:
    """A value that is harmless and of no interest."""

    __slots__ = ()


UNKNOWN = Unknown()


class UnfollowedError(Exception):
    """What the pickle does next cannot be told for certain; becomes a ModelError with its position."""


class SetOf(list[Symbol]):
    """The elements of a set or frozenset."""

    __slots__ = ()


@dataclass(slots=True, eq=False)
class Global:
    """What `module.name` is; `kind` is its kind on the allow-list, None where it is not listed."""

    module: str
    name: str
    kind: str | None

    def __str__(self) -> str:
        """Print the dotted name."""
        return f"{self.module}.{self.name}"


@dataclass(slots=True, eq=False)
class Instance:
    """What calling a global returned, and the state that it was given."""

    factory: Global
    arguments: tuple[Symbol, ...] = ()
    state: Symbol = None
    built: bool = False

    @property
    def attributes(self) -> dict[str, Symbol]:
        """Return the state where it is a dict of attributes, else nothing."""
        state = self.state[0] if isinstance(self.state, tuple) and len(self.state) == 2 else self.state
        return state if isinstance(state, dict) else {}


@dataclass(slots=True, eq=False)
class Dtype:
    """A numpy dtype; `code` as numpy writes it: `f8`, `U10`, `V56`."""

    code: str
    size_bytes: int
    holds_objects: bool
    built: bool = False


@dataclass(slots=True, eq=False)
class Array:
    """A numpy array. `items` are the symbols of an object array, None where its bytes were skipped."""

    dtype: Dtype | None = None
    shape: tuple[int, ...] | None = None
    items: list[Symbol] | None = None
    built: bool = False


def is_a(symbol: Symbol, *names: tuple[str, str]) -> bool:
    """Tell whether it was made by calling one of these names."""
    return isinstance(symbol, Instance) and (symbol.factory.module, symbol.factory.name) in names


def is_tainted(symbol: Symbol) -> bool:
    """Tell whether it comes from a name that is a risk already: what it does then needs no second risk."""
    source = symbol.factory if isinstance(symbol, Instance) else symbol
    return isinstance(source, Global) and source.kind is None
