"""A file of skops: a path goes in, the types that it names come out, and those that are not safe to load.

The file is a zip of numpy files and one `schema.json`, a tree of nodes that name a class and a loader. Every
class has to be on the allow-list of pickles: skops asks the caller, MLflow answers with what the model says.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lading.core.errors import Issue, ModelError
from lading.core.model import ModelFile, Risk
from lading.model.allowlist import allowed_names

_LONGEST_SCHEMA_BYTES = 64 << 20
_LOADERS = frozenset(
    {
        "BytearrayNode",
        "BytesNode",
        "CachedNode",
        "DTypeNode",
        "DefaultDictNode",
        "DictNode",
        "FunctionNode",
        "JsonNode",
        "ListNode",
        "LossNode",
        "MaskedArrayNode",
        "NdArrayNode",
        "ObjectNode",
        "RandomGeneratorNode",
        "RandomStateNode",
        "SetNode",
        "SliceNode",
        "SparseMatrixNode",
        "TreeNode",
        "TupleNode",
        "TypeNode",
        "_DictWithDeprecatedKeysNode",
    }
)
"""The loaders that make data; the others bind arguments or look methods up."""
_NUMPY = {("numpy.random.mtrand", "RandomState"), ("numpy.random._generator", "Generator")}


@dataclass(frozen=True, slots=True)
class SkopsFile:
    """What a file of skops names."""

    name: str
    """The class of what is loaded."""
    version: str
    types: tuple[str, ...]
    modules: tuple[str, ...]
    risks: tuple[Risk, ...]


def inspect(file: ModelFile) -> SkopsFile:
    """Read the tree of types; raise ModelError where the file is no such zip."""
    return of_schema(schema(file), f"{file.path}:schema.json")


def of_schema(tree: dict[str, Any], where: str) -> SkopsFile:
    """Walk a tree of types."""
    allowed = allowed_names()
    types: set[str] = set()
    modules: set[str] = set()
    risks: dict[str, Risk] = {}
    for node in _nodes(tree):
        module, cls, loader = (str(node.get(key)) for key in ("__module__", "__class__", "__loader__"))
        names = [f"{module}.{cls}"]
        why = None
        if loader not in _LOADERS:
            why = f"loaded by {loader}, which can call functions"
            content = node.get("content")
            if loader == "MethodNode" and isinstance(content, dict):
                names.append(f"{module}.{cls}.{content.get('func')}")
        elif (module, cls) not in allowed and (module, cls) not in _NUMPY and loader != "JsonNode":
            why = "named while loading, and not on the list of what is safe to name"
        types.update(names)
        modules.add(module)
        if why:
            risks.update({name: Risk(where, name, why) for name in names})
    version = str(tree.get("_skops_version"))
    return SkopsFile(
        str(tree.get("__class__")),
        version,
        tuple(sorted(types)),
        tuple(sorted(modules)),
        tuple(risks.values()),
    )


def schema(file: ModelFile) -> dict[str, Any]:
    """Read the tree of types; raise ModelError where the file is no such zip."""
    import zipfile

    try:
        with zipfile.ZipFile(file.source) as archive:
            entries = [one for one in archive.infolist() if one.filename == "schema.json"]
            if len(entries) != 1 or entries[0].file_size > _LONGEST_SCHEMA_BYTES:
                raise ModelError(Issue(file.path, "no skops file: expected one schema.json of bounded size"))
            with archive.open(entries[0]) as stream:
                tree = json.loads(stream.read(_LONGEST_SCHEMA_BYTES))
    except (
        zipfile.BadZipFile,
        OSError,
        ValueError,
        RuntimeError,
        NotImplementedError,
        RecursionError,
    ) as error:
        raise ModelError(Issue(file.path, f"no skops file: {error}", "save the model again")) from error
    if not isinstance(tree, dict):
        raise ModelError(Issue(file.path, "no skops file: schema.json is no object"))
    return tree


def _nodes(schema: object) -> Iterator[dict[str, Any]]:
    """Visit every object of the tree that names a class."""
    queue = [schema]
    while queue:
        one = queue.pop()
        if isinstance(one, dict):
            if "__class__" in one or "__module__" in one or "__loader__" in one:
                yield one
            queue.extend(one.values())
        elif isinstance(one, list):
            queue.extend(one)
