"""What a wheel installs, in; what of it nothing needs that runs, out: tests, sources, static libraries, docs.

It depends on the wheel alone, and not on the Python that lading runs on: texts are searched, never parsed.
What the wheel's own Python imports, or names in quotes, stays; so does whatever may be a licence, and all of
`.dist-info`. Why which rule: docs/decisions/0055-slim.md.
"""

from __future__ import annotations

import fnmatch
import posixpath
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import cache
from typing import Literal

Kind = Literal["tests", "sources", "static libraries", "docs"]
Read = Callable[[str], bytes]
Pointed = Callable[[str], frozenset[str]]

VERSION = 2
"""Raise it whenever other files of the same wheel begin to be left out."""

_TESTS = frozenset({"tests", "test"})
_DOCS = frozenset({"docs", "doc"})
_CONFTEST = "conftest"
_SHARED_DOCS = re.compile(r"(?:\.\./)+share/(?:doc|gtk-doc|info|man)/")
_PROGRAMS = re.compile(r"(?:\.\./)+bin/")
_TEST = re.compile(r"(?:test_[^.]*|[^.]*_test)(?:\.py)?")
_LICENCE = re.compile(
    r"(?:un)?licen[cs]e|copying|copyright|notice|authors|patents|eula|third[-_ ]?party",
    re.IGNORECASE,
)
_LICENCES = re.compile(r"licen[cs]es?\Z", re.IGNORECASE)
_C = ("c", "cc", "cpp", "cxx", "h", "hh", "hpp", "hxx", "inl", "ipp", "tcc", "cu", "cuh")
_FORTRAN = ("f", "f77", "f90", "f95", "for")
_SOURCES = frozenset(f".{one}" for one in ("pyx", "pxd", "pxi", *_C, *_FORTRAN, "cmake"))
_OF_HEADERS = frozenset({".inc", ".def"})
"""What headers include, below a folder `include`; elsewhere files of other kinds are called so."""
_ARCHIVES = frozenset({".a", ".lib"})
_MAGIC = (b"!<arch>\n", b"!<thin>\n")
_PLACES = _TESTS | _DOCS | {_CONFTEST}

_IMPORT = re.compile(
    rb"^[ \t]*(?:from[ \t]+([.\w]+)[ \t]+import\b[ \t]*(\([^)]*\)|(?:\\\n|[^\n])*)|import[ \t]+([^\n]+))",
    re.MULTILINE,
)
_PLACE = re.compile(rb"\b(?:tests?|docs?|conftest)\b")
_QUOTED = re.compile(rb"""["']([\w./+-]{1,200})["':]""")
_NAME = re.compile(rb"""["'](tests?|docs?)["']""")
_JOINS = re.compile(rb"(?!\s*(?:>>>|\.\.\.|#)).*(?:join\(.*|/\s*)")
"""A folder's name as a part of a path; examples of use in a docstring are none."""
_SOURCE = re.compile(rb"""\.(?:%s)["']""" % "|".join(one[1:] for one in sorted(_SOURCES)).encode())
_LAST = re.compile(rb"[\w.+*-]+\Z")
_NAME_MAX = 255
_INCLUDE = re.compile(rb"""^[ \t]*#[ \t]*include[ \t]*[<"]([^>"\n]+)[>"]""", re.MULTILINE)
_MODULE = re.compile(r"\.*\w+(?:\.\w+)+|\.+\w+")
_WORD = re.compile(rb"\w+")
_COMPILE = (
    # code is made of their headers and device libraries while they run, or they are for that alone
    *("torch", "triton", "pytorch-triton*", "numba", "numba-cuda", "cupy*", "nvidia-*", "pyopencl", "pycuda"),
    *("cppyy*", "warp-lang", "taichi", "apache-tvm*", "tilelang", "flashinfer*", "deepspeed"),
    *("cffi", "cython", "pybind11*", "nanobind", "pythran", "ziglang"),
)
_BUILDS = ("numpy/f2py/", "numpy/distutils/", "numpy/random/_examples/")
"""Python that names sources for a compiler's sake alone: whoever compiles packs the wheel whole."""


