"""A selector (`linux and py>=38`) → True, False, or the environment marker (PEP 508) that says the same.

A package is always for Linux: what a selector says of systems is settled here. What it says of processors and
of Python becomes a marker, so that one file serves several platforms.
"""

from __future__ import annotations

import ast
import re

Condition = bool | str
"""A marker where it depends on the processor or on Python."""

ALWAYS: Condition = True
_AMD64, _ARM64 = "platform_machine == 'x86_64'", "platform_machine == 'aarch64'"
_NAMES: dict[str, Condition] = {
    **dict.fromkeys(("linux", "unix", "py3k"), True),
    **dict.fromkeys(("linux64", "x86_64", "x86", "amd64"), _AMD64),
    "aarch64": _ARM64,
    **dict.fromkeys(
        # conda's arm64 is Apple's and Windows'
        (
            "win",
            "win32",
            "win64",
            "osx",
            "osx64",
            "macos",
            "arm64",
            "linux32",
            "armv6l",
            "armv7l",
            "ppc64le",
            "ppc64",
        ),
        False,
    ),
    **dict.fromkeys(
        ("s390x", "riscv64", "emscripten", "wasi", "wasm32", "freebsd", "zos", "py2k", "arm"), False
    ),
}
_SUBDIRS: dict[str, Condition] = {"linux-64": _AMD64, "linux-aarch64": _ARM64}
_OPERATORS: dict[type[ast.cmpop], str] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}
_OPPOSITE = {"==": "!=", "!=": "==", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}
_SUBDIR = re.compile(r"\b(linux|osx|win)-(\w+)\b(?!['\"])")
_PYTHON = re.compile(r"py([23])(\d{1,2})\Z")


class NotASelectorError(ValueError):
    """A selector that no conda tool knows, or that lading does not."""


def parse(text: str) -> Condition:
    """Read a selector, as conda-build, conda-lock and rattler-build write them; raise NotASelectorError."""
    spelled = _SUBDIR.sub(lambda match: f"target_platform == '{match[0]}'", text.strip())
    try:
        tree = ast.parse(spelled, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise NotASelectorError(text.strip()) from error
    return _truth(tree, positive=True)


def both(left: Condition, right: Condition) -> Condition:
    """Join two conditions."""
    return _join([left, right], "and")


def negated(text: str) -> Condition:
    """Read a selector and say its opposite, as the `else` of an `if` has it; raise NotASelectorError."""
    return parse(f"not ({text})")


def _truth(node: ast.expr, *, positive: bool) -> Condition:
    """Tell when an expression is true, or with `positive` false when it is not: a marker has no 'not'."""
    match node:
        case ast.BoolOp(op, values):
            word = "and" if isinstance(op, ast.And) == positive else "or"
            return _join([_truth(one, positive=positive) for one in values], word)
        case ast.UnaryOp(ast.Not(), operand):
            return _truth(operand, positive=not positive)
        case ast.Constant(bool(value)):
            return value == positive
        case ast.Name(name):
            return _signed(_named(name), positive=positive)
        case ast.Compare(left, [operator], [right]):
            return _compared(left, operator, right, positive=positive)
        case ast.Call(ast.Name("match"), [ast.Name("python"), ast.Constant(str(versions))], []):
            return _matched(versions, positive=positive)
    raise NotASelectorError(ast.unparse(node))


def _named(name: str) -> Condition:
    if match := _PYTHON.match(name):
        return f"python_version == '{match[1]}.{match[2]}'"
    if name not in _NAMES:
        raise NotASelectorError(name)
    return _NAMES[name]


def _signed(condition: Condition, *, positive: bool) -> Condition:
    if isinstance(condition, bool):
        return condition == positive
    return condition if positive else condition.replace(" == ", " != ")


def _compared(left: ast.expr, operator: ast.cmpop, right: ast.expr, *, positive: bool) -> Condition:
    word = _OPERATORS.get(type(operator))
    match left, right:
        case ast.Name("py"), ast.Constant(int(number)) if word and not isinstance(number, bool):
            # py is 38 and 310
            digits = str(number)
            version = f"{digits[0]}.{digits[1:] or '0'}"
            return f"python_version {word if positive else _OPPOSITE[word]} '{version}'"
        case (ast.Name("target_platform" | "build_platform"), ast.Constant(str(subdir))) if word in {
            "==",
            "!=",
        }:
            return _signed(_SUBDIRS.get(subdir, False), positive=positive == (word == "=="))
    raise NotASelectorError(ast.unparse(ast.Compare(left, [operator], [right])))


def _matched(versions: str, *, positive: bool) -> Condition:
    """Read rattler-build's `match(python, ">=3.8,<3.11")`."""
    conditions: list[Condition] = []
    for one in versions.split(","):
        clause = re.match(r"\s*(==|!=|<=|>=|<|>)\s*(\d+\.\d+)(?:\.\*)?\s*\Z", one)
        if not clause:
            raise NotASelectorError(versions)
        operator = clause[1] if positive else _OPPOSITE[clause[1]]
        conditions.append(f"python_version {operator} '{clause[2]}'")
    return _join(conditions, "and" if positive else "or")


def _join(conditions: list[Condition], word: str) -> Condition:
    decisive = word == "or"
    if decisive in conditions:
        return decisive
    markers = [one for one in dict.fromkeys(conditions) if isinstance(one, str)]
    if not markers:
        return not decisive
    if len(markers) == 1:
        return markers[0]
    return f" {word} ".join(f"({one})" if " or " in one or " and " in one else one for one in markers)
