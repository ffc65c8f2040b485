"""Configurations and documents that name code, or are code: pieces in, findings out."""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator

from lading.core.errors import ModelError
from lading.core.scan import Finding
from lading.model.documents import read_yaml
from lading.scan import rules
from lading.scan.piece import Piece

_NATIVE = {
    b"\x7fELF": "a library or program of Linux",
    b"MZ": "a library or program of Windows",
    b"\xcf\xfa\xed\xfe": "a library or program of macOS",
    b"\xca\xfe\xba\xbe": "a program of macOS, or a class of Java",
}
_ENTITY = re.compile(rb"<!ENTITY", re.IGNORECASE)
_BEFORE_ROOT = re.compile(rb"(?:<\?(?:[^?]|\?(?!>))*\?>|<!--(?:[^-]|-(?!->))*-->|\s)*")
_DOCTYPE = re.compile(rb"""(?i:<!DOCTYPE)(?:[^>\["']|"[^"]*"|'[^']*')*\[""")
_WIDE_ENTITY = re.compile(rb"<\0!\0(D\0O\0C\0T\0Y\0P\0E|E\0N\0T\0I\0T\0Y)|\0<\0!\0(D\0O\0C|E\0N\0T)")


def of_code(piece: Piece) -> Iterator[Finding]:
    """Tell what is compiled for a machine, or for Python."""
    start = piece.start(8)
    for magic, what in _NATIVE.items():
        if start.startswith(magic) and (len(magic) > 2 or _is_of_windows(piece)):
            yield Finding(rules.CODE, piece.file, piece.name, piece.last, what)
    if piece.last.endswith((".pyc", ".pyo")) and start[2:4] == b"\r\n":
        yield Finding(rules.CODE, piece.file, piece.name, piece.last, "byte code of Python, marshalled")


def _is_of_windows(piece: Piece) -> bool:
    """Tell by the name, or by the second header, that what begins with two letters is a program."""
    head = piece.start(1 << 16)
    at = int.from_bytes(head[60:64], "little")
    return piece.last.endswith((".dll", ".exe", ".pyd")) or head[at : at + 4] == b"PE\0\0"


def of_xml(piece: Piece) -> Iterator[Finding]:
    """Tell of entities, wherever they are declared, and of a document type with declarations of its own."""
    head = piece.start(1 << 20)
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith((b"<?xml", b"<!--", b"<!DOCTYPE", b"<!ENTITY", b"<PMML")):
        with (
            piece.path.open("rb") as stream,
            mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data,
        ):
            declares = _ENTITY.search(data) is not None
        if declares or _has_declarations(text):
            why = "declares entities: whoever parses it may be made to read files, or to ask a server"
            yield Finding(rules.XML_ENTITY, piece.file, piece.name, "DOCTYPE", why)
    if head.startswith((b"\xff\xfe<\0", b"\xfe\xff\0<", b"<\0?\0", b"\0<\0?")) and _WIDE_ENTITY.search(head):
        yield Finding(rules.XML_ENTITY, piece.file, piece.name, "DOCTYPE", "declares entities, in UTF-16")


def _has_declarations(text: bytes) -> bool:
    """Tell whether the document type, which stands before the root element, has declarations in brackets."""
    found = _BEFORE_ROOT.match(text)
    return found is not None and _DOCTYPE.match(text, found.end()) is not None


def of_mlflow(piece: Piece) -> Iterator[Finding]:
    """Tell what Python code an MLmodel has MLflow run."""
    if piece.last != "MLmodel":
        return
    try:
        flavors = read_yaml(piece.path, piece.name).get("flavors")
    except ModelError as error:
        yield Finding(rules.UNREADABLE, piece.file, error.issues[0].where, piece.last, error.issues[0].what)
        return
    pyfunc = flavors.get("python_function") if isinstance(flavors, dict) else None
    if not isinstance(pyfunc, dict):
        return
    source = pyfunc.get("model_code_path")
    loader = str(pyfunc.get("loader_module") or "")
    if source:
        why = "the model is Python code, which is run to load it"
        yield Finding(rules.MLFLOW_CODE, piece.file, piece.name, str(source), why)
    if loader and loader.partition(".")[0] != "mlflow":
        why = "a module that the model names is imported to load it"
        yield Finding(rules.MLFLOW_CODE, piece.file, piece.name, loader, why)
    if pyfunc.get("code"):
        why = "a folder of Python code is put on the import path"
        yield Finding(rules.MLFLOW_CODE, piece.file, piece.name, str(pyfunc["code"]), why)
