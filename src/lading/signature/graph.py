"""A Signature ⇄ the signatures of graphs: ONNX's ValueInfo, TensorFlow's SignatureDef, TorchScript's schema.

The first two are the JSON that protocol buffers define for their messages, as in TensorFlow Serving's
`/metadata`; the last is the text of a method's schema: `forward(Tensor x, int top=3) -> Tensor`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from lading.core.datatypes import OF_SCALARS, ONNX, TENSORFLOW, TENSORFLOW_NAMES
from lading.core.errors import Issue, ModelError
from lading.core.signature import Field, Signature
from lading.signature.losses import Converted, Losses

Json = dict[str, Any]

_CODES = {dtype: code for code, dtype in ONNX.items()}
_DT = {TENSORFLOW[number]: name for name, number in TENSORFLOW_NAMES.items()}
_OF_TORCH = {"int": "long", "float": "double", "bool": "boolean", "str": "string", "number": "double"}
_TORCH = {
    "integer": "int",
    "long": "int",
    "float": "float",
    "double": "float",
    "boolean": "bool",
    "string": "str",
}


def write_onnx(signature: Signature) -> Converted[Json]:
    """Return `input` and `output` of a graph, each a ValueInfoProto."""

    def one(field: Field, name: str, where: str, losses: Losses) -> Json:
        dtype, shape = _tensor(field, where, losses, _CODES)
        dims = [{} if size < 0 else {"dimValue": str(size)} for size in shape]
        kind = {"elemType": _CODES.get(dtype, 0), "shape": {"dim": dims}}
        return {"name": name, "type": {"tensorType": kind}}

    return _write(signature, one, ("input", "output"))


def read_onnx(document: object, where: str = "graph") -> Converted[Signature]:
    """Read them; raise ModelError with every issue. Names of dimensions are not kept."""

    def one(row: Mapping[str, Any], at: str, losses: Losses) -> Field | None:
        kind = row["type"].get("tensorType") or row["type"].get("tensor_type")
        if kind is None:
            losses.tell(at, f"{', '.join(row['type'])} is no tensor, and may be any value")
            return Field("any", row["name"])
        dtype = ONNX.get(int(kind.get("elemType") or kind.get("elem_type") or 0))
        dims = (kind.get("shape") or {}).get("dim")
        if dims is None:
            losses.tell(at, "its shape is not told: any one dimension is taken")
        shape = []
        for dim in dims if dims is not None else [{}]:
            value = dim.get("dimValue", dim.get("dim_value"))
            if name := dim.get("dimParam") or dim.get("dim_param"):
                losses.tell(at, f"the dimension {name!r} is of any size")
            shape.append(-1 if value is None else int(value))
        return _made(row["name"], dtype, shape, at, losses)

    rows = document if isinstance(document, Mapping) else {}
    given = {part: rows.get(key, []) for part, key in (("inputs", "input"), ("outputs", "output"))}
    return _read(given, one, where)


def write_saved_model(signature: Signature) -> Converted[Json]:
    """Return a SignatureDef; a tensor of the graph is named by its key."""

    def one(field: Field, name: str, where: str, losses: Losses) -> Json:
        dtype, shape = _tensor(field, where, losses, _DT)
        sizes = {"dim": [{"size": str(size)} for size in shape]}
        return {"key": name, "name": f"{name}:0", "dtype": _DT.get(dtype, "DT_INVALID"), "tensorShape": sizes}

    made = _write(signature, one, ("inputs", "outputs"))
    parts = {part: {one.pop("key"): one for one in rows} for part, rows in made.value.items()}
    return Converted({**parts, "methodName": "tensorflow/serving/predict"}, made.losses)


def read_saved_model(document: object, where: str = "signature_def") -> Converted[Signature]:
    """Read a SignatureDef, or TensorFlow Serving's metadata of a model; raise ModelError with every issue."""

    def one(row: Mapping[str, Any], at: str, losses: Losses) -> Field | None:
        spec = row.get("tensorShape", row.get("tensor_shape")) or {}
        shape = [int(dim.get("size", 0)) for dim in spec.get("dim") or ()]
        if spec.get("unknownRank", spec.get("unknown_rank")):
            losses.tell(at, "its shape is not told: any one dimension is taken")
            shape = [-1]
        given = row.get("dtype")
        number = TENSORFLOW_NAMES.get(given, 0) if isinstance(given, str) else int(given or 0)
        return _made(row["key"], TENSORFLOW.get(number), shape, at, losses)

    rows: Any = document if isinstance(document, Mapping) else {}
    for step in ("metadata", "signature_def", "signature_def", "serving_default"):
        rows = rows[step] if isinstance(rows, Mapping) and step in rows else rows
    given: Json = {}
    for part in ("inputs", "outputs"):
        named = rows.get(part, {}) if isinstance(rows, Mapping) else {}
        given[part] = (
            [{**value, "key": key} if isinstance(value, Mapping) else value for key, value in named.items()]
            if isinstance(named, Mapping)
            else named
        )
    return _read(given, one, where)


