"""A file of safetensors in; how many tensors it holds, of which types, out. Of the weights nothing is read.

The file is the length of a header (eight bytes), the header (JSON: `{name: {"dtype", "shape",
"data_offsets"}}`) and the tensors' bytes. Large models have several files and an index,
`….safetensors.index.json`, of which tensor is where.
"""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import Any

from lading.core.errors import Issue, ModelError
from lading.core.model import ModelFacts, ModelFile
from lading.model.files import read_text
from lading.model.plain import any_file
from lading.model.request import Request
from lading.model.torch_walk import Weights

_LENGTH_BYTES = 8
_MOST_HEADER_BYTES = 100_000_000
"""What the library itself allows."""
_MOST_INDEX_BYTES = 64 << 20
_INDEX = ".safetensors.index.json"
_DTYPES = {
    "BF16": "bfloat16",
    "BOOL": "bool",
    "C64": "complex64",
    **{f"F{bits}": f"float{bits}" for bits in (16, 32, 64)},
    **{
        f"{sign}{bits}": f"{name}{bits}"
        for sign, name in (("I", "int"), ("U", "uint"))
        for bits in (8, 16, 32, 64)
    },
}
_FIX = (
    "add the code that makes the model and loads them: --code FOLDER, with an inference routine "
    "(docs/formats.md shows one)"
)


def is_one(file: ModelFile) -> bool:
    """Tell whether a file begins as one of safetensors does, and is as long as its header says at least."""
    try:
        with file.source.open("rb") as stream:
            start = stream.read(_LENGTH_BYTES + 2)
    except OSError:
        return False
    size = int.from_bytes(start[:_LENGTH_BYTES], "little")
    return start[_LENGTH_BYTES:] in {b'{"', b"{}", b"{ "} and 2 <= size <= file.size_bytes - _LENGTH_BYTES


def recognise(request: Request) -> bool:
    """Tell whether the path is, or holds, tensors alone."""
    return any_file(request, is_one)


def inspect(request: Request) -> ModelFacts:
    """Raise ModelError: weights are no model before there is code that loads them."""
    files = [one for one in request.files if is_one(one)]
    if absent := missing(request.files):
        raise ModelError(*absent)
    total = Weights()
    for one in files:
        total.join(look(one))
    raise ModelError(bare(str(request.path), total))


def bare(where: str, weights: Weights) -> Issue:
    """Say what weights lack to be a model."""
    return Issue(where, f"holds weights alone ({weights}), and nothing that makes a model of them", _FIX)


def look(file: ModelFile) -> Weights:
    """Read a file's header; raise ModelError where it is broken."""
    weights = Weights()
    try:
        header, bytes_left = _header(file)
        at = 0
        for name, one in header.items():
            if name != "__metadata__":
                shape = tuple(int(length) for length in one["shape"])
                weights.add(_DTYPES.get(one["dtype"], str(one["dtype"]).lower()), shape)
                at = max(at, int(one["data_offsets"][1]))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError, OSError) as error:
        raise _broken(file.path, f"{error}" or repr(error)) from error
    if at != bytes_left:
        raise _broken(file.path, f"it has {bytes_left} bytes of tensors, its header says {at}")
    return weights


def _header(file: ModelFile) -> tuple[dict[str, Any], int]:
    """Read the header; return it, and how many bytes are behind it."""
    with file.source.open("rb") as stream:
        size = int.from_bytes(stream.read(_LENGTH_BYTES), "little")
        left = file.size_bytes - size - _LENGTH_BYTES
        if size > _MOST_HEADER_BYTES or left < 0:
            raise ValueError(f"its header has {size} bytes, which is more than there can be")
        header = json.loads(stream.read(size))
    if not isinstance(header, dict):
        raise TypeError("its header is no object")
    return header, left


def missing(files: tuple[ModelFile, ...]) -> list[Issue]:
    """List the files that an index names and that are not there."""
    names = {one.path for one in files}
    issues = []
    for index in (one for one in files if one.path.endswith(_INDEX)):
        folder = PurePosixPath(index.path).parent
        absent = sorted({one for one in _shards(index) if (folder / one).as_posix() not in names})
        if absent:
            listed = ", ".join(map(repr, absent[:5]))
            issues.append(Issue(index.path, f"names what is not there: {listed}", "copy the whole folder"))
    return issues


def _shards(index: ModelFile) -> set[str]:
    text = read_text(index.source, index.path, _MOST_INDEX_BYTES)
    try:
        return {str(one) for one in json.loads(text)["weight_map"].values()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OSError) as error:
        raise ModelError(
            Issue(index.path, f"is no index of safetensors: {error}", "save it again")
        ) from error


def _broken(path: str, why: str) -> ModelError:
    return ModelError(Issue(path, f"is a broken file of safetensors: {why}"[:300], "copy or save it again"))
