"""An estimator in a file of skops: its tree of types in, `ModelFacts` out; nothing is loaded.

The tree is read as what the walk over a pickle leaves, so that the same learnt attributes tell the same.
Every type is trusted by the loader, for what is not known to be safe is a risk, and has to be allowed first.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from typing import Any

from lading.core.errors import Issue, ModelError
from lading.core.model import ModelFacts, ModelFile
from lading.model import skops
from lading.model.allowlist import allowed_names
from lading.model.distributions import installed_version, pickled_requirements
from lading.model.estimator import describe
from lading.model.npy import read_header
from lading.model.plain import (
    any_file,
    facts_of,
    library,
    only_file,
    requirements_beside,
    start_of,
    truths_of,
)
from lading.model.request import Request
from lading.model.symbols import UNKNOWN, Array, Dtype, Global, Instance, Symbol

_MOST_HEADERS = 2000
"""Arrays that are looked at for their types: classes and categories are few, trees may be many."""


def recognise(request: Request) -> bool:
    """Tell whether the path is, or holds, a file of skops."""
    return any_file(request, is_one)


def inspect(request: Request) -> ModelFacts:
    """Tell the facts of the one file of skops; raise ModelError for several, or a broken one."""
    file = only_file(request, is_one, "files of skops")
    found = skops.inspect(file)
    with zipfile.ZipFile(file.source) as archive:
        top = _Reader(archive).symbol(skops.schema(file))
    estimator = describe(top)
    if estimator is None:
        what = f"holds a {found.name}, not an estimator"
        raise ModelError(Issue(file.path, what, "save the estimator alone"))
    version = estimator.version
    modules = {one for one in found.modules if not request.first_party.has(one)}
    modules |= {"pandas"} if estimator.needs_pandas else set()
    pins = {"scikit-learn": f"=={version}"} if version else {}
    is_here = version is not None and version == installed_version("scikit-learn")
    needed = pickled_requirements(modules, pins, trained_here=is_here)
    kind = "sklearn" if estimator.module.startswith("sklearn.") else estimator.module.partition(".")[0]
    return facts_of(
        request,
        form="skops",
        name=f"{kind} {estimator.name}",
        loader="pickle",
        options={
            "file": file.path,
            "method": estimator.method,
            "serialization": "skops",
            "trusted_types": list(found.types),
            **truths_of(estimator.signature),
        },
        requirements=(library("skops", found.version), *needed.requirements),
        modules=found.modules,
        framework="scikit-learn",
        version=version,
        signature=estimator.signature,
        risks=found.risks,
        notes=(f"skops {found.version}", f"{len(found.types)} types"),
        missing=() if requirements_beside(request.path) else needed.unknown,
        saved_with=tuple(f"{name}{text}" for name, text in pins.items()),
    )


def is_one(file: ModelFile) -> bool:
    """Tell whether a file is one of skops: a zip with a schema."""
    if not start_of(file, 4).startswith(b"PK"):
        return False
    try:
        with zipfile.ZipFile(file.source) as archive:
            return "schema.json" in archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False


class _Reader:
    """The nodes of a tree as the symbols of what they stand for."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._left = _MOST_HEADERS
        self._known: dict[object, Symbol] = {}

    def symbol(self, node: object) -> Symbol:
        """Read a node; what is of no interest is unknown. Nodes that are used twice are read once."""
        if not isinstance(node, dict):
            return UNKNOWN
        if node.get("__loader__") == "CachedNode":
            return self._known.get(node.get("__id__"), UNKNOWN)
        found = self._read(node)
        self._known[node.get("__id__")] = found
        return found

    def _read(self, node: Mapping[str, Any]) -> Symbol:
        content = node.get("content")
        loader = node.get("__loader__")
        if loader == "JsonNode" and isinstance(content, str):
            return json.loads(content)
        if loader in {"ListNode", "TupleNode"} and isinstance(content, list):
            items = [self.symbol(one) for one in content]
            return tuple(items) if loader == "TupleNode" else items
        if loader in {"DictNode", "_DictWithDeprecatedKeysNode"} and isinstance(content, dict):
            return {str(key): self.symbol(one) for key, one in content.items()}
        if loader == "NdArrayNode":
            return self._array(node)
        if loader == "ObjectNode":
            module, name = str(node.get("__module__")), str(node.get("__class__"))
            made = Instance(Global(module, name, allowed_names().get((module, name))))
            made.state = self.symbol(content)
            return made
        return UNKNOWN

    def _array(self, node: Mapping[str, Any]) -> Array:
        content, name = node.get("content"), node.get("file")
        if isinstance(content, list):
            array = Array(Dtype("O8", 8, holds_objects=True), (len(content),))
            array.items = [self.symbol(one) for one in content]
            return array
        self._left -= 1
        return self._header(name) if isinstance(name, str) and self._left >= 0 else Array()

    def _header(self, name: str) -> Array:
        """Read what stands before an array's bytes (numpy/lib/format.py); nothing where it is none."""
        try:
            with self._archive.open(name) as stream:
                header = read_header(stream)
        except (KeyError, ValueError, OSError, RuntimeError, zipfile.BadZipFile):
            return Array()
        if header.kind is None:
            return Array()
        letter, size = header.kind
        dtype = Dtype(f"{letter}{size}", size * 4 if letter == "U" else size, holds_objects=False)
        return Array(dtype, header.shape)
