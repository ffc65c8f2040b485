"""Azure ML's YAML goes in, dataclasses come out, and text again: what all of its files have in common.

On top of `typed.Reader`: `$schema` is passed over, `file:` takes another file in an object's place, `a.b=c`
overrides come before validation, enumerations are spelled in any case, and `{{PLACEHOLDER}}` is named as one.
Law: `read(dump(noun, folder)) == noun` for every dataclass whose fields are of the reader's types.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast, get_origin

import yaml

from lading.core.errors import Issue, SpecError, without_secrets
from lading.core.ports import Event, Events, ignore
from lading.spec import typed

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_FILE = "file:"
_ARM = "/subscriptions/"
_PLACEHOLDER = re.compile(r"\{\{(\s*[\w.-]+\s*)\}\}")
# YAML reads braces as keys and values: of the same width, from the area that Unicode leaves to everyone's use
_OPENED, _CLOSED = "\ue0a1\ue0a2", "\ue0a3\ue0a4"
_MARKED = re.compile(rf"{_OPENED}(.*?){_CLOSED}")
# what, unless in double quotes, would be read as a placeholder, or as another end of a line
_TROUBLE = re.compile(r"\{\{|[\r\x85\u2028\u2029]")
_STEP = re.compile(r"\.?([^.\[\]]+)|\[(\d+)\]")


class Place(str):
    """A file or folder, absolute, or a URI (`azureml:code:1`, `https://…`) or ARM id as it was written."""

    __slots__ = ()

    @property
    def path(self) -> Path | None:
        """The path on this machine, None for a URI."""
        return None if _URI.match(self) or self.startswith(_ARM) else Path(self)


class Reader(typed.Reader):
    """Reads one of Azure's files; issues and warnings are collected, `finish` raises the former."""

    def __init__(self, path: Path | None = None, overrides: Sequence[str] = ()) -> None:
        """Take the file's path, None where all there is are overrides, such as `tags.stage=test`."""
        super().__init__(str(path) if path else "command line")
        self.path = path
        self.overrides = overrides
        self.folder = path.absolute().parent if path else Path.cwd()
        """What paths are relative to, where the reader stands just now."""
        self.warnings: list[Issue] = []

    def warn(self, path: str, what: str, fix: str | None = None) -> None:
        """Record what is tolerated, at the place of its key."""
        where = self.places.get(path) or self.places.get(path.split(".", maxsplit=1)[0]) or self.file
        self.warnings.append(Issue(where, without_secrets(f"{path}: {what}"), fix))

    def pass_over(self, keys: Iterable[tuple[str, str]]) -> None:
        """Warn of keys that change nothing here, each with the reason."""
        for key, why in keys:
            self.warn(key, f"is not applied: {why}")

    def finish(self, events: Events = ignore) -> None:
        """Raise SpecError with every issue, if there is one; else tell of what is tolerated."""
        if self.issues:
            raise SpecError(*self.issues_in_order())
        for warning in self.warnings:
            events(Event("spec", "warning", str(warning)))

    def _compose(self, text: str) -> yaml.Node:
        node = super()._compose(_PLACEHOLDER.sub(rf"{_OPENED}\1{_CLOSED}", text))
        if self.path and node.start_mark is None:
            raise SpecError(Issue(self.file, "the file is empty"))
        overrides, self.overrides = self.overrides, ()  # once, and not in the files that this one names
        for one in overrides:
            self._override(node, one)
        return node

    def _where(self, node: yaml.Node) -> str:
        override = getattr(node, "override", None)
        return f"--set {override}" if override else super()._where(node)

    def _override(self, node: yaml.Node, text: str) -> None:
        """Put the value of `a.b[0].c=value` in its place, and make what does not lead there yet."""
        key, equals, written = text.partition("=")
        steps = [number or name for name, number in _STEP.findall(key)]
        if not equals or not steps or _STEP.sub("", key):
            raise SpecError(
                Issue(f"--set {without_secrets(text)}", "expected KEY=VALUE, such as tags.stage=test")
            )
        for step, following in zip(steps, [*steps[1:], None], strict=True):
            value = _value(written) if following is None else None
            if isinstance(node, yaml.ScalarNode):
                what = f"{key!r} lies in {node.value[:60]!r}, which is defined elsewhere"
                raise SpecError(Issue(f"--set {key}", what, "override the whole of it"))
            child = _set(node, step, value)
            if child is None:
                raise SpecError(Issue(f"--set {key}", f"there is no element {step!r} of a list to be set"))
            if value is not None:
                _mark(child, key)
            node = child

    def _pairs(self, node: yaml.MappingNode, path: str) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
        for key, child in super()._pairs(_merged(node, {}), path):
            key.value = _plain(key.value)
            if key.value != "$schema":
                yield key, child

    def _union(self, node: yaml.Node, kinds: tuple[Any, ...], path: str, depth: int) -> Any:  # noqa: ANN401
        """Let `file:` stand for an object wherever one may stand."""
        objects = [one for one in kinds if dataclasses.is_dataclass(one) or get_origin(one) is Mapping]
        if _is_file(node) and objects:
            return self._read(node, objects[0], path, depth)
        return super()._union(node, kinds, path, depth)

    def _dataclass(self, node: yaml.Node, kind: Any, path: str, depth: int) -> Any:  # noqa: ANN401
        if not _is_file(node):
            return super()._dataclass(node, kind, path, depth)
        with self._inside(node, path) as root:
            return super()._dataclass(root, kind, path, depth)

    def _is_passed_over(self, kind: Any, key: str) -> bool:  # noqa: ANN401
        """Let what `az … show` prints of an asset be its file, as Azure does."""
        return key in getattr(kind, "PRINTED", ())

    def _entries(self, node: yaml.Node, kind: Any, path: str, depth: int) -> Iterator[tuple[str, Any]]:  # noqa: ANN401
        if not _is_file(node):
            yield from super()._entries(node, kind, path, depth)
            return
        with self._inside(node, path) as root:
            yield from super()._entries(root, kind, path, depth)

    @contextmanager
    def _inside(self, node: yaml.Node, path: str) -> Iterator[yaml.Node]:
        """Open the file that a node names: complaints and paths are of that file until it is left."""
        name = self.folder / Path(node.value.removeprefix(_FILE)).expanduser()
        outside = self.file, self.folder
        try:
            text = typed.read_text(name)
        except SpecError as error:
            raise self._fail(node, path, f"{node.value!r}: {error.issues[0].what}") from error
        self.file, self.folder = str(name), name.absolute().parent
        try:
            yield self._compose(text)
        finally:
            self.file, self.folder = outside

    def _literal(self, node: yaml.Node, allowed: tuple[Any, ...], path: str) -> str:
        """Take any spelling: `Copy`, `UriFolder` and `uri-folder` are Azure's, in one place or another."""
        self._refuse_placeholder(node, path)
        if isinstance(node, yaml.ScalarNode):
            for one in allowed:
                if _spelling(one) == _spelling(node.value):
                    return str(one)
        return super()._literal(node, allowed, path)

    def _scalar(self, node: yaml.Node, kind: Any, path: str) -> Any:  # noqa: ANN401
        self._refuse_placeholder(node, path)
        if isinstance(node, yaml.ScalarNode):
            node.value = _plain(node.value)
        if kind is not Place:
            # ports and percentages are written as texts too
            is_quoted = (
                kind in {int, float} and isinstance(node, yaml.ScalarNode) and node.style in {"'", '"'}
            )
            return super()._scalar(_unquoted(node) if is_quoted else node, kind, path)
        text = cast("str", super()._scalar(node, str, path))
        if not text:
            # it would be the folder of the file, with all that lies there
            raise self._fail(node, path, "got an empty text, expected a path", "write '.' for this folder")
        if (_URI.match(text) or text.startswith(_ARM)) and not _is_file(node):
            return Place(text)
        local = (
            self.folder / Path(text if text.startswith("file://") else text.removeprefix(_FILE)).expanduser()
        )
        return Place(os.path.normpath(local.absolute()))

    def _plain(self, node: yaml.Node, path: str, depth: int) -> Any:  # noqa: ANN401
        self._refuse_placeholder(node, path)
        if isinstance(node, yaml.ScalarNode):
            node.value = _plain(node.value)
        return super()._plain(node, path, depth)

    def _refuse_placeholder(self, node: yaml.Node, path: str) -> None:
        """Refuse a template's `{{NAME}}`; in quotes it may be meant, unless it is all that there is."""
        if not isinstance(node, yaml.ScalarNode) or not (found := _MARKED.search(node.value)):
            return
        if not node.style or found[0] == node.value.strip():
            what = f"got the placeholder {_plain(found[0])!r}, expected what is to stand there"
            raise self._fail(node, path, what, f"fill the template in, or give --set {path}=VALUE")