def left_out(paths: Collection[str], read: Read, begin: Read, project: str) -> dict[str, Kind]:
    """Tell which files of a wheel are left out, and as what.

    `paths` are relative to site-packages, as RECORD has them; `read` gives a file's contents, `begin` its
    first bytes; `project` is the distribution's name, normalised.
    """
    pointed = cache(lambda path: _pointed(path, read(path)))
    may_go = [path for path in paths if not _stays(path)]
    python = [path for path in paths if path.endswith(".py")]
    found: dict[str, Kind] = dict.fromkeys(_tests(may_go, python, pointed), "tests")
    running = [path for path in python if path not in found]
    rest = [path for path in may_go if path not in found]
    native = [path for path in rest if _suffix(path) == ".so"]
    found |= dict.fromkeys(_docs(rest, [*running, *native], running, pointed), "docs")
    rest = [path for path in rest if path not in found]
    if not any(fnmatch.fnmatchcase(project, one) for one in _COMPILE):
        archives = (path for path in rest if _suffix(path) in _ARCHIVES and begin(path).startswith(_MAGIC))
        found |= dict.fromkeys(archives, "static libraries")
        found |= dict.fromkeys(_sources(rest, running, read), "sources")
    return found


def _pointed(path: str, text: bytes) -> frozenset[str]:
    """Return what a text of Python imports or names, as paths, where it may be left out."""
    if not _PLACE.search(text):
        return frozenset()
    folder = path.rpartition("/")[0]
    found = {*_imported(folder, text)}
    for one in filter(_PLACE.search, _QUOTED.findall(text)):
        name = _text(one)
        if _MODULE.fullmatch(name):
            found.add(_resolved(folder, name))
        elif "/" in name:
            places = _above(folder) if "." in name.rpartition("/")[2] else [folder]
            found |= {posixpath.normpath(posixpath.join(place, name.lstrip("/"))) for place in places}
    for one in _NAME.finditer(text):
        if _JOINS.fullmatch(text, text.rfind(b"\n", 0, one.start()) + 1, one.start()):
            found.add(posixpath.join(folder, _text(one[1])))
    return frozenset(one for one in found if not _PLACES.isdisjoint(one.split("/")))


def _above(folder: str) -> list[str]:
    """Return a folder and all above it: a file's path may begin at any."""
    parts = folder.split("/")
    return ["/".join(parts[:depth]) for depth in range(len(parts) + 1)]


def _imported(folder: str, text: bytes) -> Iterator[str]:
    """Yield the paths of modules that are imported; of `from a import b`, of `a/b` too."""
    for module, names, modules in _IMPORT.findall(text):
        if module:
            base = _resolved(folder, _text(module))
            yield base
            for one in _WORD.findall(names):
                yield posixpath.join(base, _text(one))
        for one in modules.split(b","):
            yield _text(one.split()[0]).replace(".", "/") if one.split() else ""


def _resolved(folder: str, module: str) -> str:
    """Return the path of a module that may be relative to the package in `folder`."""
    name = module.lstrip(".")
    level = len(module) - len(name)
    if not level:
        return name.replace(".", "/")
    parts = folder.split("/")
    return "/".join([*parts[: len(parts) - level + 1], *filter(None, name.split("."))])


def _tests(may_go: Iterable[str], python: Iterable[str], pointed: Pointed) -> Iterator[str]:
    """Yield what lies in folders of tests, and `conftest.py`, but for what other Python points to."""
    files: dict[str, list[str]] = {}
    for path in may_go:
        if root := _root(path, _TESTS):
            files.setdefault(root, []).append(path)
        elif path.rpartition("/")[2] == f"{_CONFTEST}.py":
            files[path.removesuffix(".py")] = [path]
    roots = {
        root
        for root, inside in files.items()
        if root.endswith(f"/{_CONFTEST}") or any(_TEST.fullmatch(one.rpartition("/")[2]) for one in inside)
    }
    if not roots:
        return
    under: dict[str, list[str]] = {}
    for path in python:
        root = _root(path, _TESTS) or path.removesuffix(".py")
        under.setdefault(root if root in roots else "", []).append(path)
    running, used = under.get("", []), set[str]()
    while running:
        new = {one for path in running for one in _among(pointed(path), roots)} - used
        used |= new
        running = [path for root in new for path in under.get(root, [])]
    yield from (path for root in roots - used for path in files[root])


