"""A bill's signature and what the worker learnt of the model in; what its inputs must look like out."""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Optional

from lading_runtime.front.cast import FLOATS, Misfit, moment, pack
from lading_runtime.front.lenient import coerce
from lading_runtime.front.messages import invalid, shown
from lading_runtime.front.nested import SCALARS, check, to_json
from lading_runtime.wire import ARRAY_CODES

# numpy's names → what `cast.pack` knows; object is any JSON value
DTYPES = {
    "bool": "BOOL",
    **{name.lower(): name for name in ARRAY_CODES if "INT" in name},
    "float16": "FP32",
    "float32": "FP32",
    "float64": "FP64",
    "str": "string",
}
# parameters' types → what MLflow makes of a number
_MADE: Mapping[str, Any] = {"integer": int, "long": int, "float": float, "double": float}
# types whose values are lists or objects
NESTED = frozenset({"array", "object", "map", "sparkml_vector"})
# what metadata says of a column: strings and the like are BYTES in the Open Inference Protocol
_PUBLIC = {"string": "BYTES", "binary": "BYTES", "datetime": "BYTES", "JSON": "BYTES"}


class Column(NamedTuple):
    """One column, named or numbered. `kind` is what `cast.pack` knows, or None: as the data say."""

    name: str
    kind: Optional[str]  # noqa: UP045 - evaluated under Python 3.9 too
    required: bool
    type: str
    spec: Mapping[str, Any]
    lenient: str = ""
    """One of `lenient.STYLES` where values are cast as MLflow's server casts them, whatever is lost."""
    truths: bool = False
    """Whether a double may be given as true or false: which numbers were, the model does not tell."""


class Columns(tuple[Column, ...]):  # noqa: SLOT001 - it has more than its items
    """Columns, and what is asked of them at each request."""

    def __init__(self, columns: Iterable[Column]) -> None:
        """Look at them once; `columns` is what the tuple was made of."""
        del columns
        self.names = [one.name for one in self]
        kinds = {one.kind for one in self}
        self.has_nested = any(one.type in NESTED for one in self)
        self.is_uniform = len(kinds) == 1
        self.kind = kinds.pop() if self.is_uniform else None


class Tensor(NamedTuple):
    """One tensor; -1 in its shape is any length."""

    name: Optional[str]  # noqa: UP045
    kind: str
    shape: Sequence[int]
    lenient: str = ""
    required: bool = True
    truths: bool = False


class Schema(NamedTuple):
    """What a model takes: `columns`, or `tensors`, or neither: whatever comes."""

    columns: Sequence[Column] = ()
    tensors: Sequence[Tensor] = ()
    params: Mapping[str, Mapping[str, Any]] = {}
    named: bool = False
    """Whether the columns have names of their own."""
    width: Optional[int] = None  # noqa: UP045
    outputs: Sequence[Mapping[str, Any]] = ()

    def leniently(self, style: str) -> Schema:
        """Return a schema that takes what MLflow's own server takes."""
        columns = [column._replace(lenient=style) for column in self.columns]
        return self._replace(columns=columns, tensors=[one._replace(lenient=style) for one in self.tensors])

    def describe(self) -> list[dict[str, Any]]:
        """Return the inputs as the Open Inference Protocol's metadata lists them."""
        if self.tensors:
            return [
                {
                    "name": one.name or "input-0",
                    "datatype": _PUBLIC.get(one.kind, one.kind),
                    "shape": one.shape,
                }
                for one in self.tensors
            ]
        if self.columns:
            return [
                {"name": one.name, "datatype": _PUBLIC.get(one.kind or "", one.kind or "FP64"), "shape": [-1]}
                for one in self.columns
            ]
        if self.width is None:
            return []  # nothing is known of them
        return [{"name": "input-0", "datatype": "FP64", "shape": [-1, self.width]}]

    def describe_outputs(self) -> list[dict[str, Any]]:
        """Return the outputs as the Open Inference Protocol's metadata lists them."""
        described = []
        for index, one in enumerate(self.outputs):
            spec = one.get("tensor-spec") or {}
            kind = (
                DTYPES.get(str(spec.get("dtype")), "BYTES")
                if spec
                else SCALARS.get(str(one.get("type")), "JSON")
            )
            described.append(
                {
                    "name": one.get("name") or f"output-{index}",
                    "datatype": _PUBLIC.get(kind, kind),
                    "shape": _shape(spec),
                }
            )
        return described


