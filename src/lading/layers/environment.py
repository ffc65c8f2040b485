"""An interpreter in; the skeleton of the environments, and the runtime that travels in them, out.

An environment is a venv (PEP 405) laid out without running anything in it.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path, PurePosixPath

from lading.core.errors import Issue, SpecError
from lading.core.lock import NO_PYTHON, Interpreter
from lading.layers.tar import LayerWriter

ENV = "opt/lading/env"
SERVER = "opt/lading/server"
MODEL = "opt/lading/model"
CONDA = "opt/lading/conda"
_RUNTIME = "lading_runtime"


def links(prefix: str, interpreter: Interpreter) -> dict[str, str]:
    """Return an environment's links by path: `python`, and two names that follow it."""
    return {
        f"{prefix}/bin/python": interpreter.path,
        f"{prefix}/bin/python3": "python",
        f"{prefix}/bin/python{interpreter.minor}": "python",
    }


def configuration(interpreter: Interpreter, *, shares: bool = False) -> bytes:
    """Return the text of `pyvenv.cfg`; `shares` lets it see what the interpreter's own folder holds."""
    home = PurePosixPath(interpreter.path).parent
    version = interpreter.version
    shared = str(shares).lower()
    return f"home = {home}\ninclude-system-site-packages = {shared}\nversion = {version}\n".encode()


def paths(prefix: str, interpreter: Interpreter) -> frozenset[str]:
    """Return the files and links of an environment's skeleton, which no wheel may replace."""
    return frozenset({f"{prefix}/pyvenv.cfg", *links(prefix, interpreter)})


def write(prefix: str, interpreter: Interpreter, writer: LayerWriter, *, shares: bool = False) -> None:
    """Write an environment without packages; nothing where there is no Python."""
    if interpreter == NO_PYTHON:
        return
    for path, target in sorted(links(prefix, interpreter).items()):
        writer.symlink(path, target)
    writer.directory(f"{prefix}/lib/python{interpreter.minor}/site-packages")
    writer.file(f"{prefix}/pyvenv.cfg", configuration(interpreter, shares=shares))


def runtime(prefix: str, interpreter: Interpreter) -> list[tuple[str, Path]]:
    """Return the runtime's files, by path in the image; SpecError where it is not installed."""
    spec = importlib.util.find_spec(_RUNTIME)
    if spec is None or not spec.submodule_search_locations:
        raise SpecError(Issue(_RUNTIME, "is not installed beside lading", "install lading again"))
    root = Path(next(iter(spec.submodule_search_locations)))
    site_packages = f"{prefix}/lib/python{interpreter.minor}/site-packages"
    files = sorted((*root.rglob("*.py"), *root.rglob("*.html")))
    return [(f"{site_packages}/{_RUNTIME}/{file.relative_to(root).as_posix()}", file) for file in files]


def standard_library(interpreter: Interpreter) -> tuple[str, ...]:
    """Return the folders, in the image, that an interpreter's own modules lie in."""
    prefix = PurePosixPath(interpreter.path).parent.parent
    folders = [prefix / lib / f"python{interpreter.minor}" for lib in ("lib", "lib64")]
    if prefix == PurePosixPath("/usr"):
        folders.append(prefix / "lib/python3")  # Debian's, of any Python 3
    return tuple(str(one)[1:] for one in folders)
