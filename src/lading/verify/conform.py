"""An answer whose values were not recorded, and the model's output schema in; what does not fit out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lading.core.signature import Field, Signature
from lading.verify.compare import Difference, rows

_WHOLE, _NUMBER, _TEXT = "a whole number", "a number", "a text"
_EXPECTED: dict[str, str] = {
    "boolean": "true or false",
    "integer": _WHOLE,
    "long": _WHOLE,
    "float": _NUMBER,
    "double": _NUMBER,
    "string": _TEXT,
    "binary": _TEXT,
    "datetime": _TEXT,
}
_FITS: dict[str, Callable[[object], bool]] = {
    "true or false": lambda value: isinstance(value, bool),
    # a model whose column holds NaN answers whole numbers as floats
    _WHOLE: lambda value: (isinstance(value, int) and not isinstance(value, bool)) or _is_whole(value),
    _NUMBER: lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    _TEXT: lambda value: isinstance(value, str),
}
_OBJECTS = frozenset({"any", "map", "object"})
_KINDS = {
    "bool": "boolean",
    "int": "long",
    "uint": "long",
    "float": "double",
    "str": "string",
    "datetime": "string",
}


def misfits(got: object, signature: Signature | None, row_count: int) -> list[Difference]:
    """Check shape, types and names; one difference for each row that does not fit. Empty: it fits."""
    found = rows(got)
    if isinstance(got, list) and row_count > 1 and len(got) != row_count:
        return [Difference(None, "", f"{len(got)} rows", f"{row_count} rows, as many as were sent")]
    outputs = signature.outputs if signature else ()
    if not outputs:
        return []
    if isinstance(got, Mapping) and outputs[0].type == "tensor":
        # several tensors by name, each with all its rows
        wrong = _misfits_of_tensors(got, outputs, first=0)
        return [Difference(None, one[0], repr(one[1])[:80], one[2]) for one in wrong[:1]]
    differences = []
    for row, value in enumerate(found):
        for column, one, expected in _misfits_of_row(value, outputs):
            differences.append(Difference(row, column, repr(one)[:80], expected))
            break
    return differences


def _misfits_of_row(value: object, outputs: Sequence[Field]) -> list[tuple[str, Any, str]]:
    if outputs[0].type == "tensor":
        return _misfits_of_tensors(value, outputs)
    names = [field.name or str(index) for index, field in enumerate(outputs)]
    if len(outputs) == 1 and outputs[0].name is None and outputs[0].type in _OBJECTS:
        return []  # as type hints and agents of MLflow's have it: an object is the value itself
    if isinstance(value, Mapping) and len(value) == len(outputs) and all(one.name is None for one in outputs):
        value = dict(zip(names, value.values(), strict=True))  # names that only the model's own table has
    if isinstance(value, Mapping):
        wrong = [name for name in value if name not in names]
        wrong += [
            name for name, field in zip(names, outputs, strict=True) if field.required and name not in value
        ]
        if wrong:
            return [("", sorted(value), f"columns {sorted(names)}")]
        cells = [(name, value.get(name), field) for name, field in zip(names, outputs, strict=True)]
    elif len(outputs) == 1:
        cells = [("", value, outputs[0])]
    elif isinstance(value, list) and len(value) == len(outputs):
        cells = list(zip(names, value, outputs, strict=True))
    else:
        return [("", value, f"{len(outputs)} columns")]
    return [
        (name, cell, _EXPECTED[field.type])
        for name, cell, field in cells
        if field.type in _EXPECTED and cell is not None and not _FITS[_EXPECTED[field.type]](cell)
    ]


def _misfits_of_tensors(
    value: object, outputs: Sequence[Field], *, first: int = 1
) -> list[tuple[str, Any, str]]:
    """Check one row of a tensor, or of several by name; with `first` 0 whole ones, rows and all."""
    if len(outputs) == 1 and not isinstance(value, Mapping):
        pairs = [("", value, outputs[0])]
    elif isinstance(value, Mapping):
        pairs = [(field.name or "", value.get(field.name), field) for field in outputs if field.name in value]
        if not pairs:
            return [("", sorted(value), f"tensors {sorted(field.name or '' for field in outputs)}")]
    else:
        return []
    found = []
    for name, cell, field in pairs:
        expected = _KINDS.get((field.dtype or "").rstrip("0123456789<U"), "")
        shape = ((-1,) if field.shape is None else field.shape)[first:]
        if not _fits(_shape(cell), shape):
            found.append((name, cell, f"{'a row of shape' if first else 'shape'} {list(shape)}"))
        elif expected and any(
            leaf is not None and not _FITS[_EXPECTED[expected]](leaf) for leaf in _leaves(cell)
        ):
            found.append((name, cell, f"values of {field.dtype}"))
    return found


def _fits(got: Sequence[int], shape: Sequence[int]) -> bool:
    """Tell whether lengths are those of a shape; JSON tells none behind a length of 0."""
    is_known = len(got) == len(shape) or (0 in got and len(got) < len(shape))
    return is_known and all(want in {-1, have} for have, want in zip(got, shape, strict=False))


def _shape(value: object) -> list[int]:
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        value = value[0] if value else None
    return shape


def _leaves(value: object) -> list[Any]:
    return [leaf for one in value for leaf in _leaves(one)] if isinstance(value, list) else [value]


def _is_whole(value: object) -> bool:
    return isinstance(value, float) and value.is_integer()
