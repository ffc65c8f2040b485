"""What loading a pickle would make, as far as it matters: symbols that stand for values.

Text, numbers, None and booleans stand for themselves, as do tuples, lists and dicts of symbols.
"""

from __future__ import annotations

from typing import Any

Symbol = Any
"""One of the classes below, or a literal; what the walk does not follow is `UNKNOWN`."""


class Raw:
    """Bytes, or text too long to look at; never kept."""

    __slots__ = ("size_bytes",)

    def __init__(self, size_bytes: int) -> None:
        """Keep the length alone."""
        self.size_bytes = size_bytes


class Unknown:
    """A value that is harmless and of no interest."""

    __slots__ = ()


UNKNOWN = Unknown()


class UnfollowedError(Exception):
    """What the pickle does next cannot be told for certain; becomes a ModelError with its position."""


class SetOf(list[Symbol]):
    """The elements of a set or frozenset."""

    __slots__ = ()


class Global:
    """What `module.name` is; `kind` is its kind on the allow-list, None where it is not listed."""

    __slots__ = ("kind", "module", "name")

    def __init__(self, module: str, name: str, kind: str | None) -> None:
        """Name it."""
        self.module = module
        self.name = name
        self.kind = kind

    def __str__(self) -> str:
        """Print the dotted name."""
        return f"{self.module}.{self.name}"


class Instance:
    """What calling a global returned, and the state that it was given."""

    __slots__ = ("arguments", "built", "factory", "state")

    def __init__(self, factory: Global, arguments: tuple[Symbol, ...] = ()) -> None:
        """Begin without a state."""
        self.factory = factory
        self.arguments = arguments
        self.state: Symbol = None
        self.built = False

    @property
    def attributes(self) -> dict[str, Symbol]:
        """Return the state where it is a dict of attributes, else nothing."""
        state = self.state[0] if isinstance(self.state, tuple) and len(self.state) == 2 else self.state
        return state if isinstance(state, dict) else {}


class Dtype:
    """A numpy dtype; `code` as numpy writes it: `f8`, `U10`, `V56`."""

    __slots__ = ("built", "code", "holds_objects", "size_bytes")

    def __init__(self, code: str, size_bytes: int, *, holds_objects: bool) -> None:
        """Begin as the code says; a state may follow."""
        self.code = code
        self.size_bytes = size_bytes
        self.holds_objects = holds_objects
        self.built = False


class Array:
    """A numpy array. `items` are the symbols of an object array, None where its bytes were skipped."""

    __slots__ = ("built", "dtype", "items", "shape")

    def __init__(self, dtype: Dtype | None = None, shape: tuple[int, ...] | None = None) -> None:
        """Begin blank, or complete where dtype and shape are known."""
        self.dtype = dtype
        self.shape = shape
        self.items: list[Symbol] | None = None
        self.built = dtype is not None


class Tensor:
    """A tensor of PyTorch; nothing is known of its numbers."""

    __slots__ = ()


def is_a(symbol: Symbol, *names: tuple[str, str]) -> bool:
    """Tell whether it was made by calling one of these names."""
    return isinstance(symbol, Instance) and (symbol.factory.module, symbol.factory.name) in names


def is_tainted(symbol: Symbol) -> bool:
    """Tell whether it comes from a name that is a risk already: what it does then needs no second risk."""
    source = symbol.factory if isinstance(symbol, Instance) else symbol
    return isinstance(source, Global) and source.kind is None
