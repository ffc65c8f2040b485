"""A form's body in, its fields and files out: `multipart/form-data` and `x-www-form-urlencoded`."""

from __future__ import annotations

import re
import urllib.parse
from typing import Any

from lading_runtime.azureml.values import FileStorage, MultiDict

URLENCODED, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data"
KINDS = frozenset({URLENCODED, MULTIPART})
_PARAMETER = re.compile(r';\s*([\w-]+)\*?\s*=\s*(?:"((?:\\.|[^"\\])*)"|([^;]*))')


def parameters(header: str) -> dict[str, str]:
    """Read what follows a header's value, such as `boundary=…`."""
    found = _PARAMETER.finditer(header)
    return {
        one[1].lower(): re.sub(r"\\(.)", r"\1", one[2]) if one[3] is None else one[3].strip() for one in found
    }


def parse(body: bytes, content_type: str) -> tuple[MultiDict, MultiDict]:
    """Return the fields and the files; none where the body is no form."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == URLENCODED:
        pairs = urllib.parse.parse_qsl(body.decode(errors="replace"), keep_blank_values=True)
        return MultiDict(pairs), MultiDict()
    boundary = parameters(content_type).get("boundary", "")
    if kind != MULTIPART or not boundary:
        return MultiDict(), MultiDict()
    fields: list[tuple[str, Any]] = []
    files: list[tuple[str, Any]] = []
    for piece in (b"\r\n" + body).split(b"\r\n--" + boundary.encode("latin-1", "replace"))[1:]:
        head, found, data = piece.partition(b"\r\n\r\n")
        if piece.startswith(b"--") or not found:
            break
        headers = _headers(head)
        said = parameters(headers.get("content-disposition", ""))
        name = said.get("name", "")
        if "filename" in said:
            kind = headers.get("content-type", "application/octet-stream")
            files.append((name, FileStorage(name, said["filename"], kind, data)))
        else:
            fields.append((name, data.decode(errors="replace")))
    return MultiDict(fields), MultiDict(files)


def _headers(head: bytes) -> dict[str, str]:
    lines = head.decode(errors="replace").split("\r\n")
    pairs = (line.partition(":") for line in lines if ":" in line)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}
