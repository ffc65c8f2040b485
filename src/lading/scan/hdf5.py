"""What pickles within HDF5 name, where the data are not compressed: a piece in, findings out.

PyTables, and with it pandas, unpickles attributes and arrays of objects. Where they begin and end cannot be
told without following the whole file, so that names are looked for as pickle writes them.
"""

from __future__ import annotations

import _compat_pickle
import re
import sys
from collections.abc import Iterator

from lading.core.scan import Finding, Policy
from lading.model import hdf5
from lading.model.allowlist import allowed_names
from lading.scan import rules
from lading.scan.piece import Piece

_CHUNK_BYTES = 8 << 20
_LONGEST_BYTES = 600
"""Two names and what stands between them."""
_NAME = rb"([A-Za-z_][\w.]*)"
_TEXT = rb"(?:\x8c(.)|X(.)\0\0\0)" + _NAME + rb"(?:\x94|q.|r....|p\d+\n)?"
_GLOBAL = re.compile(rb"[ci]" + _NAME + rb"\n" + _NAME + rb"\n")
_STACK_GLOBAL = re.compile(_TEXT + _TEXT + rb"\x93", re.DOTALL)
_OTHERS = """
__builtin__ commands nt cffi cloudpickle dill IPython joblib keras lightgbm matplotlib mlflow numpy pandas pip
pkg_resources requests scipy setuptools sklearn statsmodels tensorflow torch xgboost
"""
_ROOTS = frozenset((*sys.stdlib_module_names, *_OTHERS.split()))
"""Lines of texts look as names do; what is named so has to be of one of these."""


def of_pickles(piece: Piece, policy: Policy) -> Iterator[Finding]:
    """Tell the names that are not on the list, or that the policy denies."""
    if hdf5.start_of(piece.path) is None:
        return
    seen = set()
    for at, module, name in _names(piece):
        if (module, name) in seen:
            continue
        seen.add((module, name))
        told = f"{module}.{name}"
        where = f"{piece.name}:{at}"
        if (module, name) not in allowed_names():
            why = "named by a pickle within, and not on the list of what is safe to name"
            yield Finding(rules.PICKLE, piece.file, where, told, why)
        elif policy.denies(told):
            yield Finding(rules.DENIED, piece.file, where, told, "denied by the policy")


def _names(piece: Piece) -> Iterator[tuple[int, str, str]]:
    """List what looks like a name in a pickle, with its place."""
    kept, base = b"", 0
    with piece.path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            data = kept + chunk
            for found in _GLOBAL.finditer(data):
                if found[1].partition(b".")[0].decode() in _ROOTS:
                    yield base + found.start(), *_renamed(found[1].decode(), found[2].decode())
            for found in _STACK_GLOBAL.finditer(data):
                first, second = found[1] or found[2], found[4] or found[5]
                if first[0] == len(found[3]) and second[0] == len(found[6]):
                    yield base + found.start(), found[3].decode(), found[6].decode()
            kept = data[-_LONGEST_BYTES:]
            base += len(data) - len(kept)


def _renamed(module: str, name: str) -> tuple[str, str]:
    """Return what a name of Python 2 is now, as pickle has it."""
    found: tuple[str, str] = _compat_pickle.NAME_MAPPING.get(
        (module, name), (_compat_pickle.IMPORT_MAPPING.get(module, module), name)
    )
    return found
