"""The JSON of an exported program in; what of it could run other code than operators of PyTorch out.

PyTorch looks operators up by name, evaluates sizes with sympy, writes Python of the names of inputs and of
its guards and runs that, and imports what containers of inputs name. So each text has to be of a form that
does nothing else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from lading.core.model import Risk

_TARGET = re.compile(r"torch\.ops\.(\w+)\.(\w+)(\.\w+)?|_operator\.(\w+)|math\.\w+|torch\.(?:_sym|sym)_\w+")
_OWN_OPS = frozenset({"aten", "prims", "quantized", "quantized_decomposed", "_quantized"})
_TOUCHING = frozenset({"save", "from_file"})
_HIGHER = frozenset(
    {
        *("associative_scan", "auto_functionalized", "auto_functionalized_v2", "cond", "flex_attention"),
        *("map_impl", "scan", "while_loop", "wrap_with_autocast", "wrap_with_set_grad_enabled"),
    }
)
_OPERATORS = frozenset(
    {
        *(
            "abs",
            "add",
            "and_",
            "eq",
            "floordiv",
            "ge",
            "getitem",
            "gt",
            "index",
            "inv",
            "invert",
            "le",
            "lshift",
        ),
        *("lt", "mod", "mul", "ne", "neg", "not_", "or_", "pos", "pow", "rshift", "sub", "truediv", "xor"),
    }
)
_EXPRESSION = re.compile(r"(?:[\w\s+\-*/%(),<>=!&|~'\"]|(?<=\d)\.(?=\d))*")
_WORD = re.compile(r"[A-Za-z_]\w*")
_WORDS = frozenset(
    {
        *("Abs", "Add", "And", "CeilDiv", "CeilToInt", "CleanDiv", "Eq", "Equality", "Float", "FloatTrueDiv"),
        *("FloorDiv", "FloorToInt", "Ge", "GreaterThan", "Gt", "IntTrueDiv", "Integer", "LShift", "Le"),
        *(
            "LessThan",
            "Lt",
            "Max",
            "Min",
            "Mod",
            "ModularIndexing",
            "Mul",
            "Ne",
            "Not",
            "Or",
            "Piecewise",
            "Pow",
        ),
        *(
            "PowByNatural",
            "PythonMod",
            "RShift",
            "Rational",
            "RoundToInt",
            "StrictGreaterThan",
            "StrictLessThan",
        ),
        *("Symbol", "ToFloat", "TruncToInt", "Unequality", "Where", "True", "False", "None"),
        *("finite", "int_oo", "integer", "negative", "nonnegative", "nonpositive", "oo", "positive"),
        *("precision", "rational", "real", "zero"),
    }
)
_SYMBOL = re.compile(r"[suz]+f?\d+|e\d+")
_GUARD = re.compile(r"L(?:\['\w+'\]|\[\d+\])+(?:\.(?:size|stride|storage_offset|dim)\(\))?(?:\[\d+\])?")
_NAME = re.compile(r"[\w.]*")
_DICTS = frozenset({"builtins.dict", "collections.OrderedDict"})
_SPECS = _DICTS | {"builtins.tuple", "builtins.list"}


def risks(name: str, document: Mapping[str, Any]) -> Iterator[Risk]:
    """List what is of no such form; `name` is what the file is called."""
    queue: list[object] = [document]
    while queue:
        one = queue.pop()
        if isinstance(one, list):
            queue.extend(one)
        elif isinstance(one, dict):
            for key, value in one.items():
                if key == "metadata":  # notes of where nodes came from
                    continue
                why = _why(key, value)
                if why is not None:
                    yield Risk(name, str(value)[:200], why)
                elif key in {"in_spec", "out_spec"} and value:
                    yield from _of_containers(name, str(value))
                queue.append(value)


def _why(key: str, value: object) -> str | None:
    """Say what is wrong with a text, by what it is for."""
    if key == "guards_code":
        guards = value if isinstance(value, list) else [value]
        return None if all(map(_is_guard, guards)) else "a guard that does more than compare sizes"
    if key == "forward_arg_names":
        names = value if isinstance(value, list) else [value]
        is_plain = value is None or all(isinstance(one, str) and _NAME.fullmatch(one) for one in names)
        return None if is_plain else "names of inputs that are none"
    if isinstance(value, str):
        for pattern, is_fine, what in _TEXTS:
            if pattern.fullmatch(key):
                return None if is_fine(value) else what
    return None


def _is_operator(target: str) -> bool:
    found = _TARGET.fullmatch(target)
    if found is None:
        return False
    if found[1]:
        return found[2] in _HIGHER if found[1] == "higher_order" else _is_own(found[1], found[2])
    return not found[4] or found[4] in _OPERATORS


def _is_own(namespace: str, name: str) -> bool:
    return namespace in _OWN_OPS and name not in _TOUCHING


def _is_expression(text: str) -> bool:
    words = _WORD.findall(text)
    is_plain = all(one in _WORDS or _SYMBOL.fullmatch(one) for one in words)
    return is_plain and _EXPRESSION.fullmatch(text) is not None


def _is_guard(text: object) -> bool:
    return isinstance(text, str) and _is_expression(_GUARD.sub("1", text))


def _of_containers(name: str, text: str) -> Iterator[Risk]:
    """List containers of inputs and outputs that are not Python's own."""
    try:
        queue: list[object] = [json.loads(text)]
    except (ValueError, RecursionError):
        yield Risk(name, text[:100], "a form of inputs or outputs that cannot be read")
        return
    while queue:
        one = queue.pop()
        if isinstance(one, list):
            queue.extend(one)
        elif isinstance(one, dict):
            kind, context = one.get("type"), one.get("context")
            if kind is not None and kind not in _SPECS:
                yield Risk(name, str(kind)[:200], "a container of somebody else's for inputs or outputs")
            elif not _is_context(kind, context):
                yield Risk(name, str(context)[:200], "names in a container that could be read as code")
            queue.append(one.get("children_spec"))


def _is_context(kind: object, context: object) -> bool:
    if context in {None, "null"}:
        return True
    try:
        keys = json.loads(context) if isinstance(context, str) else None
    except ValueError:
        return False
    if kind not in _DICTS or not isinstance(keys, list):
        return False
    return all(isinstance(one, (int, str)) and _NAME.fullmatch(str(one)) for one in keys)


_TEXTS: tuple[tuple[re.Pattern[str], Callable[[str], object], str], ...] = (
    (re.compile("target"), _is_operator, "called by the program, and no operator of PyTorch's own"),
    (re.compile("expr_str"), _is_expression, "a size that is computed by more than arithmetic"),
    (re.compile(r"fqn|\w*name"), _NAME.fullmatch, "a name that could be read as code"),
)