def _docs(
    rest: Iterable[str], code: Iterable[str], running: Iterable[str], pointed: Pointed
) -> Iterator[str]:
    """Yield documentation: where systems have it, and folders of a package without code in them."""
    inside: dict[str, list[str]] = {}
    for path in rest:
        if _SHARED_DOCS.match(path):
            yield path
        elif root := _root(path, _DOCS):
            inside.setdefault(root, []).append(path)
    for path in code:
        inside.pop(_root(path, _DOCS), None)
    if inside:
        used = {one for path in running for one in _among(pointed(path), inside)}
        yield from (path for root, found in inside.items() if root not in used for path in found)


def _sources(rest: Iterable[str], running: Iterable[str], read: Read) -> Iterator[str]:
    """Yield sources, but for those that Python names and what these include.

    What lies below `include` is for who compiles against a library: naming it is not reading it.
    """
    by_name: dict[str, list[str]] = {}
    for path in filter(_is_source, rest):
        by_name.setdefault(path.rpartition("/")[2], []).append(path)
    own = {name for name, found in by_name.items() if not all(map(_is_included, found))}
    reading = [path for path in running if own and not _builds(path)]
    named = {name for path in reading for name in _named(read(path))}
    waiting = {name for name in own if name in named or f"*{_suffix(name)}" in named}
    used = set(waiting)
    while waiting:
        texts = (read(path) for path in by_name[waiting.pop()])
        included = {_text(one).rpartition("/")[2] for text in texts for one in _INCLUDE.findall(text)}
        new = included & by_name.keys() - used
        used |= new
        waiting |= new
    yield from (path for name, found in by_name.items() if name not in used for path in found)


def _builds(path: str) -> bool:
    return path.startswith(_BUILDS) or path.rpartition("/")[2] == "setup.py"


def _named(text: bytes) -> Iterator[str]:
    """Yield the last parts of what is in quotes and ends as sources do."""
    for one in _SOURCE.finditer(text):
        if found := _LAST.search(text, max(0, one.start() - _NAME_MAX), one.end() - 1):
            yield _text(found[0])


def _stays(path: str) -> bool:
    """Tell whether a file is installed whatever it is: metadata, licences, programs."""
    *folders, name = path.split("/")
    return (
        (bool(folders) and folders[0].endswith(".dist-info"))
        or _PROGRAMS.match(path) is not None
        or _LICENCE.match(name) is not None
        or any(_LICENCES.match(one) for one in folders)
    )


def _root(path: str, names: Collection[str]) -> str:
    """Return the outermost folder of such a name below a package; nothing where there is none."""
    parts = path.split("/")
    place = next((at for at, part in enumerate(parts[1:-1], 1) if part in names), 0)
    return "/".join(parts[: place + 1]) if place and parts[0] != ".." else ""


def _among(pointed: Iterable[str], roots: Collection[str]) -> Iterator[str]:
    """Yield the roots that paths lead to, or into."""
    for path in pointed:
        parts = path.split("/")
        yield from (root for at in range(len(parts)) if (root := "/".join(parts[: at + 1])) in roots)


def _is_source(path: str) -> bool:
    suffix = _suffix(path.removesuffix(".in"))
    return suffix in _SOURCES or (suffix in _OF_HEADERS and _is_included(path))


def _is_included(path: str) -> bool:
    return "include" in path.split("/")


def _suffix(path: str) -> str:
    return posixpath.splitext(path)[1]


def _text(name: bytes) -> str:
    return name.decode("ascii", "replace")