def dump(noun: Any, folder: Path | None = None) -> str:  # noqa: ANN401 - a dataclass
    """Write a dataclass as YAML, without what is at its default; paths are relative to a folder."""
    return dump_plain(plain(noun, folder))


def dump_plain(document: Any) -> str:  # noqa: ANN401 - JSON values
    """Write JSON values as YAML, so that texts are read as they are."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=4096)


class _Dumper(yaml.SafeDumper):
    """Writes everything out where it stands, and texts so that they are read as they are."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ANN401, ARG002
        return True

    def text(self, text: str) -> yaml.ScalarNode:
        style = '"' if _TROUBLE.search(text) else None
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _Dumper.text)


def plain(value: Any, folder: Path | None) -> Any:  # noqa: ANN401 - a dataclass and what it holds
    """Return a dataclass as `dump` writes it, as JSON values."""
    if dataclasses.is_dataclass(value):
        pairs = ((one, getattr(value, one.name)) for one in dataclasses.fields(value))
        return {one.name: plain(each, folder) for one, each in pairs if not _is_default(one, each)}
    if isinstance(value, Mapping):
        return {key: plain(each, folder) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each, folder) for each in value]
    if isinstance(value, Place):
        is_below = folder is not None and value.path is not None and value.path.is_relative_to(folder)
        return f"./{os.path.relpath(value, folder)}" if is_below else str(value)
    return value


