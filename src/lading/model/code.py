"""Python files, read but never imported: a path goes in, what it defines and imports comes out."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from lading.core.errors import Issue, ModelError
from lading.core.model import ModelFacts
from lading.model.allowlist import OWN_CLASS, OWN_FUNCTION
from lading.model.distributions import ALWAYS_STANDARD
from lading.model.files import read_text

_LONGEST_FILE_BYTES = 4 << 20
_IMPORT_ERRORS = {"ImportError", "ModuleNotFoundError", "Exception"}


@dataclass(slots=True)
class Imports:
    """The modules that code imports. `needed` are those that it does not do without."""

    top_level: set[str] = field(default_factory=set)
    needed: set[str] = field(default_factory=set)
    optional: set[str] = field(default_factory=set)


def top_level_modules(code: Path) -> frozenset[str]:
    """Name the modules that a file, or a folder on the import path, provides.

    What is called like a module of the standard library does not count: Python has its own loaded already.
    """
    if not code.is_dir():
        found = {code.stem}
    else:
        found = {one.stem for one in code.iterdir() if one.suffix == ".py" or _is_package(one)}
    return frozenset(filter(str.isidentifier, found)) - ALWAYS_STANDARD


class FirstParty:
    """The author's own modules, and what stands in them; without code there are none."""

    def __init__(self, code: Path | None = None) -> None:
        """Take the file, or the folder on the import path."""
        self._code = code
        self.modules = top_level_modules(code) if code else frozenset()
        self._kinds_in = cache(self._read)

    def has(self, module: str) -> bool:
        """Tell whether a module is one of the author's."""
        return module.partition(".")[0] in self.modules

    def kind_of(self, module: str, name: str) -> str | None:
        """Tell `own class` or `own function`; None for all else that the name may lead to.

        A dotted name walks on from there to what the module imports, and that may be anything.
        Raises ModelError where the module is no Python.
        """
        return self._kinds_in(module).get(name) if self.has(module) else None

    def _read(self, module: str) -> dict[str, str]:
        assert self._code is not None
        if not self._code.is_dir():
            return _definitions(parse(self._code, self._code.name)) if module == self._code.stem else {}
        place = self._code.joinpath(*module.split("."))
        for file in (place / "__init__.py", place.with_suffix(".py")):
            if file.is_file():
                return _definitions(parse(file, file.relative_to(self._code).as_posix()))
        return {}


def _definitions(tree: ast.Module) -> dict[str, str]:
    """Map what a module defines at its top level, and does not bind to anything else later, to its kind."""
    found: dict[str, str] = {}
    for node in tree.body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            found[node.name] = OWN_CLASS if isinstance(node, ast.ClassDef) else OWN_FUNCTION
            continue
        for name in _bound_in(node):
            if name == "*":
                found.clear()
            found.pop(name, None)
    for inner in ast.walk(tree):
        if isinstance(inner, ast.Global):
            for name in inner.names:
                found.pop(name, None)
    return found


def _bound_in(node: ast.stmt) -> Iterator[str]:
    """List every name that a statement, or one inside of it, binds or deletes; `*` for all of a module's."""
    for one in ast.walk(node):
        if isinstance(one, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            yield one.name
        elif isinstance(one, ast.Name) and not isinstance(one.ctx, ast.Load):
            yield one.id
        elif isinstance(one, ast.alias):
            yield one.asname or one.name.partition(".")[0]
        elif isinstance(one, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)) and one.name:
            yield one.name
        elif isinstance(one, ast.MatchMapping) and one.rest:
            yield one.rest


def _is_package(folder: Path) -> bool:
    return folder.is_dir() and any(one.suffix == ".py" for one in folder.iterdir())


def parse(path: Path, name: str) -> ast.Module:
    """Parse a file; raise ModelError with the line where it is no Python."""
    text = read_text(path, name, _LONGEST_FILE_BYTES)
    try:
        return ast.parse(text)
    except SyntaxError as error:
        raise ModelError(Issue(f"{name}:{error.lineno or 1}", f"no Python: {error.msg}")) from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise ModelError(Issue(name, f"no Python: {error}")) from error


def imports_of(start: Path, root: Path) -> Imports:
    """Collect what a file imports, and in turn the files below `root` that it imports."""
    found = Imports()
    first_party = top_level_modules(root)
    queue = [start]
    seen: set[Path] = set()
    while queue:
        path = queue.pop()
        if path in seen:
            continue
        seen.add(path)
        name = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
        for module, *flags in _imports(parse(path, name).body, inside=False, optional=False):
            top = module.partition(".")[0]
            if not top or top in first_party:
                queue += _files_of(module, path, root)
                continue
            inside, optional = flags
            (found.optional if optional else found.needed).add(module)
            if not inside:
                found.top_level.add(module)
    found.optional -= found.needed
    return found


def imported_by(facts: ModelFacts) -> dict[str, str]:
    """Map the modules that a model's own code imports anywhere to a file that does; none is run."""
    code = facts.code
    files = {one.path: one.source for one in facts.files if one.path.endswith(".py")}
    if code:
        files |= {one.name: one for one in (code.rglob("*.py") if code.is_dir() else (code,))}
    found: dict[str, str] = {}
    for name, path in sorted(files.items()):
        with suppress(ModelError):
            found |= {
                module: name for module, *_ in _imports(parse(path, name).body, inside=False, optional=False)
            }
    return found


def _files_of(module: str, importer: Path, root: Path) -> Iterator[Path]:
    """Find the first-party files of `a.b`; a leading dot counts from the importing file's folder."""
    parts = module.split(".")
    folder = root if root.is_dir() else root.parent
    if not parts[0]:
        dots = len(module) - len(module.lstrip("."))
        folder = importer.parent
        for _ in range(dots - 1):
            folder = folder.parent
        parts = module.lstrip(".").split(".")
    for end in range(len(parts) + 1):
        place = folder.joinpath(*filter(None, parts[:end]))
        for candidate in (place.with_suffix(".py"), place / "__init__.py"):
            if candidate.is_file() and candidate.resolve().is_relative_to(folder.resolve()):
                yield candidate


def _imports(body: Iterable[ast.stmt], *, inside: bool, optional: bool) -> Iterator[tuple[str, bool, bool]]:
    """List `(module, inside a function, may be missing)`."""
    for node in body:
        if isinstance(node, ast.Import):
            yield from ((alias.name, inside, optional) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield module, inside, optional
            if node.level:
                joint = "" if module.endswith(".") else "."
                yield from ((f"{module}{joint}{alias.name}", inside, optional) for alias in node.names)
        elif isinstance(node, ast.Try):
            guarded = any(_catches_import_error(handler) for handler in node.handlers)
            yield from _imports(node.body, inside=inside, optional=optional or guarded)
            rest = [*node.orelse, *node.finalbody, *(one for part in node.handlers for one in part.body)]
            yield from _imports(rest, inside=inside, optional=optional or guarded)
        elif isinstance(node, ast.If):
            if "TYPE_CHECKING" not in ast.dump(node.test):
                yield from _imports(node.body, inside=inside, optional=optional)
            yield from _imports(node.orelse, inside=inside, optional=optional)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield from _imports(node.body, inside=True, optional=optional)
        elif isinstance(node, (ast.ClassDef, ast.With, ast.For, ast.While)):
            yield from _imports(node.body, inside=inside, optional=optional)


def _catches_import_error(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    return any(isinstance(one, ast.Name) and one.id in _IMPORT_ERRORS for one in ast.walk(handler.type))