def write_torchscript(signature: Signature) -> Converted[str]:
    """Return a method's schema, which says of a tensor that it is one."""
    losses = Losses()
    told: dict[str, list[str]] = {"inputs": [], "outputs": []}
    for part, texts in told.items():
        for at, field in enumerate(getattr(signature, part)):
            name = field.name if (field.name or "").isidentifier() and part == "inputs" else f"arg_{at}"
            where = f"{part}.{at if field.name is None else field.name}"
            if name != field.name and (part == "inputs" or field.name is not None):
                losses.tell(where, f"its name is {name!r}" if part == "inputs" else "its name is not told")
            kind = _TORCH.get(field.type, "Tensor")
            if _OF_TORCH.get(kind, "any") != field.type:
                losses.tell(where, f"{_described(field)} is written as {kind}")
            if not field.required:
                losses.tell(where, "that it may be missing is not told")
            texts.append(f"{kind} {name}")
    for field in signature.params:
        losses.tell(f"params.{field.name}", "a method's schema has arguments alone")
    outputs = [one.partition(" ")[0] for one in told["outputs"]]
    answer = outputs[0] if len(outputs) == 1 else f"({', '.join(outputs)})"
    return Converted(f"forward({', '.join(told['inputs'])}) -> {answer}", losses.told())


def read_torchscript(document: object, where: str = "schema") -> Converted[Signature]:
    """Read a method's schema, such as `str(module.forward.schema)`; raise ModelError where it is none."""
    found = (
        re.fullmatch(r"\s*\w+\((.*)\)\s*->\s*(.+?)\s*", document, re.DOTALL)
        if isinstance(document, str)
        else None
    )
    if found is None:
        raise ModelError(Issue(where, f"got {document!r:.60}, expected forward(Tensor x, …) -> Tensor"))
    losses = Losses()
    inputs = []
    for argument in _split(found[1]):
        text, _, default = argument.partition("=")
        kind, _, name = text.strip().rpartition(" ")
        if kind.startswith("__torch__") or name in {"*", "self"}:
            continue  # the module itself, and what divides arguments
        if default:
            losses.tell(f"inputs.{name}", f"its default {default.strip()} is not kept")
        optional = bool(default) or kind.endswith("?") or kind.startswith("Optional[")
        typed = _of_torch(kind, f"inputs.{name}", losses)
        inputs.append(_field(typed, name, required=not optional))
    answers = _split(found[2][1:-1]) if found[2].startswith("(") else [found[2]]
    outputs = []
    for at, text in enumerate(answers):
        kind, _, name = text.rpartition(" ") if re.fullmatch(r"\S+ [a-z]\w*", text) else (text, "", "")
        outputs.append(_field(_of_torch(kind, f"outputs.{name or at}", losses), name or None, required=True))
    return Converted(Signature(tuple(inputs), tuple(outputs)), losses.told())


def _field(typed: Json, name: str | None, *, required: bool) -> Field:
    nested = {key: value for key, value in typed.items() if key != "type"}
    return Field(typed["type"], name, required=required, nested=nested)


