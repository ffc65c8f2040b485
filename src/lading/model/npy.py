"""numpy's files (numpy/lib/format.py): what stands before an array, and whether that is a pickle."""

from __future__ import annotations

import ast
import re
import stat
from pathlib import Path
from typing import IO, NamedTuple

from lading.core.errors import Issue, ModelError
from lading.core.model import ModelFile
from lading.model.code import FirstParty
from lading.model.compression import open_source
from lading.model.walk import Walked, walk

_LONGEST_HEADER_BYTES = 1 << 16
_TYPE = re.compile(r"[<>|=]?([biufcSUVmM])(\d+)(?:\[\w+\])?\Z")


class Header(NamedTuple):
    """A type as letter and size; None for all that is no plain type, which may be objects."""

    kind: tuple[str, int] | None
    shape: tuple[int, ...]
    size_bytes: int


def read_header(stream: IO[bytes]) -> Header:
    """Read what is before the array; raise ValueError where it is none."""
    magic = stream.read(8)
    if not magic.startswith(b"\x93NUMPY"):
        raise ValueError("no array of numpy's")
    width = 2 if magic[6:7] == b"\x01" else 4
    size = int.from_bytes(stream.read(width), "little")
    if size > _LONGEST_HEADER_BYTES:
        raise ValueError("a header that is too long")
    try:
        told = ast.literal_eval(stream.read(size).decode("latin-1").strip())
        match = _TYPE.match(told["descr"]) if isinstance(told["descr"], str) else None
        shape = tuple(int(one) for one in told["shape"])
    except (KeyError, TypeError, SyntaxError, MemoryError, RecursionError) as error:
        raise ValueError(f"a header that cannot be read: {error}") from error
    return Header((match[1], int(match[2])) if match else None, shape, 8 + width + size)


def follow_beside(file: ModelFile, walked: Walked, first_party: FirstParty) -> None:
    """Look at the arrays that joblib before 0.10 wrote beside a pickle, and add what those with objects name.

    Raises ModelError for one that is not there, or is no array: numpy would take it for a pickle.
    """
    for name in walked.files:
        path = file.source.parent / name
        shown = str(Path(file.path).parent / name)
        try:
            if not stat.S_ISREG(path.lstat().st_mode):
                raise ModelError(Issue(shown, "is no file", "copy the model with its files"))
            with path.open("rb") as stream:
                header = read_header(stream)
        except FileNotFoundError:
            what = f"has an array in {name!r} beside it, which is not there"
            raise ModelError(Issue(file.path, what, "copy the model with its files")) from None
        except (OSError, ValueError) as error:
            raise ModelError(Issue(shown, f"is {error}", "copy the model with its files")) from error
        if header.kind is None:
            _add(path, shown, header.size_bytes, walked, first_party)


def _add(path: Path, shown: str, start: int, walked: Walked, first_party: FirstParty) -> None:
    """Follow the pickle that an array of objects is."""
    with open_source(path, shown) as (source, _):
        source.skip(start)
        found = walk(source, first_party=first_party)
        if found.raw_arrays or found.files:
            raise source.refused("arrays of joblib's, which numpy does not read")
    walked.names.update({name: at for name, at in found.names.items() if name not in walked.names})
    walked.risks.update({name: one for name, one in found.risks.items() if name not in walked.risks})
