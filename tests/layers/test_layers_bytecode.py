"""The byte code of a start: of what is imported and nothing else, the same bytes wherever it is made."""

from __future__ import annotations

import io
import marshal
import os
import struct
from pathlib import Path

import pytest

from lading import sandbox
from lading.core.errors import IntegrityError, VerifyError
from lading.layers import bytecode
from lading.layers.tar import LayerWriter
from sealing import MINOR, PYTHON, STDLIB, Blobs, python_files

PREFIX = "opt/lading/env"
PACKAGES = f"{PREFIX}/lib/python{MINOR}/site-packages"
INSIDE = f"/{PREFIX}/bin/python"
FILES = {
    f"{PREFIX}/bin/python": PYTHON,
    f"{PREFIX}/pyvenv.cfg": b"home = /usr/bin\n",
    f"{PACKAGES}/pack/__init__.py": b"",
    f"{PACKAGES}/pack/used.py": b"import pack.deeper, textwrap\nVALUE = {'b', 'a', 'c'} and 41 + 1\n",
    f"{PACKAGES}/pack/deeper.py": b"def f(a): return a in {'p', 'q', 'r', None}\n",
    f"{PACKAGES}/pack/unused.py": b"raise RuntimeError\n",
    f"{PACKAGES}/pack/exits.py": b"import os, wave\nos._exit(3)\n",
    f"{PACKAGES}/pack/raises.py": b"import pack.deeper\nraise KeyboardInterrupt\n",
    f"{PACKAGES}/jax/__init__.py": b"",
    f"{PACKAGES}/jax/numpy.py": b"",
    f"{PACKAGES}/keras.py": b"import os\nif os.environ['KERAS_BACKEND'] == 'jax':\n    import jax.numpy\n",
    f"{PACKAGES}/pack/shy.py": b"try:\n    import no_such_module\nexcept ImportError:\n    pass\n",
}


@pytest.fixture(scope="module")
def blobs() -> Blobs:
    return Blobs()


@pytest.fixture(scope="module")
def layers(blobs):
    return [blobs.seal_files(python_files()), blobs.seal_files(FILES, kind="environment")]


@pytest.fixture(scope="module")
def opened(blobs, layers, tmp_path_factory):
    """Open a sandbox of Python, a small environment and more layers; skip where none works."""
    unpacked = tmp_path_factory.mktemp("unpacked")

    def open_(*more, **options):
        try:
            return sandbox.open([*layers, *more], source=blobs, unpacked=unpacked, **options)
        except VerifyError as error:
            pytest.skip(f"no sandbox works here: {error}")

    return open_


def made(opened, roots, tmp, **options):
    tmp.mkdir()
    return bytecode.make(opened, python=INSIDE, roots=roots, folders=[STDLIB, PREFIX], tmp=tmp, **options)


def cached(path):
    folder, _, name = path.rpartition("/")
    return f"{folder}/__pycache__/{name.removesuffix('.py')}.cpython-{MINOR.replace('.', '')}.pyc"


def test_what_the_roots_import_is_compiled_and_nothing_else(opened, tmp_path):
    found = made(opened(), ["pack.used"], tmp_path / "tmp")
    ours = {path for path in found if path.startswith(PREFIX)}
    assert ours == {cached(f"{PACKAGES}/pack/{name}.py") for name in ("__init__", "used", "deeper")}
    assert cached(f"{STDLIB}/textwrap.py") in found
    assert cached(f"{STDLIB}/wave.py") not in found


def test_the_files_are_unchecked_hash_byte_code_with_paths_of_the_image(opened, tmp_path):
    found = made(opened(), ["pack.used"], tmp_path / "tmp")
    for path, data in found.items():
        assert struct.unpack("<I", data[4:8]) == (1,), path
    code = marshal.loads(found[cached(f"{PACKAGES}/pack/used.py")][16:])
    assert code.co_filename == f"/{PACKAGES}/pack/used.py"