def _of_torch(kind: str, where: str, losses: Losses) -> Json:
    kind = re.sub(r"\([a-z](!?|! *->.*)\)", "", kind.strip()).removesuffix("?")
    wrapped = re.fullmatch(r"Optional\[(.*)\]", kind)
    if wrapped:
        return _of_torch(wrapped[1], where, losses)
    inner = re.fullmatch(r"List\[(.*)\]|(.*)\[\d*\]", kind)
    if inner:
        return {"type": "array", "items": _of_torch(inner[1] or inner[2], where, losses)}
    of_names = re.fullmatch(r"Dict(?:\[|\()str, (.*)(?:\]|\))", kind)
    if of_names:
        return {"type": "map", "values": _of_torch(of_names[1], where, losses)}
    if kind in _OF_TORCH:
        return {"type": _OF_TORCH[kind]}
    losses.tell(where, f"of {kind} neither type nor shape is told: it may be any value")
    return {"type": "any"}


def _split(text: str) -> list[str]:
    """Cut at the commas that no bracket and no text holds."""
    parts, depth = [""], 0
    for piece in re.findall(r'"(?:[^"\\]|\\.)*"|.', text, re.DOTALL):
        depth += (piece in "([") - (piece in ")]")
        if piece == "," and not depth:
            parts.append("")
        else:
            parts[-1] += piece
    return [one.strip() for one in parts if one.strip()]


def _described(field: Field) -> str:
    return f"a tensor of {field.dtype} {list(field.shape or ())}" if field.type == "tensor" else field.type


def _tensor(
    field: Field, where: str, losses: Losses, known: Mapping[str, Any]
) -> tuple[str, tuple[int, ...]]:
    if field.type == "tensor":
        if str(field.dtype) not in known:
            losses.tell(where, f"there is no {field.dtype} in a graph")
        if not field.required:
            losses.tell(where, "that it may be missing is not told")
        return str(field.dtype), field.shape or ()
    optional = "" if field.required else " that may be missing"
    losses.tell(where, f"a column of type {field.type}{optional} is written as a tensor of one column")
    return OF_SCALARS.get(field.type, "str"), (-1, 1)


_One = Callable[[Field, str, str, Losses], Json]


def _write(signature: Signature, one: _One, names: tuple[str, str]) -> Converted[dict[str, list[Json]]]:
    losses = Losses()
    parts: dict[str, list[Json]] = {}
    for part, key in zip(("inputs", "outputs"), names, strict=True):
        parts[key] = []
        for at, field in enumerate(getattr(signature, part)):
            name = field.name if field.name is not None else f"{part[:-1]}-{at}"
            if field.name is None:
                losses.tell(f"{part}.{name}", "it has no name, and gets one")
            parts[key].append(one(field, name, f"{part}.{name}", losses))
    for field in signature.params:
        losses.tell(f"params.{field.name}", "a graph has inputs alone")
    return Converted(parts, losses.told())


def _made(name: str, dtype: str | None, shape: list[int], where: str, losses: Losses) -> Field:
    if dtype is None:
        losses.tell(where, "its type is none of numpy's: it may be any value")
        return Field("any", name)
    return Field("tensor", name, dtype=dtype, shape=tuple(max(size, -1) for size in shape))


def _read(
    given: Mapping[str, Any], one: Callable[[Any, str, Losses], Field | None], where: str
) -> Converted[Signature]:
    losses, issues = Losses(), list[Issue]()

    def fields(part: str) -> Iterator[Field]:
        rows = given[part]
        if not isinstance(rows, list):
            issues.append(Issue(f"{where}.{part}", f"got {rows!r:.60}, expected a list of tensors"))
            return
        for at, row in enumerate(rows):
            try:
                name = row.get("key", row.get("name"))
                if not isinstance(name, str):
                    raise KeyError("name")  # noqa: TRY301 - told as the others
                field = one(row, f"{part}.{name}", losses)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                issues.append(Issue(f"{where}.{part}[{at}]", f"got {row!r:.80}, which is no tensor: {error}"))
            else:
                if field is not None:
                    yield field

    signature = Signature(tuple(fields("inputs")), tuple(fields("outputs")))
    if issues:
        raise ModelError(*issues)
    return Converted(signature, losses.told())
