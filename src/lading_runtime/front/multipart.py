"""A form's body in, its fields and files out (RFC 7578); what is not exactly that is refused.

Written by hand because the whole body is there already: the two libraries that do it parse streams byte by
byte, or are the standard library's for mail, which decodes, repairs and guesses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple, Optional

from lading_runtime.front.messages import Refusal

_MAX_PARTS = 1000
_MAX_HEAD_BYTES = 8192
# RFC 2046, 5.1.1
_BOUNDARY = re.compile(rb"[0-9a-zA-Z'()+_,\-./:=? ]{0,69}[0-9a-zA-Z'()+_,\-./:=?]")
# browsers write %22, %0D and %0A in place of what would end a value; curl writes a backslash
_ATTRIBUTE = re.compile(r';\s*([\w*-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s";]+))\s*')
_ESCAPED = re.compile(r"\\(.)")
_GIVEN = re.compile(rb';\s*boundary\s*=\s*(?:"([^"]+)"|([^\s";]+))', re.IGNORECASE)


class Part(NamedTuple):
    """A field, or a file: one with a `filename` or a media type that is no text."""

    name: str
    data: bytes
    content_type: str = ""
    filename: Optional[str] = None  # noqa: UP045 - evaluated under Python 3.9 too


def parse(body: bytes, content_type: bytes) -> list[Part]:
    """Read `multipart/form-data`; refuse with 400 what is none, and with 413 more parts than any form has."""
    given = _GIVEN.search(content_type)
    boundary = (given[1] or given[2]) if given else b""
    if not _BOUNDARY.fullmatch(boundary):
        raise Refusal(
            400, "multipart/form-data: got no boundary, expected 'boundary=…' of 1 to 70 characters"
        )
    delimiter = b"\r\n--" + boundary
    if body.count(delimiter) > _MAX_PARTS:
        raise Refusal(413, f"multipart/form-data: got more than {_MAX_PARTS} parts")
    # what stands before the first delimiter and behind the last one is nothing
    first, *parts = (b"\r\n" + body).split(delimiter)
    if first.strip() and not body.startswith(delimiter[2:]) and not parts:
        raise Refusal(400, "multipart/form-data: the boundary is nowhere in the body")
    if not parts or not parts[-1].startswith(b"--"):
        raise Refusal(400, "multipart/form-data: the body ends before its last boundary")
    return list(_read(parts[:-1]))


def parse_urlencoded(body: bytes) -> list[Part]:
    """Read `application/x-www-form-urlencoded`: fields, no files."""
    from urllib.parse import parse_qsl  # some milliseconds, of every start

    try:
        pairs = parse_qsl(body.decode(), True, True, max_num_fields=_MAX_PARTS)  # noqa: FBT003
    except (ValueError, UnicodeDecodeError):
        raise Refusal(400, "got a body that is not urlencoded, expected name=value&…") from None
    return [Part(name, value.encode()) for name, value in pairs]


def _read(parts: list[bytes]) -> Iterator[Part]:
    for index, part in enumerate(parts):
        where = f"multipart/form-data, part {index}"
        padding, start, rest = part.partition(b"\r\n")
        if not start or padding.strip(b" \t"):
            raise Refusal(400, f"{where}: the boundary is not on a line of its own")
        head, empty, data = (b"\r\n" + rest).partition(b"\r\n\r\n")
        if not empty or len(head) > _MAX_HEAD_BYTES:
            raise Refusal(400, f"{where}: got no headers, or too many")
        headers = _headers(where, head)
        disposition, _, attributes = headers.get("content-disposition", "").partition(";")
        if disposition.strip().lower() != "form-data":
            raise Refusal(400, f"{where}: expected 'content-disposition: form-data'")
        named = _attributes(where, ";" + attributes)
        if "name" not in named:
            raise Refusal(400, f"{where}: got no name")
        if headers.get("content-transfer-encoding", "binary").lower() not in {"binary", "8bit", "7bit"}:
            raise Refusal(400, f"{where}: got a transfer encoding, expected none (RFC 7578, 4.7)")
        yield Part(named["name"], data, headers.get("content-type", ""), named.get("filename"))


def _headers(where: str, head: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in head.split(b"\r\n"):
        if not line:
            continue
        try:
            name, colon, value = line.decode().partition(":")
        except UnicodeDecodeError:
            raise Refusal(400, f"{where}: a header is not UTF-8") from None
        name = name.strip().lower()
        if not colon or not name or name in found:
            raise Refusal(400, f"{where}: got the header {name[:40]!r} twice, or one that is none")
        found[name] = value.strip()
    return found


def _attributes(where: str, text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    end = 0
    for one in _ATTRIBUTE.finditer(text):
        if one.start() != end:
            break
        end = one.end()
        value = _ESCAPED.sub(r"\1", one[2]) if one[2] is not None else one[3]
        for code, character in (("%22", '"'), ("%0D", "\r"), ("%0A", "\n")):
            value = value.replace(code, character)
        found[one[1].lower()] = value
    if end != len(text) and text.strip("; "):
        raise Refusal(400, f"{where}: its content-disposition cannot be read")
    return found
