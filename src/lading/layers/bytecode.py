"""A sandbox of an environment's layers and some modules in; the byte code a start needs out.

The environment's own interpreter imports the modules, notes which sources that compiled, and a fresh one
compiles exactly those, in order, to unchecked-hash `.pyc` files (PEP 552): valid whatever the times of files.
The bytes depend on the layers, the interpreter and the modules alone, never on a model: none is there.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from lading.core.errors import IntegrityError, Issue, RegistryError, VerifyError, full_disk
from lading.core.ports import Sandbox
from lading.layers.tar import LayerWriter, check_path

_IMPORT_S = 300.0
_COMPILE_S = 600.0
_EMULATED_PATIENCE = 10
_PATHS_BYTES_MAX = 16 << 20
_FILE_BYTES_MAX = 64 << 20
_OUTPUT_BYTES_MAX = 1 << 30
# -I would ignore the hash seed too; what is empty is as good as not set
_ENV = {"PYTHONHASHSEED": "0", "PYTHONHOME": "", "PYTHONPATH": "", "PYTHONOPTIMIZE": "", "PYTHONSTARTUP": ""}
_PAIR = struct.Struct(">II")

# What was imported before the script begins is in sys.modules; what it imports passes source_to_code, for no
# byte code is there yet. A module that cannot be imported is left out: the server will say so, in its turn.
_IMPORT = """
import importlib, importlib.machinery as m, importlib.util, os, sys
sys.path[:] = [entry for entry in sys.path if entry]
early = {x.__spec__.origin for x in list(sys.modules.values())
         if isinstance(getattr(x, "__loader__", None), m.SourceFileLoader) and getattr(x, "__spec__", None)}
seen, original = set(early), m.SourceFileLoader.source_to_code
def record(self, data, path, **options):
    seen.add(os.fspath(path))
    return original(self, data, path, **options)
m.SourceFileLoader.source_to_code = record
# Keras imports one library that it runs on: that which is named beside it, where it is there
backends = ("tensorflow", "jax", "torch")
for name in [*filter(backends.__contains__, sys.argv), *backends]:
    if importlib.util.find_spec(name):
        os.environ.setdefault("KERAS_BACKEND", name)
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except BaseException:
        pass
paths = sorted({os.path.abspath(p) for p in seen if isinstance(p, str) and p.endswith(".py")})
missing = [p for p in paths if os.path.isfile(p) and not os.path.exists(importlib.util.cache_from_source(p))]
with open("/tmp/paths", "x", encoding="utf-8") as stream:
    stream.write("".join(p + "\\n" for p in missing))
os._exit(0)
"""

# PEP 552: magic, flags (bit 0: by hash; bit 1, unset: not checked), hash of the source, code
_COMPILE = """
import importlib.util as u, marshal, struct, sys
with open("/tmp/compiled", "xb") as out:
    for path in sys.argv[1:]:
        with open(path, "rb") as stream:
            source = stream.read()
        try:
            code = compile(source, path, "exec", dont_inherit=True)
        except (SyntaxError, ValueError):
            continue
        pyc = u.MAGIC_NUMBER + struct.pack("<I", 1) + u.source_hash(source) + marshal.dumps(code)
        name = u.cache_from_source(path).encode()
        out.write(struct.pack(">II", len(name), len(pyc)) + name + pyc)
