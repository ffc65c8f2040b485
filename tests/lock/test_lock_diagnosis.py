from __future__ import annotations

import pytest

from lading.lock.diagnosis import cause, lacks_compiler


@pytest.mark.parametrize(
    "said",
    [
        "error: command 'x86_64-linux-gnu-g++' failed: No such file or directory",
        "error: command '/usr/bin/aarch64-linux-gnu-gcc' failed: No such file or directory",
        "unable to execute 'x86_64-linux-gnu-gcc': No such file or directory",
        "FileNotFoundError: [Errno 2] No such file or directory: 'g++'",
        "/bin/sh: 1: gcc-12: not found",
        "../meson.build:1:0: ERROR: Unknown compiler(s): [['cc'], ['gcc'], ['clang']]",
        "  No CMAKE_CXX_COMPILER could be found.",
    ],
)
def test_a_build_without_a_compiler_is_told(said):
    assert lacks_compiler(f"running build_ext\n{said}\n")
    assert cause(said).what == "lacks a compiler"


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ("src/x.c:4:10: fatal error: libpq-fe.h: No such file or directory", "lacks the header 'libpq-fe.h'"),
        ("/usr/bin/ld: cannot find -lxml2: No such file or directory", "lacks the library 'xml2'"),
        (
            "FileNotFoundError: [Errno 2] No such file or directory: 'cargo'",
            "lacks the file or program 'cargo'",
        ),
        ("/bin/sh: 1: pg_config: not found", "lacks the program 'pg_config'"),
        ("Error: pg_config executable not found.", "lacks the program 'pg_config'"),
        ("error: command 'swig' failed: No such file or directory", "lacks the program 'swig'"),
        (
            "ModuleNotFoundError: No module named 'numpy'",
            "imports 'numpy', which its pyproject.toml does not ask for",
        ),
        ("OSError: [Errno 101] Network is unreachable", "asks the network, which a build does not get"),
    ],
)
def test_what_a_build_lacks_is_named_with_a_way_out(said, what):
    output = f"building\n{said}\nerror: the end\n"
    assert cause(output).what == what
    assert "find_links" in cause(output).fix
    assert not lacks_compiler(output)


@pytest.mark.parametrize("said", ["", "x.c:3: error: expected ';'", "No such file or directory: '/etc/x y'"])
def test_of_any_other_failure_nothing_is_made_up(said):
    assert not cause(said).what
