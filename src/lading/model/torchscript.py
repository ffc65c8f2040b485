"""A program of TorchScript (`torch.jit.save`) in; what `forward` takes and gives, and what it may touch, out.

The zip has the program as text (`code/…`), its attributes (`data.pkl`) and, where it was traced, the inputs
that it was traced with. PyTorch reads its pickles by a machine of its own, which makes tensors and the
program's own classes alone.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass

from lading.core.errors import Issue, ModelError
from lading.core.model import ModelFacts, ModelFile, Risk
from lading.core.signature import Field, Signature
from lading.model.code import FirstParty
from lading.model.plain import any_file, facts_of, library, only_file
from lading.model.request import Request
from lading.model.source import Source
from lading.model.symbols import Instance
from lading.model.torch_needs import WIDENED, needed, sample
from lading.model.torch_walk import KnownTensor, Torch
from lading.model.walk import Walked
from lading.model.zips import EntryStream, names_of, open_zip, read

_MOST_CODE_BYTES = 64 << 20
_START_BYTES = 4096
_TOP = re.compile(rb"\x80\x02c__torch__\.?([\w.]*)\n(\w+)\n")
_FORWARD = r"^class {name}\((?:Module)\):\n(?:(?!^class |^def ).*\n)*?  def forward\((.*?)\) -> (.*?):\n"
_FILES = re.compile(r"\.(save|from_file)\b")
_HIDDEN = re.compile(r"""["'](save|from_file)["']|\\[xuU0-7]|\w["']\s*["']\w""")
"""How a text could hide such a name from sight, where `getattr` looks names up."""
_OPS = re.compile(r"\bops\.(\w+)\.(\w+)")
_CLASSES = re.compile(r"\b__torch__\.torch\.classes\.(\w+)\.(\w+)")
_OWN_OPS = frozenset(
    {
        "aten",
        "prim",
        "prims",
        "quantized",
        "_quantized",
        "sparse",
        "mkldnn",
        "onednn",
        "inductor",
        "static_runtime",
    }
)
_LIBRARIES = {"torchvision": "torchvision", "image": "torchvision", "torchaudio": "torchaudio"}
"""Namespaces of operators → the distribution and module that brings them."""
_OWN_CLASSES = frozenset({"quantized", "sparse", "mkldnn", "xnnpack", "profiler"})


@dataclass(frozen=True, slots=True)
class Script:
    """What a program tells: `takes` and `gives` are names and types, as TorchScript writes them."""

    name: str
    takes: tuple[tuple[str, str], ...]
    gives: str
    traced: tuple[KnownTensor, ...] | None
    risks: tuple[Risk, ...]
    libraries: tuple[str, ...]


def is_one(file: ModelFile) -> bool:
    """Tell whether a file is a program of TorchScript."""
    names = names_of(file)
    return any(one.endswith("/constants.pkl") for one in names) and any("/code/" in one for one in names)


def recognise(request: Request) -> bool:
    """Tell whether the path is, or holds, a program of TorchScript."""
    return any_file(request, is_one)


def inspect(request: Request) -> ModelFacts:
    """Tell the facts of a program; raise ModelError where it cannot be read."""
    file = only_file(request, is_one, "programs of TorchScript")
    script = look(file)
    signature = _signature(script)
    takes = ", ".join(f"{name}: {kind}" for name, kind in script.takes)
    examples = (
        () if signature is None else sample(signature.inputs, [one.shape for one in script.traced or ()])
    )
    return facts_of(
        request,
        form="torchscript",
        name=script.name,
        loader="torch_program",
        options={
            "file": file.path,
            "form": "script",
            "inputs": [name for name, kind in script.takes if kind == "Tensor"],
            **({"dtypes": [one.dtype for one in script.traced or ()]} if signature else {}),
            **({"imports": list(script.libraries)} if script.libraries else {}),
        },
        requirements=(*needed(None), *(library(one, None) for one in script.libraries)),
        modules=("torch", *script.libraries),
        framework="torch",
        signature=signature,
        risks=script.risks,
        examples=examples,
        notes=(f"forward({takes}) -> {script.gives}", "traced" if script.traced is not None else "scripted"),
    )


def look(file: ModelFile) -> Script:
    """Read a program's text and the inputs that it was traced with."""
    with open_zip(file.source, file.path) as archive:
        prefix = archive.namelist()[0].partition("/")[0]
        if any(not one.startswith(f"{prefix}/") for one in archive.namelist()):
            raise ModelError(Issue(file.path, "holds two programs, one beside the other", "save it again"))
        with archive.open(f"{prefix}/data.pkl") as stream:
            top = _TOP.match(stream.read(_START_BYTES))
        if top is None:
            raise ModelError(Issue(file.path, "its pickle does not begin with a class of TorchScript"))
        module, name = top[1].decode().strip("."), top[2].decode()
        code = dict(_code(archive, prefix, file.path))
        place = "/".join(("__torch__", *filter(None, module.split("."))))
        takes, gives = _forward(code.get(f"{place}.py", ""), name)
        libraries = _libraries(code)
        return Script(
            re.sub(r"^___torch_mangle_\d+\.", "", name),
            takes,
            gives,
            _traced(archive, prefix, file.path),
            tuple(_risks(file.path, code)),
            tuple(sorted(libraries)),
        )