def test_the_interpreter_takes_them_and_compiles_nothing_more(opened, blobs, tmp_path):
    found = made(opened(), ["pack.used"], tmp_path / "tmp")
    with_code = opened(blobs.seal_files(found, kind="bytecode"))
    (tmp_path / "run").mkdir()
    code = "import importlib.machinery as m; m.SourceFileLoader.source_to_code = None; import pack.used as u"
    running = with_code.start([INSIDE, "-I", "-c", f"{code}; print(u.VALUE)"], env={}, tmp=tmp_path / "run")
    assert (running.wait(30), running.output()) == (0, "42\n")


def test_the_bytes_do_not_depend_on_kind_environment_or_order(opened, tmp_path):
    roots = ["pack.used", "pack.shy", "json", "email.message", "logging.config"]
    first = made(opened(), roots, tmp_path / "first")
    os.umask(os.umask(0o077))
    environment = {
        "TZ": "Asia/Tokyo",
        "LC_ALL": "C",
        "PYTHONHASHSEED": "7",
        "PYTHONOPTIMIZE": "2",
        "X" * 1000: "y",
    }
    assert made(opened(environment=environment), roots[::-1], tmp_path / "second") == first
    others = [one.kind for one in sandbox.available() if one.usable and one.kind in {"unshare", "bwrap"}]
    for kind in others:
        assert made(opened(kind=kind), [*roots, "json"], tmp_path / kind) == first


@pytest.mark.parametrize("roots", [["keras"], ["jax", "keras"], ["keras", "tensorflow"]])
def test_keras_runs_on_what_is_there(opened, tmp_path, roots):
    found = made(opened(), roots, tmp_path / "tmp")
    assert {cached(f"{PACKAGES}/{name}.py") for name in ("keras", "jax/__init__", "jax/numpy")} <= set(found)


@pytest.mark.parametrize("broken", ["no.such", "pack.unused", "pack.raises", "pack.exits"])
def test_a_root_that_cannot_be_imported_adds_nothing_and_takes_nothing_away(opened, tmp_path, broken):
    expected = made(opened(), ["pack.used"], tmp_path / "expected")
    found = made(opened(), ["pack.used", broken], tmp_path / "found")
    assert set(expected) <= set(found)
    assert set(found) - set(expected) <= {cached(f"{PACKAGES}/{broken.replace('.', '/')}.py")}


def test_what_has_byte_code_already_is_not_compiled_again(opened, blobs, tmp_path):
    first = made(opened(), ["json"], tmp_path / "first")
    above = opened(blobs.seal_files(first, kind="bytecode"))
    second = made(above, ["json", "pack.used"], tmp_path / "second")
    assert not set(first) & set(second)
    assert cached(f"{PACKAGES}/pack/used.py") in second


def test_an_interpreter_that_does_not_run_is_an_error(opened, tmp_path):
    with pytest.raises(VerifyError, match="no/such/python"):
        bytecode.make(opened(), python="/no/such/python", roots=["json"], folders=[STDLIB], tmp=tmp_path)


def test_the_layer_holds_the_files_in_order():
    blob = io.BytesIO()
    blob.commit = lambda: None
    writer = LayerWriter(blob)
    bytecode.write({"b/x.pyc": b"2", "a/x.pyc": b"1"}, writer)
    sealed = writer.finish()
    assert sealed.tar_bytes == 512 * 8


def record(name, data):
    return struct.pack(">II", len(name), len(data)) + name + data


@pytest.mark.parametrize(
    "data",
    [
        record(b"/etc/passwd", b"x"),
        record(b"/opt/lading/env/../../../x.pyc", b"x"),
        record(b"/opt/lading/env/x.py", b"x"),
        record(b"/opt/lading/env/x.pyc", b"x")[:-1],
        struct.pack(">II", 4, 1 << 31) + b"/x.p",
        b"\0\0\0",
        record(b"/opt/lading/env/\xff.pyc", b"x"),
    ],
)
def test_what_a_sandbox_wrote_is_not_believed(data):
    with pytest.raises(IntegrityError):
        dict(bytecode._read(io.BytesIO(data), ("/opt/lading/env/",)))


def test_a_link_or_a_pipe_in_its_tmp_is_not_followed(tmp_path):
    (tmp_path / "link").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "pipe")
    Path(tmp_path / "long").write_bytes(bytes(11))
    for name in ("link", "pipe", "long", "absent"):
        with pytest.raises(IntegrityError):
            bytecode.left_in(tmp_path / name, 10)
