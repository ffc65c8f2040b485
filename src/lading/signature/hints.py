"""A routine's type hints in, the signature that they tell out; its code is read and never run.

A parameter is a column, one with a default may be missing. Of a `PythonModel` of MLflow's the items of its
`model_input` are the inputs, as MLflow infers them. What answers are is the return's hint.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lading.core.errors import Issue, ModelError
from lading.core.signature import Field, Signature
from lading.signature.columns import column
from lading.signature.losses import Converted, Losses
from lading.signature.source import Module, name_of
from lading.signature.values import ANY, Json

_SCALARS: Mapping[str, str] = {
    **{
        f"builtins.{name}": kind for name, kind in (("int", "long"), ("float", "double"), ("bool", "boolean"))
    },
    **{
        f"builtins.{name}": kind
        for name, kind in (("str", "string"), ("bytes", "binary"), ("bytearray", "binary"))
    },
    **dict.fromkeys(("datetime.datetime", "datetime.date", "pandas.Timestamp"), "datetime"),
    **dict.fromkeys(("numpy.float64", "numpy.float16", "decimal.Decimal"), "double"),
    **dict.fromkeys(("numpy.int64", "numpy.uint32"), "long"),
    **dict.fromkeys((f"numpy.{name}" for name in ("int8", "int16", "int32", "uint8", "uint16")), "integer"),
    "numpy.float32": "float",
    "numpy.bool_": "boolean",
    "numpy.str_": "string",
    "numpy.bytes_": "binary",
    **dict.fromkeys(("uuid.UUID", "datetime.time", "typing.LiteralString", "pydantic.SecretStr"), "string"),
    **dict.fromkeys((f"pathlib.{name}" for name in ("Path", "PurePath", "PosixPath")), "binary"),
    **dict.fromkeys(
        ("typing.BinaryIO", "io.BytesIO", "PIL.Image.Image", "PIL.Image", "cog.Path", "cog.File"), "binary"
    ),
}
"""What a hint names → MLflow's type; a file or a picture is its bytes."""
_LISTS = frozenset(
    f"{module}.{name}"
    for module in ("builtins", "typing", "collections.abc")
    for name in (
        *("list", "List", "set", "Set", "frozenset", "FrozenSet", "Sequence", "MutableSequence", "Iterable"),
        *("Collection", "Iterator", "Generator", "AsyncIterator", "AsyncGenerator", "AsyncIterable"),
        *("MutableSet", "AbstractSet"),
    )
)
_MAPS = frozenset(
    f"{module}.{name}"
    for module in ("builtins", "typing", "collections.abc")
    for name in ("dict", "Dict", "Mapping", "MutableMapping")
)
_OPEN = frozenset({"typing.Any", "builtins.object"})
_WRAPPERS = ("Annotated", "Required", "NotRequired", "ReadOnly", "Final", "Awaitable")
_STREAMS = ("Iterator", "Generator", "AsyncIterator", "AsyncGenerator", "AsyncIterable", "Iterable")
_RECORDS = ("BaseModel", "TypedDict", "NamedTuple")
_Function = (ast.FunctionDef, ast.AsyncFunctionDef)


def read(folder: Path, entry: str) -> Converted[Signature]:
    """Read the hints of `file.py`, `file.py:function` or `file.py:Class`; ModelError where it is not."""
    file, _, name = entry.partition(":")
    module = Module(folder / file, folder)
    reader = _Reader(module)
    function, is_method = _function(module, name or "run", entry)
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args]
    defaults: list[ast.expr | None] = [None] * (len(every) - len(arguments.defaults))
    pairs = [
        *zip(every, [*defaults, *arguments.defaults], strict=True),
        *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
    ][1 if is_method else 0 :]
    for more in filter(None, (arguments.vararg, arguments.kwarg)):
        reader.losses.tell(f"inputs.{more.arg}", "arguments without names of their own are left out")
    names = [one.arg for one, _ in pairs]
    if is_method and "model_input" in names and set(names) <= {"context", "model_input", "params"}:
        inputs = reader.of_mlflow(next(one for one, _ in pairs if one.arg == "model_input"))
    else:
        inputs = tuple(reader.parameter(one, default) for one, default in pairs)
    outputs = reader.answer(function.returns)
    return Converted(Signature(inputs, outputs), reader.losses.told())


