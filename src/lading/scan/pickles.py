"""What a pickle, or an array of numpy's with one inside, names: pieces in, findings out."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterator

from lading.core.errors import ModelError
from lading.core.scan import Finding, Policy
from lading.model.compression import open_source
from lading.model.sniff import could_be_loaded
from lading.model.source import Source
from lading.model.walk import walk_leniently
from lading.scan import rules
from lading.scan.archives import unreadable
from lading.scan.piece import Piece, spooled

_NPY = b"\x93NUMPY"
_LONGEST_HEADER_BYTES = 1 << 20
_NUMBERS = re.compile(r"[<>|=]?(?:\?|[bBiufcSaUVmM])(\d*)(?:\[\d*[A-Za-z]+\])?")
"""What holds numbers or texts, as numpy spells it (`numpy.lib.format.dtype_to_descr`)."""


def is_pickle(piece: Piece) -> bool:
    """Tell whether pickle could load it, or its name asks for that."""
    return could_be_loaded(piece.model_file)


def of_pickle(piece: Piece, policy: Policy) -> Iterator[Finding]:
    """Follow a pickle, or several one behind the other."""
    try:
        with open_source(piece.path, piece.name) as (source, _):
            yield from _followed(piece, source, policy)
    except ModelError as error:
        yield unreadable(piece, error.issues[0].where, error.issues[0].what)


def is_array(piece: Piece) -> bool:
    """Tell whether it is an array in numpy's own format (numpy.lib.format)."""
    return piece.start(len(_NPY)) == _NPY


def of_array(piece: Piece, policy: Policy) -> Iterator[Finding]:
    """Follow arrays, one behind the other, and the pickles in those of objects; others hold numbers."""
    try:
        with open_source(piece.path, piece.name) as (source, _):
            while source.ensure(len(_NPY)) and source.data.startswith(_NPY, source.index):
                if not _skip_numbers(source):
                    yield from _followed(piece, source, policy)
                    return
            if not source.at_end():
                # whoever reads on from there may take it for a pickle
                yield from _behind(piece, source, policy)
    except ModelError as error:
        yield unreadable(piece, error.issues[0].where, error.issues[0].what)
    except (ValueError, SyntaxError, KeyError, TypeError, RecursionError, MemoryError) as error:
        yield unreadable(piece, piece.name, f"an array whose header cannot be read: {error}")


def _skip_numbers(source: Source) -> bool:
    """Go past an array; tell whether it holds numbers, and not objects, which stop behind its header."""
    version = source.take(8)[6]
    size_bytes = int.from_bytes(source.take(2 if version == 1 else 4), "little")
    if size_bytes > _LONGEST_HEADER_BYTES:
        raise source.refused("a header of implausible length")
    header = ast.literal_eval(source.take(size_bytes).decode("utf-8", "replace").strip())
    item_bytes = _item_bytes(header["descr"])
    if item_bytes is None:
        return False
    shape = header["shape"]
    if not all(isinstance(one, int) and one >= 0 for one in shape):
        raise source.refused(f"got the shape {shape!r}, expected sizes")
    source.skip(math.prod(shape) * item_bytes)
    return True


def _item_bytes(descr: object) -> int | None:
    """Return the size of an element; None where it could be, or hold, an object.

    numpy takes `object`, `O` and more for the same thing, so that only what it writes for others counts.
    """
    if isinstance(descr, str):
        found = _NUMBERS.fullmatch(descr)
        if found is None:
            return None
        kind = descr.lstrip("<>|=")[0]
        return int(found[1] or {"?": 1, "b": 1, "B": 1, "U": 0, "S": 0, "V": 0, "a": 0}.get(kind, 8)) * (
            4 if kind == "U" else 1
        )
    if not isinstance(descr, list):
        return None
    total = 0
    for _, kind, *shape in descr:
        inner = _item_bytes(kind)
        if inner is None:
            return None
        sizes = shape[0] if shape else ()
        total += inner * abs(math.prod(sizes if isinstance(sizes, tuple) else (sizes,)))
    return total


def _behind(piece: Piece, source: Source, policy: Policy) -> Iterator[Finding]:
    at = source.position
    with piece.path.open("rb") as stream:
        stream.seek(at)
        read = stream.read
        with spooled(piece, f"behind {at}", read(1 << 18), read, piece.limit_bytes()) as rest:
            if is_pickle(rest):
                yield from of_pickle(rest, policy)


def _followed(piece: Piece, source: Source, policy: Policy) -> Iterator[Finding]:
    # a small file may hold a large pickle: what following one may take is measured by what lies on disk
    source.file_size_bytes = min(source.file_size_bytes, piece.room.file_bytes)
    source.old_texts = True
    walked, stopped = walk_leniently(source)
    piece.room.take(walked.held_bytes // 2, piece.name)
    for risk in walked.risks.values():
        yield Finding(rules.PICKLE, piece.file, risk.where, risk.name, risk.why)
    for (module, name), at in walked.names.items():
        # what the list allows, the policy may deny
        if f"{module}.{name}" not in walked.risks and policy.denies(f"{module}.{name}"):
            where = f"{piece.name}:{at}"
            yield Finding(rules.DENIED, piece.file, where, f"{module}.{name}", "denied by the policy")
    if stopped:
        yield unreadable(piece, stopped.where, stopped.what)
