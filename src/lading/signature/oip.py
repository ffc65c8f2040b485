"""A Signature ⇄ the metadata of the Open Inference Protocol: named tensors with a datatype and a shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lading.core.datatypes import OF_SCALARS, OIP
from lading.core.errors import Issue, ModelError
from lading.core.signature import Field, Signature
from lading.signature.losses import Converted, Losses

_DTYPES = {"BYTES": "str", **{datatype: dtype for dtype, datatype in OIP.items() if datatype != "BYTES"}}
_PARTS = ("inputs", "outputs")


def write(signature: Signature) -> Converted[dict[str, Any]]:
    """Return the inputs and outputs as `GET /v2/models/NAME` lists them."""
    losses = Losses()
    parts = {
        part: [_write(one, part, at, losses) for at, one in enumerate(getattr(signature, part))]
        for part in _PARTS
    }
    for one in signature.params:
        losses.tell(f"params.{one.name}", "the protocol's metadata has no parameters")
    return Converted(parts, losses.told())


def _write(field: Field, part: str, at: int, losses: Losses) -> dict[str, Any]:
    is_tensor = field.type == "tensor"
    if field.name is not None:
        name = field.name
    else:
        name = str(at) if part == "inputs" and not is_tensor else f"{part[:-1]}-{at}"
    where = f"{part}.{name}"
    if field.name is None:
        losses.tell(where, "it has no name, and gets one")
    if is_tensor:
        datatype = OIP.get(str(field.dtype), "BYTES")
        if not field.required:
            losses.tell(where, "that it may be missing is not told")
        if _DTYPES[datatype] != field.dtype:
            losses.tell(where, f"{field.dtype} is written as {datatype}")
        return {"name": name, "datatype": datatype, "shape": list(field.shape or ())}
    # of a column of any type the server says FP64, for most are numbers
    other = "FP64" if (part, field.type) == ("inputs", "any") else "BYTES"
    datatype = OIP.get(OF_SCALARS.get(field.type, ""), other)
    optional = "" if field.required else " that may be missing"
    losses.tell(where, f"a column of type {field.type}{optional} is written as a tensor of {datatype}")
    return {"name": name, "datatype": datatype, "shape": [-1]}


def read(document: object, where: str = "metadata") -> Converted[Signature]:
    """Read a model's metadata: every input and output is a tensor; raise ModelError with every issue."""
    losses, issues = Losses(), list[Issue]()
    parts: dict[str, tuple[Field, ...]] = {}
    for part in _PARTS:
        rows = document.get(part, []) if isinstance(document, Mapping) else None
        if not isinstance(rows, Sequence) or isinstance(rows, str):
            issues.append(Issue(f"{where}.{part}", f"got {rows!r:.60}, expected a list of tensors"))
            continue
        read = [_read(row, part, f"{where}.{part}[{at}]", losses, issues) for at, row in enumerate(rows)]
        parts[part] = tuple(one for one in read if one is not None)
    if issues:
        raise ModelError(*issues)
    return Converted(Signature(**parts), losses.told())


def _read(row: Any, part: str, where: str, losses: Losses, issues: list[Issue]) -> Field | None:  # noqa: ANN401 - any JSON value
    match row:
        case {"name": str(name), "datatype": str(datatype), "shape": [*shape]} if all(
            type(one) is int and one >= -1 for one in shape
        ):
            pass
        case _:
            expected = "an object of 'name', 'datatype' and 'shape', where -1 is any length"
            issues.append(Issue(where, f"got {row!r:.80}, expected {expected}"))
            return None
    if datatype == "BYTES":
        losses.tell(f"{part}.{name}", "BYTES may be any bytes, and are taken for texts")
    if row.get("parameters"):
        losses.tell(f"{part}.{name}", "its parameters are not kept")
    if datatype == "BF16":
        losses.tell(f"{part}.{name}", "numpy has no BF16: it is of any type and shape")
        return Field("any", name)
    if datatype not in _DTYPES:
        issues.append(Issue(where, f"got datatype {datatype!r}, expected one of {', '.join(_DTYPES)}"))
        return None
    return Field("tensor", name, dtype=_DTYPES[datatype], shape=tuple(shape))
