"""Packages that have only their source: built in a sandbox, and the same on every machine."""

import io
import shutil
import tarfile

import pytest

from models import write_iris
from running import Lading

pytestmark = pytest.mark.network

# no compiler is seen to be needed before it runs
SETUP = """\
from pathlib import Path
from setuptools import Extension, setup

Path("made.c").write_text('''
#include <Python.h>
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "made", NULL, -1, NULL};
PyMODINIT_FUNC PyInit_made(void) { return PyModule_Create(&module); }
''')
setup(name="made", version="1.0", ext_modules=[Extension("made", ["made.c"])])
"""


def write_sdist(folder, name, setup):
    folder.mkdir()
    with tarfile.open(folder / f"{name}-1.0.tar.gz", "w:gz") as archive:
        for inner, text in (("setup.py", setup), ("PKG-INFO", f"Name: {name}\nVersion: 1.0\n")):
            member = tarfile.TarInfo(f"{name}-1.0/{inner}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))


def locked(folder):
    return {path.name: path.read_text() for path in folder.glob("*lock*")}


@pytest.mark.slow
def test_what_is_built_from_source_packs_the_same_on_another_machine(lading, tmp_path):
    requirements = "requirements: ['docopt==0.6.2', 'annoy==1.17.3']\n"
    folder = write_iris(tmp_path / "iris", more=requirements)
    packed = lading.json("pack", folder)
    assert packed["report"]["passed"]
    files = locked(folder)
    assert str(lading.home) not in "".join(files.values())
    other = Lading(tmp_path / "other-home")
    assert other.json("pack", folder, "--locked")["digest"] == packed["digest"]
    shutil.copytree(folder, tmp_path / "copy", ignore=shutil.ignore_patterns("*lock*"))
    other("lock", tmp_path / "copy")
    assert locked(tmp_path / "copy") == files


def test_a_build_that_turns_out_to_want_a_compiler_gets_one(lading, tmp_path):
    write_sdist(tmp_path / "links", "made", SETUP)
    more = f"requirements: [made]\nindexes:\n  find_links: ['{tmp_path / 'links'}']\n"
    folder = write_iris(tmp_path / "iris", more=more)
    done = lading.run("lock", folder, "-v")
    assert done.returncode == 0, done.stderr
    assert "the build of 1.0 lacks a compiler: building it again with one" in done.stderr
    assert "made-1.0-cp311-cp311-linux_" in (folder / "pylock.toml").read_text()


def test_a_header_that_a_build_lacks_is_named_first(lading, tmp_path):
    write_sdist(tmp_path / "links", "made", SETUP.replace("<Python.h>", "<libpq-fe.h>"))
    more = f"requirements: [made]\nindexes:\n  find_links: ['{tmp_path / 'links'}']\n"
    said = lading.fails(4, "lock", write_iris(tmp_path / "iris", more=more))
    assert "error: package 'made': the build of 1.0 lacks the header 'libpq-fe.h'" in said
    assert "system_packages" in said
