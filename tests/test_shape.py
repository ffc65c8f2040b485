"""The shape of the code: who imports whom, how long files and functions are, what importing costs."""

import ast
import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
FILES = sorted(SOURCE.rglob("*.py"))
STAGES = (
    "spec",
    "model",
    "servers",
    "lock",
    "layers",
    "image",
    "store",
    "sandbox",
    "bases",
    "verify",
    "score",
    "fetch",
    "logins",
    "deploy",
    "workspace",
    "connections",
    "signature",
    "saving",
    "scan",
    "tracking",
)
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60

# room → the first-party rooms it may import besides itself
MAY_IMPORT = {
    "lading": {"core", "pipeline", "saving"},  # the package's root: names for type checkers
    "core": set(),
    "http": {"core"},
    **{stage: {"core"} for stage in STAGES},
    **{stage: {"core", "http"} for stage in ("fetch", "store", "tracking")},
    "scan": {"core", "model"},  # it follows pickles by the same walk
    "settings": {"core"},
    "pipeline": {"lading", "core", "settings", *STAGES},
    "cli": {"lading", "core", "settings", "pipeline", "spec", "workspace"},  # what it prints
    "__main__": {"cli"},
    "lading_runtime": set(),
}


def module_name(path):
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module):
    parts = module.split(".")
    if parts[0] == "lading_runtime":
        return "lading_runtime"
    return parts[1] if len(parts) > 1 else "lading"


def imports_of(tree):
    """Yield every module that a tree imports, with the node."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            yield node.module, node


def is_ours(module):
    return module.split(".")[0] in {"lading", "lading_runtime"}


TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}
MODULES = {module_name(path) for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_a_room_imports_only_what_the_map_allows(path):
    room = room_of(module_name(path))
    assert room in MAY_IMPORT, f"{room} is not on the map"
    for imported, node in imports_of(TREES[path]):
        if is_ours(imported):
            target = room_of(imported)
            assert target in {room, *MAY_IMPORT[room]}, f"{path}:{node.lineno}: {room} imports {imported}"


def test_core_needs_the_standard_library_alone():
    for path in FILES:
        if room_of(module_name(path)) == "core":
            for imported, _ in imports_of(TREES[path]):
                assert imported.split(".")[0] in {*sys.stdlib_module_names, "lading"}, (
                    f"{path} imports {imported}"
                )


def test_no_first_party_import_hides_in_a_function():
    for path, tree in TREES.items():
        if room_of(module_name(path)) == "lading_runtime":
            continue  # loaders are imported by the name that the bill gives
        for function in ast.walk(tree):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                for imported, node in imports_of(function):
                    assert not is_ours(imported), f"{path}:{node.lineno}: {imported}"


def test_there_are_no_import_cycles():
    graph = {}
    for path, tree in TREES.items():
        name = module_name(path)
        graph[name] = set()
        for imported, node in imports_of(tree):
            names = (
                [f"{imported}.{alias.name}" for alias in node.names]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            graph[name] |= {one for one in names if one in MODULES} or ({imported} & MODULES)
        graph[name] -= {name}
    done, path = set(), []

    def visit(name):
        assert name not in path, " → ".join([*path[path.index(name) :], name])
        if name not in done:
            path.append(name)
            for target in sorted(graph[name]):
                visit(target)
            path.pop()
            done.add(name)

    for name in graph:
        visit(name)


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_files_and_functions_are_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_FILE_LINES
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno + 1 <= MAX_FUNCTION_LINES, (
                f"{path}:{node.lineno}: {node.name}"
            )


def test_what_a_package_exports_is_there():
    for path in FILES:
        if path.name == "__init__.py" and room_of(module_name(path)) != "lading_runtime":
            module = importlib.import_module(module_name(path))
            for name in getattr(module, "__all__", ()):
                assert hasattr(module, name), f"{module.__name__}.{name}"


def cpu_seconds(*command):
    """Return the least CPU time of five runs: noise only ever adds."""
    times = []
    for _ in range(5):
        before = os.times()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        after = os.times()
        times.append(
            after.children_user - before.children_user + after.children_system - before.children_system
        )
    return min(times)


def test_importing_lading_is_cheap():
    assert cpu_seconds(sys.executable, "-c", "import lading") <= 0.1


def test_asking_for_the_version_is_cheap():
    assert cpu_seconds(sys.executable, "-m", "lading", "--version") <= 0.2