def _function(module: Module, name: str, entry: str) -> tuple[ast.FunctionDef | ast.AsyncFunctionDef, bool]:
    """Find what is called for each request; tell whether it is a method."""
    found = module.names.get(name)
    if isinstance(found, _Function):
        return found, False
    if isinstance(found, ast.ClassDef):
        for node in found.body:
            if isinstance(node, _Function) and node.name in {"predict", "__call__"}:
                return node, True
    raise ModelError(
        Issue(f"entry {entry!r}", f"{name!r} is no function, and no class with a method 'predict'")
    )


class _Reader:
    def __init__(self, module: Module) -> None:
        self.module = module
        self.losses = Losses()
        self.is_mlflows = False
        """Whether MLflow's rule holds, by which what may not be null has to be there, default or not."""

    def parameter(self, one: ast.arg, default: ast.expr | None) -> Field:
        where = f"inputs.{one.arg}"
        typed, optional = self.type(one.annotation, self.module, where)
        if default is not None and not (isinstance(default, ast.Constant) and default.value is None):
            self.losses.tell(where, f"its default {ast.unparse(default)[:40]} is not kept")
        return column(typed, one.arg, required=not optional and default is None)

    def of_mlflow(self, one: ast.arg) -> tuple[Field, ...]:
        """Infer what MLflow does: of a list its items, of anything else nothing."""
        if one.annotation is None:
            return ()
        self.is_mlflows = True
        typed, _ = self.type(one.annotation, self.module, "inputs.model_input")
        return (column(typed["items"], None, required=True),) if typed["type"] == "array" else ()

    def answer(self, hint: ast.expr | None) -> tuple[Field, ...]:
        """Read what a function returns; of a list or a stream, what its items are."""
        if hint is None or (isinstance(hint, ast.Constant) and hint.value is None):
            return (Field("any"),) if self.is_mlflows else ()
        typed, optional = self.type(hint, self.module, "outputs")
        if typed["type"] == "array":
            typed = typed["items"]
        if optional:
            self.losses.tell("outputs", "that an answer may be null is not told")
        return (column(typed, None, required=True),)

    def type(  # noqa: PLR0911 - a line per form
        self,
        hint: Any,  # noqa: ANN401 - any node
        module: Module,
        where: str,
        seen: tuple[str, ...] = (),
    ) -> tuple[Json, bool]:
        """Return MLflow's type for a hint, and whether it may be null."""
        if isinstance(hint, ast.Constant) and isinstance(hint.value, str):
            try:
                hint = ast.parse(hint.value, mode="eval").body
            except SyntaxError:
                return self.unknown(hint.value, where)
        if hint is None:
            return self.unknown("no hint", where)
        if isinstance(hint, ast.BinOp) and isinstance(hint.op, ast.BitOr):
            return self.union([hint.left, hint.right], module, where, seen)
        if isinstance(hint, ast.Subscript):
            return self.generic(hint, module, where, seen)
        found = module.find(hint)
        if found.module is not None:
            return self.own(found.module, found.node, found.name, where, seen)
        if found.name in _SCALARS:
            return {"type": _SCALARS[found.name]}, False
        if found.name in _LISTS:
            return {"type": "array", "items": ANY}, False
        if found.name in _MAPS:
            return {"type": "map", "values": ANY}, False
        return (ANY, False) if found.name in _OPEN else self.unknown(found.name or ast.unparse(hint), where)

    def unknown(self, what: str, where: str) -> tuple[Json, bool]:
        self.losses.tell(where, f"{what[:60]} tells no type of MLflow's: it may be any value")
        return ANY, False

    def union(
        self, hints: list[ast.expr], module: Module, where: str, seen: tuple[str, ...]
    ) -> tuple[Json, bool]:
        parts = list(_alternatives(hints))
        others = [one for one in parts if not (isinstance(one, ast.Constant) and one.value is None)]
        optional = len(others) < len(parts)
        if len(others) == 1:
            typed, inner = self.type(others[0], module, where, seen)
            return typed, optional or inner
        self.losses.tell(where, "it is one of several types, and may be any value")
        return ANY, optional

    def generic(  # noqa: PLR0911 - a line per form
        self, hint: ast.Subscript, module: Module, where: str, seen: tuple[str, ...]
    ) -> tuple[Json, bool]:
        found = module.find(hint.value)
        arguments = list(hint.slice.elts) if isinstance(hint.slice, ast.Tuple) else [hint.slice]
        short = found.name.rpartition(".")[2]
        if short in {"Optional", "Union"}:
            more = [ast.Constant(None)] if short == "Optional" else []
            return self.union([*arguments, *more], module, where, seen)
        if short in _WRAPPERS:
            if any(
                not (isinstance(one, ast.Constant) and isinstance(one.value, str)) for one in arguments[1:]
            ):
                self.losses.tell(where, "what else Annotated says is not held to")
            typed, optional = self.type(arguments[0], module, where, seen)
            return typed, optional or short == "NotRequired"
        if short == "Literal":
            return self.choice(arguments, where)
        if found.name in _LISTS:
            return {"type": "array", "items": self.inner(arguments[0], module, f"{where}[]", seen)}, False
        if short in {"tuple", "Tuple"}:
            if (
                len(arguments) == 2
                and isinstance(arguments[1], ast.Constant)
                and arguments[1].value is Ellipsis
            ):
                return {"type": "array", "items": self.inner(arguments[0], module, f"{where}[]", seen)}, False
            kinds = [self.inner(one, module, f"{where}[{at}]", seen) for at, one in enumerate(arguments)]
            if any(one != kinds[0] for one in kinds):
                self.losses.tell(where, "its items have types of their own, and may be any value")
                return {"type": "array", "items": ANY}, False
            self.losses.tell(where, f"that there are {len(kinds)} of them is not held to")
            return {"type": "array", "items": kinds[0]}, False
        if found.name in _MAPS and len(arguments) == 2:
            return self.mapping(arguments, module, where, seen), False
        return self.unknown(ast.unparse(hint), where)

    def mapping(self, arguments: list[ast.expr], module: Module, where: str, seen: tuple[str, ...]) -> Json:
        key = module.find(arguments[0]).name
        if key.startswith("builtins.") and key != "builtins.str":
            self.losses.tell(f"{where}.*", f"its keys are texts, and not {key.removeprefix('builtins.')}")
        return {"type": "map", "values": self.inner(arguments[1], module, f"{where}.*", seen)}

    def inner(self, hint: ast.expr, module: Module, where: str, seen: tuple[str, ...]) -> Json:
        typed, optional = self.type(hint, module, where, seen)
        if optional:
            self.losses.tell(where, "that it may be null is not told")
        return typed

    def choice(self, arguments: list[ast.expr], where: str) -> tuple[Json, bool]:
        values = [one.value for one in arguments if isinstance(one, ast.Constant)]
        kinds = {_SCALARS.get(f"builtins.{type(one).__name__}") for one in values if one is not None}
        self.losses.tell(where, f"{', '.join(map(repr, values))[:60]} alone is not held to")
        kind = kinds.pop() if len(kinds) == 1 else None
        return ({"type": kind} if kind else ANY), None in values

    def own(
        self, module: Module, node: ast.AST | None, name: str, where: str, seen: tuple[str, ...]
    ) -> tuple[Json, bool]:
        """Read a class, an alias or a new type of the author's own."""
        if name in seen:
            return self.unknown(f"{name}, which holds itself,", where)
        below = (*seen, name)
        if isinstance(node, ast.ClassDef):
            return self.record(module, node, where, below)
        if isinstance(node, ast.Call):
            called = (name_of(node.func) or "").rpartition(".")[2]
            if called == "NewType" and len(node.args) == 2:
                return self.type(node.args[1], module, where, below)
            return self.unknown(f"{name} = {called}(…)", where)
        return self.type(node, module, where, below) if node is not None else self.unknown(name, where)

    def record(
        self, module: Module, node: ast.ClassDef, where: str, seen: tuple[str, ...]
    ) -> tuple[Json, bool]:
        bases = [(name_of(one.value if isinstance(one, ast.Subscript) else one) or "") for one in node.bases]
        short = {one.rpartition(".")[2] for one in bases}
        if any(one.endswith("Enum") for one in short):
            values = [one.value for one in node.body if isinstance(one, ast.Assign)]
            return self.choice(values, where)
        with module.within(node):
            members = self.members(module, node, where, seen)
        decorators = {
            (name_of(getattr(one, "func", one)) or "").rpartition(".")[2] for one in node.decorator_list
        }
        if not members or not (
            short & set(_RECORDS) or "dataclass" in decorators or self.inherits(module, node)
        ):
            return self.unknown(node.name, where)
        return {"type": "object", "properties": dict(sorted(members.items()))}, False

    def inherits(self, module: Module, node: ast.ClassDef, depth: int = 0) -> bool:
        """Tell whether a base of a class is a record."""
        for base in node.bases:
            found = module.find(base)
            if found.name.rpartition(".")[2] in _RECORDS:
                return True
            if isinstance(found.node, ast.ClassDef) and found.module and depth < 20:
                inner = {name_of(getattr(one, "func", one)) for one in found.node.decorator_list}
                if "dataclass" in inner or self.inherits(found.module, found.node, depth + 1):
                    return True
        return False

    def members(self, module: Module, node: ast.ClassDef, where: str, seen: tuple[str, ...]) -> Json:
        """Return the members of a record, those of its bases first; one that is not given may be missing."""
        found: Json = {}
        for base in node.bases:
            above = module.find(base)
            if isinstance(above.node, ast.ClassDef) and above.module and above.name not in seen:
                with above.module.within(above.node):
                    found |= self.members(above.module, above.node, where, (*seen, above.name))
        total = not any(one.arg == "total" and _is_false(one.value) for one in node.keywords)
        for one in node.body:
            if not isinstance(one, ast.AnnAssign) or not isinstance(one.target, ast.Name):
                continue
            if "ClassVar" in ast.unparse(one.annotation):
                continue
            name = one.target.id
            typed, optional = self.type(one.annotation, module, f"{where}.{name}", seen)
            required = total or "Required[" in ast.unparse(one.annotation).replace("NotRequired[", "")
            has_default = not self.is_mlflows and _has_default(one.value)
            found[name] = {**typed, "required": required and not optional and not has_default}
        return found


def _alternatives(hints: list[ast.expr]) -> Iterator[ast.expr]:
    """List what a union is of, one written with bars too."""
    for one in hints:
        if isinstance(one, ast.BinOp) and isinstance(one.op, ast.BitOr):
            yield from _alternatives([one.left, one.right])
        else:
            yield one


def _is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


def _has_default(value: ast.expr | None) -> bool:
    """Tell whether a member has a default: `Field(...)` has none unless it says so."""
    if value is None:
        return False
    if not isinstance(value, ast.Call) or (name_of(value.func) or "").rpartition(".")[2] not in {
        "Field",
        "field",
    }:
        return True
    named = {one.arg for one in value.keywords}
    first: Any = value.args[0] if value.args else None
    return bool(named & {"default", "default_factory"}) or (
        first is not None and not (isinstance(first, ast.Constant) and first.value is Ellipsis)
    )