def read(
    signature: Mapping[str, Any] | None,
    names: Sequence[str] | None = None,
    width: int | None = None,
    *,
    truths: bool = False,
) -> Schema:
    """Read a signature in MLflow's grammar; without one, `names` and `width` are what the model tells.

    `truths`: it is that of a model which has numbers for booleans, and may be given either.
    """
    document = signature or {}
    inputs = document.get("inputs") or []
    common: dict[str, Any] = {
        "params": {str(one["name"]): one for one in document.get("params") or []},
        "outputs": document.get("outputs") or [],
        "width": width,
    }
    if inputs and inputs[0].get("type") == "tensor":
        return Schema(tensors=[_tensor(one)._replace(truths=truths) for one in inputs], **common)
    if inputs:
        named = inputs[0].get("name") is not None
        columns = Columns(_column(one, index)._replace(truths=truths) for index, one in enumerate(inputs))
        return Schema(columns=columns, named=named, **common)
    if names:
        columns = Columns(Column(name, None, required=True, type="any", spec={}) for name in names)
        return Schema(columns=columns, named=True, **common)
    return Schema(**common)


def _tensor(entry: Mapping[str, Any]) -> Tensor:
    spec = entry.get("tensor-spec") or {}
    kind = _kind(str(spec.get("dtype")))
    return Tensor(entry.get("name"), kind, _shape(spec), required=entry.get("required", True))


def _kind(dtype: str) -> str:
    """Return what `cast.pack` makes of a tensor; of bytes, objects and complex numbers any JSON value."""
    return "datetime" if dtype.startswith("datetime64") else DTYPES.get(dtype, "JSON")


def _shape(spec: Mapping[str, Any]) -> list[int]:
    """Return a tensor's shape, which has no dimensions where it is one value."""
    shape = spec.get("shape")
    return [-1] if shape is None else list(shape)


def _column(entry: Mapping[str, Any], index: int) -> Column:
    kind = str(entry.get("type"))
    name = entry.get("name")
    packed = None if kind == "any" else SCALARS.get(kind, "JSON")
    # an MLflow quirk kept as it is: a nested column that says nothing of 'required' is optional
    required = bool(entry.get("required", kind in SCALARS))
    return Column(str(index) if name is None else str(name), packed, required, type=kind, spec=entry)


def pack_column(column: Column, kind: str, values: Sequence[Any]) -> tuple[str, bytes]:
    """Cast a column; raise a Refusal that names column and row where a value does not fit."""
    if column.kind == "JSON":
        return "JSON", to_json([_nested(column, row, value) for row, value in enumerate(values)])
    given = values
    if column.lenient:
        kind, values = coerce(kind, values, column.lenient)
    try:
        return pack(kind, values)
    except Misfit as wrong:
        if column.truths and kind in FLOATS and type(wrong.value) is bool:
            return pack_column(column._replace(truths=False), kind, as_numbers(values))
        misfit = Misfit(wrong.index, given[wrong.index], wrong.expected)
        what = f" ({column.type})" if column.kind else ""
        raise invalid(f"column {column.name!r}, row {misfit.index}: {misfit}{what}") from None


def as_numbers(values: Sequence[Any]) -> list[Any]:
    """Return 1.0 for true and 0.0 for false, and all else as it is."""
    return [float(one) if type(one) is bool else one for one in values]


def _nested(column: Column, row: int, value: Any) -> Any:
    # an optional object may be empty: MLflow takes that for none
    if not column.required and (value is None or (value == {} and column.type == "object")):
        return value
    try:
        return check(column.spec, value)
    except ValueError as error:
        raise invalid(f"column {column.name!r}, row {row}: {error}") from None


def check_params(schema: Schema, params: object) -> dict[str, Any]:
    """Fill in defaults and check types; unknown parameters are dropped, as MLflow drops them."""
    if params is None:
        params = {}
    if not isinstance(params, dict):
        raise invalid(f"params: got {shown(params)}, expected an object")
    result = {}
    for name, spec in schema.params.items():
        value = params.get(name, spec.get("default"))
        kind = str(spec.get("type", spec.get("dtype")))
        if name in params and value is None and spec.get("default") is not None:
            raise invalid(f"parameter {name!r}: got null, expected a value, or nothing for the default")
        if name in params and value is not None:
            wanted = {**spec, "type": kind}
            try:
                check({"type": "array", "items": wanted} if spec.get("shape") else wanted, value)
            except ValueError as error:
                raise invalid(f"parameter {name!r}: {error}") from None
            made = _MADE.get(kind)
            if made is not None:
                is_list = bool(spec.get("shape"))
                value = [None if one is None else made(one) for one in value] if is_list else made(value)
        result[name] = _moments(name, value) if kind == "datetime" else value
    return result


def _moments(name: str, value: Any) -> Any:
    """Read a parameter's times, which MLflow's models are given as such and not as text."""
    if isinstance(value, list):
        return [_moments(name, one) for one in value]
    try:
        return moment(value) if isinstance(value, str) else value
    except ValueError:
        raise invalid(f"parameter {name!r}: got {shown(value)}, expected a time of microseconds") from None
