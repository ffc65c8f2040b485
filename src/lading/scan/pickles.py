"""What a pickle, or an array of numpy's with one inside, names: pieces in, findings out."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from lading.core.errors import ModelError
from lading.core.scan import Finding, Policy
from lading.model.compression import open_source
from lading.model.sniff import could_be_loaded
from lading.model.source import Source
from lading.model.walk import walk_leniently
from lading.scan import rules
from lading.scan.archives import unreadable
from lading.scan.piece import Piece

_NPY = b"\x93NUMPY"
_LONGEST_HEADER_BYTES = 1 << 20


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
    """Follow the pickle in an array of objects; any other holds numbers."""
    try:
        with open_source(piece.path, piece.name) as (source, _):
            version = source.take(8)[6]
            size_bytes = int.from_bytes(source.take(2 if version == 1 else 4), "little")
            if size_bytes > _LONGEST_HEADER_BYTES:
                raise source.refused("a header of implausible length")
            header = ast.literal_eval(source.take(size_bytes).decode("utf-8", "replace").strip())
            if "O" in repr(header["descr"]):
                yield from _followed(piece, source, policy)
    except ModelError as error:
        yield unreadable(piece, error.issues[0].where, error.issues[0].what)
    except (ValueError, SyntaxError, KeyError, TypeError, RecursionError, MemoryError) as error:
        yield unreadable(piece, piece.name, f"an array whose header cannot be read: {error}")


def _followed(piece: Piece, source: Source, policy: Policy) -> Iterator[Finding]:
    walked, stopped = walk_leniently(source)
    for risk in walked.risks.values():
        yield Finding(rules.PICKLE, piece.file, risk.where, risk.name, risk.why)
    for (module, name), at in walked.names.items():
        # what the list allows, the policy may deny
        if f"{module}.{name}" not in walked.risks and policy.denies(f"{module}.{name}"):
            where = f"{piece.name}:{at}"
            yield Finding(rules.DENIED, piece.file, where, f"{module}.{name}", "denied by the policy")
    if stopped:
        yield unreadable(piece, stopped.where, stopped.what)