"""

_COMPILE_ONE = _COMPILE.replace("open(path,", 'open("/tmp/source",')


def make(
    sandbox: Sandbox, *, python: str, roots: Sequence[str], folders: Sequence[str], tmp: Path
) -> dict[str, bytes]:
    """Compile what importing `roots` loads and return the `.pyc` files by their paths below the image's root.

    `python` is the environment's interpreter (`/opt/lading/env/bin/python`); `folders` are those whose
    modules count (`usr/lib/python3.11`, `opt/lading/env`). Sources that have byte code already are left out:
    compile the server's environment first, then the model's on top of that layer, and no file comes twice.
    A root that cannot be imported adds nothing. Raises VerifyError when the interpreter itself fails.
    """
    (listed := tmp / "import").mkdir()
    (compiled := tmp / "compile").mkdir()
    chosen = _imported(sandbox, python, sorted(set(roots)), listed)
    inside = tuple(f"/{folder}/" for folder in folders)
    paths = sorted(path for path in chosen if path.startswith(inside))
    run(sandbox, [python, "-S", "-s", "-B", "-c", _COMPILE, *paths], compiled, _COMPILE_S)
    with left_in(compiled / "compiled", _OUTPUT_BYTES_MAX) as stream:
        return dict(_read(stream, inside))


def of_source(sandbox: Sandbox, *, python: str, path: str, source: bytes, tmp: Path) -> dict[str, bytes]:
    """Compile one source that is going to lie at `path`; nothing of it is run."""
    (tmp / "source").write_bytes(source)
    run(sandbox, [python, "-S", "-s", "-B", "-c", _COMPILE_ONE, f"/{path}"], tmp, _COMPILE_S)
    with left_in(tmp / "compiled", _OUTPUT_BYTES_MAX) as stream:
        return dict(_read(stream, (f"/{path.rpartition('/')[0]}/",)))


def write(compiled: Mapping[str, bytes], writer: LayerWriter) -> None:
    """Write the files that `make` returned into a layer."""
    for path in sorted(compiled):
        writer.file(path, compiled[path])


def _imported(sandbox: Sandbox, python: str, roots: Sequence[str], tmp: Path) -> Collection[str]:
    """Return the sources that importing loads; where one root ends the interpreter, each root's alone."""
    try:
        (folder := tmp / "all").mkdir()
        return _imported_at_once(sandbox, python, roots, folder)
    except VerifyError:
        if not roots:
            raise
    paths: set[str] = set()
    for index, names in enumerate([[], *([root] for root in roots)]):
        (folder := tmp / str(index)).mkdir()
        try:
            paths.update(_imported_at_once(sandbox, python, names, folder))
        except VerifyError:
            if not names:
                raise
    return paths


def _imported_at_once(sandbox: Sandbox, python: str, roots: Sequence[str], tmp: Path) -> list[str]:
    run(sandbox, [python, "-s", "-B", "-c", _IMPORT, "runpy", *roots], tmp, _IMPORT_S)
    with left_in(tmp / "paths", _PATHS_BYTES_MAX) as stream:
        try:
            return stream.read().decode().split("\n")[:-1]
        except UnicodeDecodeError:
            raise IntegrityError(Issue("byte code", "the list of imported files is not UTF-8")) from None


def run(
    sandbox: Sandbox,
    argv: Sequence[str],
    tmp: Path,
    timeout_s: float,
    env: Mapping[str, str] = _ENV,
    *,
    what: str = "byte code",
    late: str | None = None,
) -> None:
    """Run a script to its end; raise VerifyError where it fails or takes too long: `late` says what helps."""
    running = sandbox.start(argv, env=env, tmp=tmp)
    try:
        status = running.wait(timeout_s * (_EMULATED_PATIENCE if sandbox.emulated else 1))
    except TimeoutError as error:
        raise VerifyError(Issue(what, str(error), late)) from error
    finally:
        running.stop(0)
    if status and (issue := full_disk(running.output())):
        raise RegistryError(issue)
    if status:
        raise VerifyError(Issue(what, f"{argv[0]} ended with {status}: {running.output()[-1000:]}"))


def left_in(path: Path, limit_bytes: int) -> IO[bytes]:
    """Open what a sandbox left in its /tmp: a plain file of a sane length, not a link and not a pipe."""
    try:
        stream = os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")
    except OSError as error:
        raise IntegrityError(Issue("byte code", f"cannot read {path.name!r}: {error.strerror}")) from error
    found = os.fstat(stream.fileno())
    if not stat.S_ISREG(found.st_mode) or found.st_size > limit_bytes:
        stream.close()
        raise IntegrityError(
            Issue("byte code", f"{path.name!r} is no plain file of at most {limit_bytes} bytes")
        )
    return stream


def _read(stream: IO[bytes], inside: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    """Yield path and contents of each file; believe neither lengths nor names."""
    while head := stream.read(_PAIR.size):
        try:
            name_bytes, size_bytes = _PAIR.unpack(head)
            name = stream.read(min(name_bytes, 4096)).decode()
        except (struct.error, UnicodeDecodeError) as error:
            raise IntegrityError(Issue("byte code", f"the compiled files are broken: {error}")) from error
        data = stream.read(min(size_bytes, _FILE_BYTES_MAX))
        if len(data) != size_bytes or not (name.startswith(inside) and name.endswith(".pyc")):
            raise IntegrityError(Issue("byte code", f"got {name[:200]!r}, expected a compiled module"))
        check_path(name[1:])
        yield name[1:], data
