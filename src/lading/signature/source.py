"""Python files in, what a name in them stands for out; nothing is imported or run."""

from __future__ import annotations

import ast
import builtins
import typing
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from lading.core.errors import Issue, ModelError

_MOST_BYTES = 4 << 20
_MOST_FILES = 200


class Found(NamedTuple):
    """What a name stands for: a node in a file of the author's, or the full name of something else."""

    module: Module | None
    node: ast.AST | None
    name: str


class Module:
    """A file of Python, and those beside it that it imports from."""

    def __init__(self, path: Path, folder: Path, known: dict[Path, Module] | None = None) -> None:
        """Read a file below a folder that is on the import path; raise ModelError where it is no Python."""
        self.path, self.folder = path, folder
        self._known = {} if known is None else known
        self._known[path] = self
        try:
            if path.stat().st_size > _MOST_BYTES:
                raise ModelError(Issue(path.name, f"got more than {_MOST_BYTES} bytes of Python"))
            self.tree = ast.parse(path.read_bytes(), path.name)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            line = f":{error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
            raise ModelError(
                Issue(f"{path.name}{line}", f"no Python: {getattr(error, 'msg', error)}")
            ) from error
        except OSError as error:
            raise ModelError(Issue(str(path), f"cannot be read: {error.strerror}")) from error
        self.names: dict[str, ast.AST | str] = {}
        self.stars: list[str] = []
        """Modules of which all names are imported."""
        for node in ast.walk(self.tree):  # imports may stand below `if TYPE_CHECKING`
            self._bind(node)
        for node in self.tree.body:
            if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                self.names[node.name] = node

    def _bind(self, node: ast.AST) -> None:
        if isinstance(node, ast.Import):
            for one in node.names:
                self.names[one.asname or one.name.partition(".")[0]] = (
                    one.name if one.asname else one.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom):
            module = self._absolute(node)
            for one in node.names:
                if one.name == "*":
                    self.stars.append(module)
                else:
                    self.names[one.asname or one.name] = f"{module}.{one.name}"
        elif (
            isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name)
        ):
            self.names.setdefault(node.targets[0].id, node.value)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            self.names.setdefault(node.target.id, node.value)
        elif type(node).__name__ == "TypeAlias":  # Python 3.12's `type X = …`
            self.names[node.name.id] = node.value  # type: ignore[attr-defined]

    def _absolute(self, node: ast.ImportFrom) -> str:
        """Return the full name of what a module imports from."""
        if not node.level:
            return node.module or ""
        parts = list(self.path.relative_to(self.folder).with_suffix("").parts)
        parts = parts[: len(parts) - node.level]
        return ".".join([*parts, *([node.module] if node.module else [])])

    def find(self, node: ast.AST, depth: int = 0) -> Found:
        """Follow a name, or names joined by points, to where it stands."""
        dotted = name_of(node)
        if dotted is None or depth > 20:
            return Found(self, node, "")
        first, _, rest = dotted.partition(".")
        bound = self.names.get(first)
        if bound is None:
            return self._elsewhere(dotted, first, depth)
        if not isinstance(bound, str):
            inner = _within(bound, rest) if rest else bound
            if inner is None:
                return Found(None, None, dotted)
            return self.find(inner, depth + 1) if name_of(inner) is not None else Found(self, inner, dotted)
        return self._imported(f"{bound}.{rest}" if rest else bound, depth)

    @contextmanager
    def within(self, node: ast.ClassDef) -> Iterator[None]:
        """Know the classes in a class by their own names, as its members do."""
        outer = self.names
        self.names = {**outer, **{one.name: one for one in node.body if isinstance(one, ast.ClassDef)}}
        try:
            yield
        finally:
            self.names = outer

    def _elsewhere(self, dotted: str, first: str, depth: int) -> Found:
        """Look for a name that nothing here binds: in what is imported whole, or Python's own."""
        for module in self.stars:
            if module == "typing" and first in typing.__all__:
                return Found(None, None, f"typing.{dotted}")
            found = self._imported(f"{module}.{dotted}", depth)
            if found.node is not None:
                return found
        return Found(None, None, f"builtins.{dotted}" if hasattr(builtins, first) else dotted)

    def _imported(self, dotted: str, depth: int) -> Found:
        """Look for a name in the author's own files, else leave it as it is called."""
        parts = dotted.split(".")
        for size in range(len(parts) - 1, 0, -1):
            place = self.folder.joinpath(*parts[:size])
            for path in (place.with_suffix(".py"), place / "__init__.py"):
                if (
                    path.is_file()
                    and len(self._known) < _MOST_FILES
                    and path.resolve().is_relative_to(self.folder.resolve())
                ):
                    module = self._known.get(path) or Module(path, self.folder, self._known)
                    rest: ast.AST = ast.parse(".".join(parts[size:]), mode="eval").body
                    return module.find(rest, depth + 1)
        return Found(None, None, dotted)


def _within(node: ast.AST, dotted: str) -> ast.AST | None:
    """Follow names into classes in a class; None where they lead nowhere."""
    for name in dotted.split("."):
        body = node.body if isinstance(node, ast.ClassDef) else []
        inner = next((one for one in body if isinstance(one, ast.ClassDef) and one.name == name), None)
        if inner is None:
            return None
        node = inner
    return node


def name_of(node: ast.AST) -> str | None:
    """Print a name, or names joined by points; None for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = name_of(node.value)
        return f"{before}.{node.attr}" if before else None
    return None
