"""Entries of a request's `inputs` in, tensors out: values are in the JSON, or binary behind it."""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lading_runtime.front import binary
from lading_runtime.front import encode as encoding
from lading_runtime.front.messages import Refusal, invalid, listed, quote, shown
from lading_runtime.front.tensors import BYTES, MAX_LENGTH, SIZES, Tensor, count, named

SIZE = "binary_data_size"
_JSON_DATATYPES = (BYTES, *SIZES)
_SHARED = "shared_memory_region"


def read(entries: Sequence[Any], rest: memoryview | None = None) -> list[Tensor]:
    """Read `inputs`, whose values are in the JSON or behind it."""
    sizes = [_binary_size(index, entry) for index, entry in enumerate(entries)]
    behind = [size for size in sizes if size is not None]
    if behind and rest is None:
        raise invalid(f"got {SIZE} without the header inference-header-content-length")
    pieces = iter(binary.split(behind, memoryview(b"") if rest is None else rest))
    return [
        _tensor(entry)
        if size is None
        else binary.decode(entry["name"], entry.get("datatype"), entry.get("shape"), next(pieces))
        for entry, size in zip(entries, sizes)  # noqa: B905 - one size each
    ]


def parameters_of(holder: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """Return the `parameters` of a request, an input or an output."""
    parameters = holder.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise invalid(f"{where}: got parameters {quote(parameters)}, expected an object")
    return parameters


def flag(parameters: Mapping[str, Any], name: str, where: str) -> bool | None:
    """Return a parameter that is true or false, None where it is not there."""
    value = parameters.get(name)
    if value is not None and not isinstance(value, bool):
        raise invalid(f"{where}: got {name} {quote(value)}, expected true or false")
    return value


def refuse_shared(parameters: Mapping[str, Any], where: str) -> None:
    """Refuse values that are in a memory which is not ours."""
    if _SHARED in parameters:
        raise invalid(f"{where}: shared memory is no extension of this server")


def _binary_size(index: int, entry: Any) -> int | None:
    """Check the outside of one entry of `inputs`; return how many bytes it has behind the JSON."""
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        got = f"the keys {listed(entry)}" if isinstance(entry, dict) and "name" not in entry else shown(entry)
        raise Refusal(
            400, f"inputs[{index}]: got {got}, expected an object with name, shape, datatype and data"
        )
    where = named(entry["name"])
    parameters = parameters_of(entry, where)
    refuse_shared(parameters, where)
    size = parameters.get(SIZE)
    if size is None:
        return None
    if type(size) is not int or not 0 <= size <= MAX_LENGTH:
        raise invalid(f"{where}: got {SIZE} {quote(size)}, expected a number of bytes")
    if "data" in entry:
        raise invalid(f"{where}: got both data and {SIZE}, expected one of them")
    return size


def _tensor(entry: Mapping[str, Any]) -> Tensor:
    """Read one tensor whose values are JSON: flat, or nested as its shape says."""
    name, datatype, shape = entry["name"], entry.get("datatype"), entry.get("shape")
    where = named(name)
    if datatype not in _JSON_DATATYPES:
        expected = f"one of {', '.join(_JSON_DATATYPES)}; FP16 and BF16 as binary tensors only"
        raise invalid(f"{where}: got datatype {quote(datatype)}, expected {expected}")
    expected_count = count(where, shape)
    if not isinstance(entry.get("data"), list):
        got = f"data {shown(entry['data'])}" if "data" in entry else "no data"
        raise invalid(f"{where}: got {got}, expected a list")
    try:
        _, flat = encoding.flatten(entry["data"])
    except Refusal as refusal:
        raise invalid(f"{where}: {refusal.message}") from None
    if len(flat) != expected_count:
        expected = str(expected_count) if expected_count <= MAX_LENGTH else "more than there can be"
        raise invalid(f"{where}: got {len(flat)} values, expected {expected} for shape {quote(shape)}")
    assert isinstance(shape, list)
    if datatype == BYTES:
        return Tensor(name, BYTES, shape, values=flat)
    _, data = encoding.pack_values(where, datatype, flat)
    return Tensor(name, datatype, shape, data, flat)
