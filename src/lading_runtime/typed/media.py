"""Type hints of pictures and files."""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from lading_runtime.typed.plain import Kind
from lading_runtime.typed.reading import Reading, Text, Upload, raw

_FILE = {"type": "string", "contentEncoding": "base64"}


class Picture(Kind):
    """`PIL.Image.Image`."""

    schema: Mapping[str, Any] = {**_FILE, "contentMediaType": "image/*"}
    expected = "a picture, as a file or in base64"
    takes = frozenset({"file"})

    def of_text(self, text: Text) -> Any:
        """Take a field for base64."""
        return str(text)

    def convert(self, value: Any, at: str, reading: Reading) -> Any:
        """Read the whole picture, so that a broken one is refused here; a bomb is broken too."""
        from PIL import Image, UnidentifiedImageError

        found = raw(value)
        if found is None:
            return reading.fail(at, value, self.expected)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                picture = Image.open(io.BytesIO(found.data))
                picture.load()
        except UnidentifiedImageError:
            return reading.fail(at, found, "a picture of a form that Pillow reads")
        except (OSError, ValueError, SyntaxError, EOFError, MemoryError) as error:
            return reading.note(at, f"the picture cannot be read: {error}"[:500])
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            return reading.note(at, f"the picture is too large: {error}"[:500])
        else:
            return picture


class File(Kind):
    """`pathlib.Path`, `typing.BinaryIO` and their like: a file in /tmp, removed after the request."""

    schema: Mapping[str, Any] = _FILE
    expected = "a file, or one in base64"
    takes = frozenset({"file"})

    def __init__(self, make: Callable[[Reading, Upload], Any]) -> None:
        """`make` makes of an upload what the hint asks for."""
        self._make = make

    def of_text(self, text: Text) -> Any:
        """Take a field's own bytes for the file."""
        return text

    def convert(self, value: Any, at: str, reading: Reading) -> Any:
        """Write an upload, or what base64 holds."""
        found = raw(value)
        if found is None:
            return reading.fail(at, value, self.expected)
        try:
            return self._make(reading, found)
        except UnicodeDecodeError:
            return reading.fail(at, found, "text in UTF-8")


def path(reading: Reading, upload: Upload) -> Any:
    """Make a `pathlib.Path` of a temporary file."""
    from pathlib import Path

    return Path(reading.file(upload))


def binary(reading: Reading, upload: Upload) -> Any:
    """Make an open file of bytes."""
    stream = open(reading.file(upload), "rb")  # noqa: PTH123, SIM115 - the request's end closes it
    reading.closing(stream)
    return stream


def memory(_: Reading, upload: Upload) -> Any:
    """Make a file in memory."""
    return io.BytesIO(upload.data)


def text(_: Reading, upload: Upload) -> Any:
    """Make an open file of text."""
    return io.StringIO(upload.data.decode())
