"""YAML text goes in, dataclasses come out; every mistake is reported at once with line and column.

The types are the grammar: `str`, `int`, `float`, `bool`, `Any`, `X | None`, `tuple[X, ...]`,
`Mapping[str, X]`, `Literal[…]`, dataclasses, and unions of those that differ in shape (scalar, sequence,
mapping). Laws: a scalar typed `str` keeps the text as written (`3.10` stays `3.10`), and no input raises
anything but SpecError.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
import types
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import yaml

from lading.core.errors import Issue, SpecError, without_secrets

T = TypeVar("T")
Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# a number to everybody but YAML 1.1, which wants a point before the exponent
_EXPONENT = re.compile(r"[+-]?\d{1,18}[eE][+-]?\d{1,3}\Z")
_MAX_NODES = 1_000_000
_MAX_DEPTH = 200
_MAX_BYTES = 16 << 20


def read_text(path: Path) -> str:
    """Read a file of UTF-8; SpecError where it cannot be, or is far too large for what it should be."""
    try:
        if (size := path.stat().st_size) > _MAX_BYTES:
            raise SpecError(Issue(str(path), f"got {size} bytes, expected {_MAX_BYTES} at most"))
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise SpecError(Issue(str(path), f"cannot be read: {error.strerror}")) from error
    except UnicodeDecodeError as error:
        raise SpecError(Issue(str(path), f"not UTF-8 at byte {error.start}")) from error


class _Invalid(Exception):  # noqa: N818 - a signal between two functions, never an error that leaves the module
    """A value was refused; its issue is recorded."""


class Reader:
    """Reads one document, collecting issues. `place` names a node for later complaints."""

    def __init__(self, file: str) -> None:
        """Remember the file's name, for the issues."""
        self.file = file
        self.issues: list[Issue] = []
        self.places: dict[str, str] = {}
        self._left = _MAX_NODES

    def read(self, text: str, kind: type[T]) -> T:
        """Read a whole document as a dataclass whose keys all have defaults.

        What is invalid is left at its default and its issue recorded, so that the caller can go on and
        find the rest; text that is no document at all raises SpecError.
        """
        node = self._compose(text)
        try:
            return cast("T", self._read(node, kind, "", 0))
        except _Invalid:
            raise SpecError(*self.issues_in_order()) from None

    def complain(self, path: str, what: str, fix: str | None = None) -> None:
        """Record an issue about a key, such as `example.inputs`, at the place where it stood."""
        where = self.places.get(path) or self.places.get(path.split(".", maxsplit=1)[0]) or self.file
        self.issues.append(Issue(where, without_secrets(f"{path}: {what}"), fix))

    def issues_in_order(self) -> list[Issue]:
        """Return the issues as they stand in the file, from top to bottom."""

        def position(issue: Issue) -> list[int]:
            return [int(part) for part in issue.where.split(":") if part.isdigit()]

        return sorted(self.issues, key=position)

    def _compose(self, text: str) -> yaml.Node:
        try:
            documents = list(yaml.compose_all(text, Loader=Loader))
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            where = f"{self.file}:{mark.line + 1}:{mark.column + 1}" if mark else self.file
            raise SpecError(Issue(where, f"not YAML: {error.problem or error.context}")) from error
        except (yaml.YAMLError, RecursionError, ValueError) as error:
            raise SpecError(Issue(self.file, f"not YAML: {' '.join(str(error).split())[:200]}")) from error
        if len(documents) > 1:
            raise SpecError(Issue(self.file, f"got {len(documents)} documents, expected one"))
        return documents[0] if documents else yaml.MappingNode("tag:yaml.org,2002:map", [])

    def _fail(self, node: yaml.Node, path: str, what: str, fix: str | None = None) -> _Invalid:
        self.issues.append(Issue(self._where(node), f"{path}: {what}" if path else what, fix))
        return _Invalid()

    def _where(self, node: yaml.Node) -> str:
        mark = node.start_mark
        return f"{self.file}:{mark.line + 1}:{mark.column + 1}" if mark else self.file

    def _read(self, node: yaml.Node, kind: Any, path: str, depth: int) -> Any:  # noqa: ANN401 - a type of any shape
        self._left -= 1
        if self._left < 0 or depth > _MAX_DEPTH:
            raise self._fail(node, path, "nested too deeply, or too large")
        self.places.setdefault(path, self._where(node))
        if kind is Any:
            return self._plain(node, path, depth)
        if dataclasses.is_dataclass(kind):
            return self._dataclass(node, kind, path, depth)
        arguments = get_args(kind)
        match get_origin(kind):
            case origin if origin in {Union, types.UnionType}:
                value = self._union(node, arguments, path, depth)
            case origin if origin is Literal:
                value = self._literal(node, arguments, path)
            case origin if origin is tuple:
                value = self._sequence(node, arguments[0], path, depth)
            case None:
                value = self._scalar(node, kind, path)
            case _:
                value = dict(self._entries(node, arguments[1], path, depth))
        return value

    def _union(self, node: yaml.Node, kinds: tuple[Any, ...], path: str, depth: int) -> Any:  # noqa: ANN401
        if _is_null(node):
            if type(None) in kinds:
                return None
            raise self._fail(node, path, f"got nothing, expected {_describe(kinds)}")
        for kind in kinds:
            if kind is not type(None) and _shape(kind) in {"any", _SHAPES.get(type(node), "")}:
                return self._read(node, kind, path, depth)
        raise self._fail(node, path, f"got {_shown(node)}, expected {_describe(kinds)}")

    def _dataclass(self, node: yaml.Node, kind: Any, path: str, depth: int) -> Any:  # noqa: ANN401
        if not isinstance(node, yaml.MappingNode):
            raise self._fail(node, path, f"got {_shown(node)}, expected keys and values")
        hints = get_type_hints(kind)
        known = {field.name: hints[field.name] for field in dataclasses.fields(kind)}
        values: dict[str, Any] = {}
        complained = len(self.issues)
        for key, child in self._pairs(node, path):
            below = f"{path}.{key.value}" if path else key.value
            if key.value not in known:
                if self._is_passed_over(kind, key.value):
                    continue
                near = difflib.get_close_matches(key.value, known, 1)
                fix = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}"
                self._fail(key, below, "unknown key", fix)
                continue
            with suppress(_Invalid):
                values[key.value] = self._read(child, known[key.value], below, depth + 1)
        missing = [
            field.name
            for field in dataclasses.fields(kind)
            if field.default is dataclasses.MISSING
            and field.default_factory is dataclasses.MISSING
            and field.name not in values
        ]
        if missing and len(self.issues) == complained:
            self._fail(node, path, f"{', '.join(map(repr, missing))} is missing")
        if missing:
            raise _Invalid
        return kind(**values)

    def _is_passed_over(self, kind: Any, key: str) -> bool:  # noqa: ANN401, ARG002
        """Tell whether a key that a dataclass has not changes nothing, and is no mistake."""
        return False

    def _pairs(self, node: yaml.MappingNode, path: str) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
        """Yield keys and values; complain of keys that are no scalars, or come twice."""
        seen: dict[str, yaml.Node] = {}
        for key, child in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._fail(key, path, f"got {_shown(key)} as a key, expected a word")
            elif key.value in seen:
                self._fail(
                    key, path, f"key {key.value!r} stands twice, first on {self._where(seen[key.value])}"
                )
            else:
                seen[key.value] = key
                yield key, child

    def _entries(self, node: yaml.Node, kind: Any, path: str, depth: int) -> Iterator[tuple[str, Any]]:  # noqa: ANN401
        if _is_null(node):
            return
        if not isinstance(node, yaml.MappingNode):
            raise self._fail(node, path, f"got {_shown(node)}, expected keys and values")
        for key, child in self._pairs(node, path):
            yield key.value, self._read(child, kind, f"{path}.{key.value}", depth + 1)

    def _sequence(self, node: yaml.Node, kind: Any, path: str, depth: int) -> tuple[Any, ...]:  # noqa: ANN401
        if not isinstance(node, yaml.SequenceNode):
            raise self._fail(node, path, f"got {_shown(node)}, expected a list")
        values = []
        for number, child in enumerate(node.value):
            with suppress(_Invalid):
                values.append(self._read(child, kind, f"{path}[{number}]", depth + 1))
        return tuple(values)

    def _literal(self, node: yaml.Node, allowed: tuple[Any, ...], path: str) -> str:
        if isinstance(node, yaml.ScalarNode) and node.value in allowed:
            return str(node.value)
        expected = " or ".join(map(repr, allowed))
        near = difflib.get_close_matches(str(node.value), allowed, 1)
        fix = f"did you mean {near[0]!r}?" if near else None
        raise self._fail(node, path, f"got {_shown(node)}, expected {expected}", fix)

    def _scalar(self, node: yaml.Node, kind: Any, path: str) -> Any:  # noqa: ANN401
        tag = node.tag.rpartition(":")[2]
        if kind is float and isinstance(node, yaml.ScalarNode) and _EXPONENT.match(node.value):
            return float(node.value)
        if isinstance(node, yaml.ScalarNode) and tag in _TAGS[kind]:
            if kind is str:
                return node.value
            try:
                return kind(yaml.safe_load(node.value))
            except (ValueError, TypeError, yaml.YAMLError, OverflowError):
                pass
        raise self._fail(node, path, f"got {_shown(node)}, expected {_NAMES[kind]}")

    def _plain(self, node: yaml.Node, path: str, depth: int) -> Any:  # noqa: ANN401
        """Read a node as JSON values."""
        if isinstance(node, yaml.MappingNode):
            return dict(self._entries(node, Any, path, depth))
        if isinstance(node, yaml.SequenceNode):
            return [self._read(child, Any, f"{path}[{n}]", depth + 1) for n, child in enumerate(node.value)]
        tag = node.tag.rpartition(":")[2]
        if tag in {"bool", "int", "float", "null"}:
            return yaml.safe_load(node.value) if node.value else None
        return node.value


