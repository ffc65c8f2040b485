"""Texts that are rendered or made into objects: pieces in, what in them could run code out."""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator
from typing import Any

from lading.core.scan import Finding
from lading.scan import rules
from lading.scan.archives import unreadable
from lading.scan.piece import Piece

_LONGEST_BYTES = 32 << 20
_REACHES = re.compile(
    r"""__\w+__|["']\w*__\w*["']|["']_["']|\\(?:x5f|u005f|137)|\|\s*attr\b|\b(?:lipsum|cycler|joiner)\b""",
    re.IGNORECASE,
)
"""How a template gets from what it is given to Python's own: names in double underscores, however spelt."""
_GGUF, _TEXT = b"GGUF", 8
_GGUF_HEAD_BYTES = 256 << 20
_OF_GGUF = b"tokenizer.chat_template"
_TAG = "tag:yaml.org,2002:python/"
_HARMLESS = frozenset(
    {"none", "bool", "str", "unicode", "bytes", "int", "long", "float", "complex", "list", "tuple", "dict"}
)


def of_template(piece: Piece) -> Iterator[Finding]:
    """Tell what a template of Jinja's, alone or in a file of GGUF, reaches for."""
    if piece.last.endswith((".jinja", ".jinja2", ".j2")) and piece.size_bytes <= _LONGEST_BYTES:
        yield from of_text(piece, piece.path.read_bytes().decode("utf-8", "replace"))
    if piece.start(4) == _GGUF:
        with piece.path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            at = 0
            while (at := data.find(_OF_GGUF, at, _GGUF_HEAD_BYTES)) >= 0:
                end = at + int.from_bytes(data[at - 8 : at], "little")
                at += len(_OF_GGUF)
                size = int.from_bytes(data[end + 4 : end + 12], "little")
                if int.from_bytes(data[end : end + 4], "little") == _TEXT and size <= _LONGEST_BYTES:
                    yield from of_text(piece, data[end + 12 : end + 12 + size].decode("utf-8", "replace"))


def of_document(piece: Piece, document: dict[str, Any]) -> Iterator[Finding]:
    """Tell what the templates in a configuration of a tokenizer's reach for."""
    told = document.get("chat_template")
    for one in told if isinstance(told, list) else [told]:
        text = one.get("template") if isinstance(one, dict) else one
        if isinstance(text, str):
            yield from of_text(piece, text)


def of_text(piece: Piece, text: str) -> Iterator[Finding]:
    """Tell what a template reaches for."""
    for name in sorted({found[0] for found in _REACHES.finditer(text)}):
        why = "a template reaches for it: whoever renders that outside a sandbox runs code"
        yield Finding(rules.TEMPLATE, piece.file, piece.name, name, why)


def of_yaml(piece: Piece) -> Iterator[Finding]:
    """Tell what tags of Python's a YAML document has, in whatever way they are spelt."""
    start = piece.start(4)
    is_one = piece.last.lower().endswith((".yaml", ".yml")) or start.startswith((b"!", b"%", b"---"))
    if not is_one:
        return
    with piece.path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        is_wide = start.startswith((b"\xff\xfe", b"\xfe\xff"))
        if not is_wide and (data.find(b"!") < 0 or (data.find(b"python") < 0 and data.find(b"%") < 0)):
            return
    if piece.size_bytes > _LONGEST_BYTES:
        yield unreadable(piece, piece.name, "YAML with tags, which is too long to be read")
        return
    yield from _tagged(piece)


def _tagged(piece: Piece) -> Iterator[Finding]:
    import yaml

    seen = set()
    try:
        # of events nothing is made, and no alias is followed
        for event in yaml.parse(piece.path.read_bytes(), getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            tag = getattr(event, "tag", None) or ""
            kind, _, name = tag.removeprefix(_TAG).partition(":")
            if not tag.startswith(_TAG) or kind in _HARMLESS or tag in seen:
                continue
            seen.add(tag)
            why = f"a tag of Python's ({kind}): a loader of YAML that is not a safe one follows it"
            line = event.start_mark.line + 1 if event.start_mark else 1
            yield Finding(rules.YAML_TAG, piece.file, f"{piece.name}:{line}", name or kind, why)
    except (yaml.YAMLError, RecursionError, ValueError):
        # no loader gets further either
        return
