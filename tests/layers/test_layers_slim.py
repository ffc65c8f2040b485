"""What slim leaves out of a wheel, and what stays."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.core.digest import Digest
from lading.layers import record, slim, wheel

SITE = "opt/lading/env/lib/python3.11/site-packages"
ARCHIVE = b"!<arch>\n" + bytes(60)
TESTED = {"demo/tests/__init__.py": b"", "demo/tests/test_it.py": b"", "demo/tests/data/rows.csv": b"1\n"}


def gone(files: Mapping[str, bytes], project: str = "demo") -> dict[str, str]:
    return dict(slim.left_out(files, files.__getitem__, files.__getitem__, project))


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("demo/_fast.pyx", "sources"),
        ("demo/_fast.pxd", "sources"),
        ("demo/_fast.pyx.in", "sources"),
        ("demo/include/demo/api.h", "sources"),
        ("demo/include/demo/ops.h.inc", "sources"),
        ("demo/src/kernel.cpp", "sources"),
        ("demo/lib/solver.f90", "sources"),
        ("../../../include/site/python3.11/demo/demo.h", "sources"),
        ("../../../share/doc/demo/index.html", "docs"),
        ("../../../share/man/man1/demo.1", "docs"),
        ("demo/docs/guide.html", "docs"),
        ("demo/conftest.py", "tests"),
        ("demo/sub/test/native_test", "tests"),
    ],
)
def test_what_nothing_needs_that_runs_is_left_out(path, kind):
    assert gone({"demo/__init__.py": b"", path: b"x"}) == {path: kind}


@pytest.mark.parametrize(
    "path",
    [
        "demo/__init__.pyi",  # some read their stubs as they are imported
        "demo/py.typed",
        "demo/datasets/descr/iris.rst",
        "demo/templates/card.md",
        "demo/testing.py",
        "demo/testing/test_cases.py",
        "demo/_testing/__init__.py",
        "demo/test/__init__.py",  # what has no tests in it may be an interface
        "demo/data/test/0001.png",
        "demo/docs/__init__.py",
        "demo/kernels/add.cl",
        "demo/rules.inc",
        "demo/curve.lib",
        "demo/a.a",
        "tests/test_top.py",
        "test_top.py",
        "../../../bin/tool.c",
        "../../../share/demo/rows.csv",
        "demo-1.0.dist-info/licenses/src/thing.h",
        "demo-1.0.dist-info/tests/test_it.py",
    ],
)
def test_what_a_library_may_want_stays(path):
    assert gone({"demo/__init__.py": b"", path: b"x"}) == {}


@pytest.mark.parametrize(
    "name", ["LICENSE", "LICENCE.txt", "COPYING.c", "NOTICE.h", "AUTHORS.rst", "licenses/bsd.c"]
)
def test_what_may_be_a_licence_stays_wherever_it_is(name):
    files = {**TESTED, f"demo/tests/{name}": b"x", f"demo/docs/{name}": b"x", f"demo/src/{name}": b"x"}
    assert gone(files) == dict.fromkeys(TESTED, "tests")


def test_static_libraries_are_told_by_what_is_in_them():
    files = {"demo/libdemo.a": ARCHIVE, "demo/thin.a": b"!<thin>\n", "demo/curve.lib": b"1 2 3\n"}
    assert gone(files) == dict.fromkeys(("demo/libdemo.a", "demo/thin.a"), "static libraries")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("demo/__init__.py", "from demo.tests import test_it"),
        ("demo/__init__.py", "from . import core, tests"),
        ("demo/__init__.py", "from . import (\n    core,\n    tests,\n)"),
        ("demo/__init__.py", "from . import \\\n    tests"),
        ("demo/__init__.py", "def test():\n    from .tests.test_it import all_of_them"),
        ("demo/sub/deep.py", "from ..tests.test_it import x"),
        ("demo/sub/deep.py", "import os, demo.tests.test_it as it"),
        ("demo/lazy.py", "importlib.import_module('demo.tests.test_it')"),
        ("demo/lazy.py", "importlib.import_module('.tests', __package__)"),
        ("demo/rows.py", "PATH = os.path.join(os.path.dirname(__file__), 'tests', 'data')"),
        ("demo/rows.py", "PATH = Path(__file__).parent / 'tests' / 'data'"),
        ("demo/rows.py", "open(files('demo') / 'tests/data/rows.csv')"),
        ("demo/sub/rows.py", "PATH = HERE + '/../tests/data/rows.csv'"),
        ("demo/sub/rows.py", "read(files('demo') / 'tests/data/rows.csv')"),
        ("other/rows.py", "read(SITE / 'demo/tests/data/rows.csv')"),
    ],
)
def test_a_folder_of_tests_that_other_python_points_to_stays_whole(path, text):
    assert gone({**TESTED, path: text.encode()}) == {}


@pytest.mark.parametrize(
    "text",
    [
        "from demo.core import tests_of",
        "NAMES = ['train', 'tests']",
        "NOT_THESE = ['old/tests/cpp']",
        "'''\n>>> join(dirname(demo.__file__), 'tests', 'data')\n'''",
        "# os.path.join(HERE, 'tests')",
        "from other.tests import test_it",
        "import tests",
    ],
)
def test_a_word_alone_points_to_nothing(text):
    assert gone({**TESTED, "demo/__init__.py": text.encode()}) == dict.fromkeys(TESTED, "tests")


def test_tests_that_others_need_keep_the_tests_that_they_need():
    other = {
        "demo/sub/tests/test_sub.py": b"from demo.far.tests import test_far",
        "demo/far/tests/test_far.py": b"",
    }
    files = {**TESTED, **other, "demo/__init__.py": b"import demo.sub.tests.test_sub"}
    assert gone(files) == dict.fromkeys(TESTED, "tests")


def test_what_tests_and_their_conftest_import_is_no_reason_to_keep_tests():
    files = {**TESTED, "demo/conftest.py": b"from demo.tests import test_it"}
    assert gone(files) == dict.fromkeys(files, "tests")


def test_sources_that_python_names_stay_with_what_they_include():
    files = {
        "demo/kernels.py": b"CODE = (HERE / '_add.cu').read_text()",
        "demo/_add.cu": b'#include "inner/more.cuh"\n',
        "demo/inner/more.cuh": b"",
        "demo/_other.cu": b"",
        "demo/include/_add.h": b"",
    }
    assert gone(files) == dict.fromkeys(("demo/_other.cu", "demo/include/_add.h"), "sources")
    files |= {"demo/kernels.py": b"CODE = [read(one) for one in HERE.glob('*.cu')]"}
    assert gone(files) == {"demo/include/_add.h": "sources"}


def test_a_source_among_docs_keeps_no_header_of_its_name():
    files = {"demo/__init__.py": b"x = 'a.pyx'", "demo/docs/a.pyx": b"", "demo/include/a.pyx": b""}
    assert gone(files) == {"demo/docs/a.pyx": "docs", "demo/include/a.pyx": "sources"}


def test_what_only_builds_name_goes():
    files = {"demo/setup.py": b"sources=['_fast.c', glob('*.pyx')]", "demo/_fast.c": b"", "demo/_b.pyx": b""}
    assert gone(files) == dict.fromkeys(("demo/_fast.c", "demo/_b.pyx"), "sources")


def test_a_header_for_others_that_is_but_told_of_goes():
    files = {"demo/__init__.py": b"raise OSError('see \"demo/api.h\"')", "demo/include/demo/api.h": b""}
    assert gone(files) == {"demo/include/demo/api.h": "sources"}


@pytest.mark.parametrize(
    "project", ["torch", "triton", "cupy-cuda12x", "nvidia-cuda-runtime-cu12", "pybind11"]
)
def test_libraries_that_compile_as_they_run_keep_sources_and_static_libraries(project):
    files = {**TESTED, "demo/include/api.h": b"", "demo/lib/libdevice.a": ARCHIVE}
    assert gone(files, project) == dict.fromkeys(TESTED, "tests")


PARTS = ("demo", "tests", "test", "docs", "include", "sub", "LICENSES")
NAMES = ("__init__.py", "test_a.py", "a.h", "a.pyx", "lib.a", "LICENSE", "core.py", "core.so", "data.csv")
TEXTS = (b"", b"from demo import tests", b"import demo.sub.tests.x", b"'tests/data'", b"x = 'a.pyx'", ARCHIVE)
PATHS = st.builds(
    lambda folders, name: "/".join(("demo", *folders, name)),
    st.lists(st.sampled_from(PARTS), max_size=3),
    st.sampled_from(NAMES),
)
FILES = st.dictionaries(PATHS, st.sampled_from(TEXTS), max_size=12)


@given(FILES)
def test_what_is_left_does_not_depend_on_the_order_and_is_slim(files):
    found = gone(files)
    left = {path: data for path, data in files.items() if path not in found}
    assert all("test" in path or path.endswith((".h", ".pyx", ".a")) or "/docs/" in path for path in found)
    assert not any("LICENSE" in path or (path.endswith(".so") and "test" not in path) for path in found)
    assert gone(dict(reversed(files.items()))) == found
    assert gone(left) == {}


def test_the_record_of_a_slim_wheel_lists_what_is_there(make_wheel, target, seal):
    path = make_wheel({**TESTED, "demo/__init__.py": b"", "demo/_fast.pyx": b"x", "demo/libdemo.a": ARCHIVE})
    planned = wheel.plan(path, replace(target, slim=True))
    files = seal(lambda writer: wheel.write_all([planned], writer)).files
    own = f"{SITE}/demo-1.0.dist-info/RECORD"
    rows = list(csv.reader(io.StringIO(files[own].decode(), newline="")))
    assert {os.path.normpath(f"{SITE}/{name}") for name, _, _ in rows} == set(files)
    assert {name for name in files if "dist-info" not in name} == {f"{SITE}/demo/__init__.py"}
    for name, (digest, size_bytes) in record.parse(files[own]).items():
        data = files[os.path.normpath(f"{SITE}/{name}")]
        assert (Digest.of(data), len(data)) == (digest, size_bytes)
    assert {(kind, placed.path.removeprefix(f"{SITE}/")) for kind, placed in planned.slimmed} == {
        *(("tests", name) for name in TESTED),
        ("sources", "demo/_fast.pyx"),
        ("static libraries", "demo/libdemo.a"),
    }