_TAGS = {
    str: ("str", "int", "float", "bool", "timestamp"),
    int: ("int",),
    float: ("int", "float"),
    bool: ("bool",),
}
_NAMES = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


_SHAPES: dict[type, str] = {
    yaml.ScalarNode: "scalar",
    yaml.SequenceNode: "sequence",
    yaml.MappingNode: "mapping",
}


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def _shape(kind: Any) -> str:  # noqa: ANN401
    """Name the YAML shape that a type is written in."""
    if kind is Any:
        return "any"
    if dataclasses.is_dataclass(kind) or get_origin(kind) in {Mapping, dict}:
        return "mapping"
    return "sequence" if get_origin(kind) is tuple else "scalar"


def _shown(node: yaml.Node) -> str:
    """Show a value in an issue, briefly."""
    match node:
        case yaml.ScalarNode():
            return repr(without_secrets(node.value)[:60]) if node.value or not _is_null(node) else "nothing"
        case yaml.SequenceNode():
            return "a list"
        case _:
            return "keys and values"


def _describe(kinds: tuple[Any, ...]) -> str:
    words = {"scalar": "text", "sequence": "a list", "mapping": "keys and values", "any": "a value"}
    names = [_NAMES.get(kind) or words[_shape(kind)] for kind in kinds if kind is not type(None)]
    return " or ".join(dict.fromkeys(names))
