"""A program of `torch.export.save` (.pt2) in; its inputs, outputs and what loading it could run out.

Since PyTorch 2.8 the zip has `models/model.json` with raw weights beside it; before, it had
`serialized_exported_program.json`, with what `torch.save` wrote of weights and example inputs.
`torch_graph` says what of the program may do harm.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lading.core.errors import Issue, ModelError
from lading.core.model import ModelFacts, ModelFile, Risk
from lading.core.signature import Field, Signature
from lading.model import torch_graph
from lading.model.code import FirstParty
from lading.model.plain import any_file, facts_of, only_file
from lading.model.request import Request
from lading.model.torch_needs import WIDENED, needed, sample
from lading.model.torch_walk import follow_zip
from lading.model.zips import names_of, open_zip, read

_NEW, _OLD = "models/model.json", "serialized_exported_program.json"
_PROGRAM = re.compile(r".*/models/[^/]*\.json")
_MOST_PROGRAM_BYTES = 256 << 20
_MOST_PICKLED_BYTES = 1 << 30
_COPIED_BYTES = 1 << 20
_CONFIGS = ("_weights_config.json", "_constants_config.json")
_DTYPES = {
    1: "uint8",
    2: "int8",
    3: "int16",
    4: "int32",
    5: "int64",
    6: "float16",
    7: "float32",
    8: "float64",
    12: "bool",
    13: "bfloat16",
    28: "uint16",
}
"""torch/_export/serde/schema.py, ScalarType."""


_LOADING = (
    "torch",
    "torch.export.pt2_archive._package",
    "torch.export._unlift",
    "torch._export.serde.serialize",
    "torch._functorch.partitioners",
    "sympy.tensor.tensor",
)
"""What `torch.export.load` imports as it goes: most of a start. Releases that lack one do without it."""
_FIX_NUMBER = "export it again with that number fixed, or given as a tensor"


@dataclass(frozen=True, slots=True)
class Program:
    """What a program tells."""

    signature: Signature
    shapes: tuple[tuple[int, ...], ...]
    """Of the inputs, with the sizes that open ones had when it was exported."""
    dtypes: tuple[str, ...]
    version: str | None
    risks: tuple[Risk, ...]


def is_one(file: ModelFile) -> bool:
    """Tell whether a file is what `torch.export.save` writes, in either layout."""
    return any(one == _OLD or one.endswith(f"/{_NEW}") for one in names_of(file))


def recognise(request: Request) -> bool:
    """Tell whether the path is, or holds, an exported program."""
    return any_file(request, is_one)


def inspect(request: Request) -> ModelFacts:
    """Tell the facts of a program; raise ModelError where it cannot be read."""
    file = only_file(request, is_one, "programs of torch.export")
    program = look(file)
    return facts_of(
        request,
        form="torch_export",
        name="",
        loader="torch_program",
        options={
            "file": file.path,
            "form": "program",
            "inputs": [one.name for one in program.signature.inputs],
            "dtypes": list(program.dtypes),
            "outputs": [one.name for one in program.signature.outputs],
        },
        requirements=needed(program.version),
        modules=_LOADING,
        framework="torch",
        version=program.version,
        signature=program.signature,
        examples=sample(program.signature.inputs, program.shapes),
        risks=program.risks,
    )


def look(file: ModelFile) -> Program:
    """Read a program's graph, and walk the pickles beside it."""
    with open_zip(file.source, file.path) as archive:
        names = [one for one in archive.namelist() if one == _OLD or one.endswith(f"/{_NEW}")]
        if len(names) != 1:
            raise ModelError(
                Issue(file.path, f"holds {len(names)} programs, expected one", "export it again")
            )
        try:
            document = json.loads(read(archive, names[0], _MOST_PROGRAM_BYTES))
            graph = document["graph_module"]["graph"]
            values = graph["tensor_values"]
            specs = document["graph_module"]["signature"]
            takes, gives = _keys(document["graph_module"]["module_call_graph"])
            risks = dict.fromkeys((*torch_graph.risks(file.path, document), *_pickled(archive, file.path)))
            inputs = list(_tensors(specs["input_specs"], "user_input", values, takes))
            outputs = list(_tensors(specs["output_specs"], "user_output", values, gives))
        except (KeyError, IndexError, TypeError, AttributeError, ValueError, RecursionError) as error:
            what = f"its graph has another form than torch.export writes: {error!r}"
            raise ModelError(Issue(file.path, what[:300], "export it again")) from error
    version = document.get("torch_version")
    return Program(
        Signature(tuple(one for one, _, _ in inputs), tuple(one for one, _, _ in outputs)),
        tuple(shape for _, shape, _ in inputs),
        tuple(dtype for _, _, dtype in inputs),
        version.partition("+")[0] if isinstance(version, str) and version[:1].isdigit() else None,
        tuple(risks),
    )