def _is_default(field: dataclasses.Field[Any], value: Any) -> bool:  # noqa: ANN401
    if field.default_factory is not dataclasses.MISSING:
        return bool(value == field.default_factory())
    return field.default is not dataclasses.MISSING and bool(value == field.default)


def _merged(node: yaml.MappingNode, known: dict[int, yaml.MappingNode]) -> yaml.MappingNode:
    """Let `<<: *base`, and a list of such, bring the keys that are not there (yaml.org/type/merge.html)."""
    if id(node) in known or not any(map(_is_merge, node.value)):
        return known.get(id(node), node)
    own = [pair for pair in node.value if not _is_merge(pair)]
    found = known[id(node)] = yaml.MappingNode(node.tag, own, node.start_mark, node.end_mark, node.flow_style)
    names = {key.value for key, _ in own if isinstance(key, yaml.ScalarNode)}
    for _, child in filter(_is_merge, node.value):
        for source in child.value if isinstance(child, yaml.SequenceNode) else [child]:
            more = [(key, one) for key, one in _merged(source, known).value if str(key.value) not in names]
            names.update(str(key.value) for key, _ in more)
            own += more
    return found


def _is_merge(pair: tuple[yaml.Node, yaml.Node]) -> bool:
    key, child = pair
    sources = child.value if isinstance(child, yaml.SequenceNode) else [child]
    is_mappings = all(isinstance(one, yaml.MappingNode) for one in sources)
    return isinstance(key, yaml.ScalarNode) and key.value == "<<" and not key.style and is_mappings


def _spelling(text: object) -> str:
    return re.sub(r"[_-]", "", str(text)).lower()


def _plain(text: str) -> str:
    return _MARKED.sub(r"{{\1}}", text)


def _is_file(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.value.startswith(_FILE) and node.value[5:7] != "//"


def _unquoted(node: yaml.Node) -> yaml.Node:
    """Read a quoted scalar as if it were not."""
    found = yaml.compose(node.value, Loader=typed.Loader) if node.value else None
    if not isinstance(found, yaml.ScalarNode):
        return node
    found.start_mark = node.start_mark
    return found


def _value(text: str) -> yaml.Node:
    """Read an override's value: a scalar, or a list or mapping in brackets; anything else is a text."""
    marked = _PLACEHOLDER.sub(rf"{_OPENED}\1{_CLOSED}", text)
    try:
        node = yaml.compose(marked, Loader=typed.Loader)
    except (yaml.YAMLError, RecursionError, ValueError):
        node = None
    is_whole = node.value == marked if isinstance(node, yaml.ScalarNode) else marked[:1] in {"{", "["}
    return node if node and is_whole else yaml.ScalarNode("tag:yaml.org,2002:str", marked)


def _set(node: yaml.Node, step: str, value: yaml.Node | None) -> yaml.Node | None:
    """Return what lies one step down, after setting it where there is a value; None where it cannot be."""
    if isinstance(node, yaml.SequenceNode):
        if not step.isdigit() or int(step) > len(node.value):
            return None
        if int(step) == len(node.value):
            node.value.append(value or _empty())
        elif value:
            node.value[int(step)] = value
        return cast("yaml.Node", node.value[int(step)])
    for number, (key, child) in enumerate(node.value):
        if key.value == step:
            is_null = child.tag == "tag:yaml.org,2002:null"
            child = value or (_empty() if is_null else child)  # noqa: PLW2901
            node.value[number] = (key, child)
            return cast("yaml.Node", child)
    child = value or _empty()
    node.value.append((yaml.ScalarNode("tag:yaml.org,2002:str", step, child.start_mark), child))
    _mark(node.value[-1][0], step)
    return child


def _empty() -> yaml.MappingNode:
    return yaml.MappingNode("tag:yaml.org,2002:map", [])


def _mark(node: yaml.Node, key: str) -> None:
    """Remember that a node stands in no file."""
    node.override = key  # type: ignore[attr-defined]
    below = [one for pair in node.value for one in pair] if isinstance(node, yaml.MappingNode) else node.value
    for one in below if not isinstance(node, yaml.ScalarNode) else ():
        _mark(one, key)
