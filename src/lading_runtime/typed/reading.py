"""What a request brings besides JSON values, and what is found wrong with its values while they are read."""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import base64
import binascii
import json
import os
import reprlib
from collections.abc import Mapping
from typing import Any

_MAX_PROBLEMS = 20
_shorten = reprlib.Repr()
_shorten.maxstring = _shorten.maxother = 60


class Text(str):
    """A field of a form: text, whatever was meant."""

    __slots__ = ()


class Upload:
    """A file of a form, or a whole body that is no JSON."""

    __slots__ = ("content_type", "data", "name")

    def __init__(self, data: bytes, content_type: str, name: str = "") -> None:
        """Keep what was sent; `name` is the client's, and trusted for nothing but its ending."""
        self.data = data
        self.content_type = content_type
        self.name = name

    def __repr__(self) -> str:
        """Say what it is, for an error."""
        return f"<{len(self.data)} bytes of {self.content_type or 'unknown type'}>"


class Reading:
    """One request's values while they are read: the problems, and the files to be removed afterwards."""

    def __init__(self) -> None:
        """Begin with nothing wrong."""
        self.problems: list[str] = []
        self.beside: Mapping[str, Any] = {}
        """Values of the request's target by name, for what the body leaves out."""
        self._paths: list[str] = []
        self._open: list[Any] = []

    def fail(self, at: str, value: Any, expected: str) -> None:
        """Note a value that does not fit."""
        self.problems.append(f"{at or 'the input'}: got {shown(value)}, expected {expected}")

    def note(self, at: str, problem: str) -> None:
        """Note anything else."""
        self.problems.append(f"{at or 'the input'}: {problem}")

    def adopt(self, other: Reading) -> None:
        """Take over the files of an attempt that went well."""
        self._paths += other._paths
        self._open += other._open

    def summary(self) -> str:
        """Return every problem in one text, the first of them where they are many."""
        more = len(self.problems) - _MAX_PROBLEMS
        return "; ".join(self.problems[:_MAX_PROBLEMS]) + (f"; and {more} more" if more > 0 else "")

    def file(self, upload: Upload) -> str:
        """Write a file in /tmp, which `close` removes, and return its path."""
        import tempfile

        ending = os.path.splitext(os.path.basename(upload.name))[1]  # noqa: PTH119, PTH122 - pathlib costs 3 ms
        is_plain = len(ending) <= 10 and ending[1:].isalnum() and ending.isascii()
        descriptor, path = tempfile.mkstemp(suffix=ending if is_plain else "", prefix="upload-")
        self._paths.append(path)
        with open(descriptor, "wb") as stream:  # noqa: PTH123
            stream.write(upload.data)
        return path

    @property
    def has_files(self) -> bool:
        """Tell whether `close` will have something to do."""
        return bool(self._paths or self._open)

    def closing(self, stream: Any) -> None:
        """Have `close` close it."""
        self._open.append(stream)

    def close(self) -> None:
        """Remove what was written; a routine may have moved or removed it itself."""
        for stream in self._open:
            stream.close()
        for path in self._paths:
            try:
                os.unlink(path)  # noqa: PTH108
            except OSError:
                continue
        self._open, self._paths = [], []


def shown(value: Any) -> str:
    """Print a client's value, shortened, with JSON's words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Text):
        return repr(str(value))[:80]
    return repr(value) if isinstance(value, Upload) else _shorten.repr(value)


def parsed(text: str) -> Any:
    """Read a form's field where no text is wanted: as JSON, where it is some."""
    lowered = text.strip().lower()
    if lowered in {"true", "on", "false", "off"}:
        return lowered in {"true", "on"}
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return str(text)


def raw(value: Any) -> Upload | None:
    """Return the bytes that a value stands for: an upload, base64, or a `data:` URI; else None."""
    if isinstance(value, Upload):
        return value
    if isinstance(value, Text):
        return Upload(value.encode(), "text/plain")
    if isinstance(value, dict) and set(value) == {"b64"}:  # TensorFlow Serving's way
        value = value["b64"]
    if not isinstance(value, str):
        return None
    kind = ""
    if value.startswith("data:"):
        head, comma, value = value[5:].partition(",")
        kind, _, coding = head.rpartition(";")
        if not comma or coding != "base64":
            return None
    try:
        return Upload(base64.b64decode("".join(value.split()), validate=True), kind)
    except (binascii.Error, ValueError):
        return None