def _tensors(
    specs: list[Mapping[str, Any]], kind: str, values: Mapping[str, Any], keys: Sequence[str]
) -> Iterator[tuple[Field, tuple[int, ...], str]]:
    """List the user's own inputs or outputs that are tensors, by their keys, else by the graph's names."""
    given = [one[kind]["arg"] for one in specs if one.get(kind)]
    if any("as_sym_int" in one or "as_sym_float" in one for one in given if kind == "user_input"):
        raise ModelError(Issue("inputs", "has a number among its inputs that is open", _FIX_NUMBER))
    is_keyed = len(keys) == len(given) and all("as_tensor" in one for one in given)
    for at, one in enumerate(given):
        tensor = one.get("as_tensor")
        if tensor is None:
            continue
        meta = values[str(tensor["name"])]
        name = keys[at] if is_keyed else str(tensor["name"])
        sizes = [_size(size) for size in meta["sizes"]]
        dtype = _DTYPES.get(meta["dtype"])
        if dtype is None:
            raise ModelError(Issue(name, f"has the element type {meta['dtype']}, which cannot be served"))
        shape = tuple(size for size, _ in sizes)
        found = Field("tensor", name, dtype=WIDENED.get(dtype, dtype), shape=shape)
        yield found, tuple(at for _, at in sizes), dtype


def _keys(calls: list[Mapping[str, Any]]) -> tuple[Sequence[str], Sequence[str]]:
    """Return the keys of the one dict that a program takes, and of that which it gives; else none."""
    whole = next((one["signature"] for one in calls if not one["fqn"] and one.get("signature")), None)
    if whole is None:
        return (), ()
    takes, gives = (json.loads(whole[key])[1] for key in ("in_spec", "out_spec"))
    arguments, named = takes["children_spec"]
    is_alone = len(arguments["children_spec"]) == 1 and not named["children_spec"]
    return _of_dict(arguments["children_spec"][0]) if is_alone else (), _of_dict(gives)


def _of_dict(spec: Mapping[str, Any]) -> Sequence[str]:
    is_flat = spec["type"] in {"builtins.dict", "collections.OrderedDict"} and not any(
        one["children_spec"] for one in spec["children_spec"]
    )
    return tuple(map(str, json.loads(spec["context"]))) if is_flat else ()


def _size(size: Mapping[str, Any]) -> tuple[int, int]:
    """Read a length, -1 where it is open, and what it was when the program was exported."""
    if isinstance(size.get("as_int"), int):
        return size["as_int"], size["as_int"]
    hint = (size["as_expr"].get("hint") or {}).get("as_int")
    return -1, hint if isinstance(hint, int) else 1


def _pickled(archive: zipfile.ZipFile, name: str) -> Iterator[Risk]:
    """Walk what `torch.save` wrote into the archive; native code and other objects are risks."""
    told = list(_told(archive))
    for one in archive.infolist():
        if "data/aotinductor/" in one.filename and not one.is_dir():
            yield Risk(name, "aotinductor", f"native code, which is loaded: {one.filename}")
        elif one.filename.endswith(".pt") or one.filename in told:
            yield from _walked(archive, one, name)
    for missing in set(told) - set(archive.namelist()):
        yield Risk(name, missing[:200], "an object that is loaded by pickle")


def _told(archive: zipfile.ZipFile) -> Iterator[str]:
    """List the weights and constants that are said to be pickled."""
    for entry in archive.namelist():
        if not entry.endswith(_CONFIGS):
            continue
        folder = entry.rpartition("/")[0]
        for one in json.loads(read(archive, entry, _MOST_PROGRAM_BYTES))["config"].values():
            path = str(one["path_name"])
            is_object = folder.endswith("/constants") and not path.startswith("tensor_")
            if is_object or one.get("use_pickle") is not False:
                yield path if is_object else f"{folder}/{path}"


def _walked(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str) -> Iterator[Risk]:
    where = f"{name}:{entry.filename}"
    if entry.file_size > _MOST_PICKLED_BYTES:
        yield Risk(where, entry.filename, "a pickle that is too large to be looked at")
        return
    with tempfile.TemporaryFile() as copy:
        with archive.open(entry) as stream:
            shutil.copyfileobj(stream, copy, _COPIED_BYTES)
        if not copy.tell():
            return
        try:
            yield from follow_zip(copy, where, FirstParty()).walked.risks.values()
        except ModelError as error:
            what = f"a pickle that cannot be followed: {error.issues[0].what}"
            yield Risk(where, entry.filename, what)