def _code(archive: zipfile.ZipFile, prefix: str, name: str) -> Iterator[tuple[str, str]]:
    left = _MOST_CODE_BYTES
    for one in archive.namelist():
        if one.startswith(f"{prefix}/code/") and one.endswith(".py"):
            data = read(archive, one, left)
            left -= len(data)
            try:
                yield one.removeprefix(f"{prefix}/code/"), data.decode()
            except UnicodeDecodeError as error:
                raise ModelError(
                    Issue(f"{name}:{one}", "is no UTF-8 text", "save the model again")
                ) from error


def _forward(code: str, name: str) -> tuple[tuple[tuple[str, str], ...], str]:
    """Find the method of a class in its file; nothing where it has another shape."""
    found = re.search(_FORWARD.format(name=re.escape(name)), code, re.MULTILINE | re.DOTALL)
    if found is None:
        return (), "?"
    takes = []
    for one in _split(found[1])[1:]:
        argument, _, kind = one.partition(":")
        takes.append((argument.strip(), kind.strip()))
    return tuple(takes), " ".join(found[2].split())


def _split(text: str) -> list[str]:
    """Split at the commas that stand outside of brackets."""
    depth, pieces, start = 0, [], 0
    for at, letter in enumerate(text):
        depth += (letter in "[(") - (letter in "])")
        if letter == "," and not depth:
            pieces.append(text[start:at])
            start = at + 1
    return [one for one in (*pieces, text[start:]) if one.strip()]


def _risks(name: str, code: dict[str, str]) -> Iterator[Risk]:
    """List what could write or read files, or is native code of somebody else's."""
    for place, text in code.items():
        where = f"{name}:{place}"
        for found in _FILES.finditer(text):
            why = "writes a file" if found[1] == "save" else "reads a file"
            yield Risk(where, f"aten::{found[1]}", f"an operator that {why} when the model is asked")
        if "getattr" in text and _HIDDEN.search(text):
            yield Risk(where, "getattr", "looks up by a text what could be any operator")
        for found in _OPS.finditer(text):
            if found[1] not in _OWN_OPS and found[1] not in _LIBRARIES:
                why = "an operator of a library that is not known here: its own code loads it"
                yield Risk(where, f"{found[1]}::{found[2]}", why)
        for found in _CLASSES.finditer(text):
            if found[1] not in _OWN_CLASSES:
                yield Risk(
                    f"{name}:{place}", f"{found[1]}.{found[2]}", "a class of native code not known here"
                )


def _libraries(code: dict[str, str]) -> set[str]:
    return {
        _LIBRARIES[found[1]]
        for text in code.values()
        for found in _OPS.finditer(text)
        if found[1] in _LIBRARIES
    }


def _traced(archive: zipfile.ZipFile, prefix: str, name: str) -> tuple[KnownTensor, ...] | None:
    """Read what tensors `forward` was traced with; None where it was not, or with more than tensors."""
    try:
        with archive.open(f"{prefix}/traced_inputs.pkl") as stream:
            source = Source(EntryStream(stream), f"{name}:traced_inputs.pkl", 1 << 20)
            machine = Torch(source, Walked(), FirstParty())
            top = machine.follow().walked.top
    except (KeyError, ModelError):
        return None
    by_method = _untagged(top)
    given = _untagged(by_method.get("forward")) if isinstance(by_method, dict) else None
    if not isinstance(given, list) or not all(isinstance(one, KnownTensor) for one in given):
        return None
    return tuple(given)


def _untagged(symbol: object) -> object:
    """Look behind `restore_type_tag(value, type)`."""
    return symbol.arguments[0] if isinstance(symbol, Instance) and symbol.arguments else symbol


def _signature(script: Script) -> Signature | None:
    """Tell types where it was traced; a scripted program's tensors may be of any."""
    if script.traced is None or len(script.traced) != len(script.takes):
        return None
    # a trace holds for other lengths mostly: only how many there are is kept
    inputs = tuple(
        Field("tensor", name, dtype=WIDENED.get(one.dtype, one.dtype), shape=(-1,) * len(one.shape))
        for (name, _), one in zip(script.takes, script.traced, strict=True)
        if one.dtype != "unknown"
    )
    return Signature(inputs) if len(inputs) == len(script.takes) else None
