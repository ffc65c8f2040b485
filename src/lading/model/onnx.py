"""An ONNX graph (onnx.proto3): its file, or a folder with its weights beside it, in; facts out.

It has no magic number, so its fields are walked: of the weights nothing is read but their names and where
they lie. What is not operators of ONNX or ONNX Runtime is a library of native code, and a risk.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from lading.core.datatypes import ONNX
from lading.core.errors import Issue, ModelError
from lading.core.model import ModelFacts, ModelFile, Requirement, Risk
from lading.core.signature import Field, Signature
from lading.model.flavour import Flavour, Lean
from lading.model.plain import any_file, facts_of, library, of_known_rank, only_file, start_of
from lading.model.protobuf import Data, Span, fields, number, part, parts, text
from lading.model.request import Request

_IR_VERSION, _PRODUCER, _PRODUCER_VERSION, _GRAPH, _OPSET, _FUNCTION = 1, 2, 3, 7, 8, 25
_OF_MODEL = frozenset({*range(1, 9), 14, 20, 25, 26})
_NODE, _INITIALIZER, _INPUT, _OUTPUT, _SPARSE = 1, 5, 11, 12, 15
_OPERATOR, _ATTRIBUTE, _DOMAIN = 4, 5, 7
_OF_ATTRIBUTE = {"tensor": (5, 10), "graph": (6, 11)}
_NAME, _TYPE, _TENSOR, _OPTIONAL = 1, 2, 1, 9
_TENSOR_NAME, _EXTERNAL = 8, 13
_FUNCTION_NAME, _FUNCTION_NODE, _FUNCTION_DOMAIN = 1, 7, 10
_BFLOAT16 = 16
_EXTENSIONS = frozenset({"ai.onnx.contrib", "com.microsoft.extensions"})
"""Operators of the distribution onnxruntime-extensions: tokenizers, decoders of images and sound."""
_KNOWN = frozenset(
    {
        *("", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview", "ai.onnx.preview.training"),
        *("com.microsoft", "com.microsoft.experimental", "com.microsoft.nchwc", "com.ms.internal.nhwc"),
    }
)
_DEEPEST = 30


@dataclass(slots=True)
class _Told:
    """What the walk has found."""

    domains: dict[str, dict[str, None]] = field(default_factory=dict)
    """Domains of operators, each with its operators in order."""
    weights: dict[str, int] = field(default_factory=dict)
    """Files of weights, and how far they are read."""
    own: set[tuple[str, str]] = field(default_factory=set)
    """Functions that the file defines, by domain and name."""


def recognise(request: Request) -> bool:
    """Tell whether the path is, or holds, an ONNX graph."""
    return any_file(request, is_one)


def inspect(request: Request) -> ModelFacts:
    """Tell the facts of the one graph; raise ModelError for several, a broken one, or weights that lack."""
    file = only_file(request, is_one, "ONNX graphs")
    told = _Told()
    try:
        with _mapped(file.source) as data:
            found = _of_graph(data)
            _walk_model(data, told)
            notes = (*_notes(data), *_of_any_rank(found))
    except (ValueError, IndexError, OSError, RecursionError) as error:
        raise ModelError(Issue(file.path, f"is no ONNX file: {error}", "export it again")) from error
    if issues := list(_lacking(request, file, told)):
        raise ModelError(*issues)
    options: dict[str, Any] = {"file": file.path}
    if "StringNormalizer" in told.domains.get("", ()):
        options["locale"] = True
    requirements = [library("onnxruntime", None)]
    if not _EXTENSIONS.isdisjoint(told.domains):
        options["extensions"] = True
        requirements.append(Requirement("onnxruntime-extensions", "file"))
    return facts_of(
        request,
        form="onnx",
        name="graph",
        loader="onnx",
        options=options,
        requirements=requirements,
        modules=("onnxruntime",),
        framework="onnx",
        signature=of_known_rank(found),
        risks=tuple(_own_operators(file, told)),
        notes=notes,
    )


def risks(file: ModelFile) -> tuple[Risk, ...]:
    """List operators of native code, and weights that lie elsewhere; raise ModelError for a broken file."""
    told = _Told()
    try:
        with _mapped(file.source) as data:
            _walk_model(data, told)
    except (ValueError, IndexError, OSError, RecursionError) as error:
        raise ModelError(Issue(file.path, f"is no ONNX file: {error}", "export it again")) from error
    leads_out = "weights are read from there, which is not beside the model"
    elsewhere = (Risk(file.path, one, leads_out) for one in sorted(told.weights) if _leads_out(one))
    return (*_own_operators(file, told), *elsewhere)


def signature(path: Path) -> Signature | None:
    """Read the graph's inputs and outputs; raise ModelError where the file is none of ONNX's.

    What is no tensor (a sequence of maps, as classifiers give) has the type `any`. None where the inputs may
    have any number of dimensions.
    """
    try:
        with _mapped(path) as data:
            return of_known_rank(_of_graph(data))
    except (ValueError, IndexError, OSError) as error:
        raise ModelError(Issue(path.name, f"is no ONNX file: {error}", "export it again")) from error


def by_mlflow(given: Flavour) -> Lean | None:
    """Load with the providers and settings that MLflow has written down."""
    file = given.file(given.settings.get("data"), given.pyfunc.get("data"))
    if file is None:
        return None
    providers = given.settings.get("providers")
    options: dict[str, Any] = {"file": file}
    if providers:
        options["providers"] = [providers] if isinstance(providers, str) else list(providers)
    if given.settings.get("onnx_session_options"):
        options["session"] = dict(given.settings["onnx_session_options"])
    return Lean("onnx", options, (given.pandas,) if given.has_columns else ())


def _mapped(path: Path) -> mmap.mmap:
    with path.open("rb") as stream:
        return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)


def is_one(file: ModelFile) -> bool:
    """Tell whether all of a file is fields of a model, with a graph among them.

    Readers pass over fields that they do not know, so that a file named as one may have some.
    """
    if PurePosixPath(file.path).suffix.lower() == ".onnx" and _has_graph(file):
        return True
    start = start_of(file, 16)
    # a number of one byte, or a text, as the first of them
    if not start or start[0] >> 3 not in _OF_MODEL or start[0] & 7 not in {0, 2}:
        return False
    try:
        with _mapped(file.source) as data:
            kinds = [(key, type(value)) for key, value in fields(data, (0, len(data)))]
            graph = part(data, (0, len(data)), _GRAPH)
            return (
                (_IR_VERSION, int) in kinds
                and _OF_MODEL.issuperset(key for key, _ in kinds)
                and graph is not None
                and any(key in {_NODE, _OUTPUT} for key, _ in parts(data, graph))
            )
    except (ValueError, IndexError, OSError):
        return False


def _has_graph(file: ModelFile) -> bool:
    try:
        with _mapped(file.source) as data:
            graph = part(data, (0, len(data)), _GRAPH)
            return graph is not None and any(key in {_NODE, _OUTPUT} for key, _ in parts(data, graph))
    except (ValueError, IndexError, OSError):
        return False


def _of_graph(data: Data) -> Signature:
    graph = part(data, (0, len(data)), _GRAPH)
    if graph is None:
        raise ValueError("it has no graph")
    weights = {text(data, span, _TENSOR_NAME) for _, span in parts(data, graph, _INITIALIZER)}
    inputs = (_field(data, span) for _, span in parts(data, graph, _INPUT))
    outputs = (_field(data, span) for _, span in parts(data, graph, _OUTPUT))
    return Signature(tuple(one for one in inputs if one.name not in weights), tuple(outputs))


def _field(data: Data, span: Span) -> Field:
    name, kind = text(data, span, _NAME), part(data, span, _TYPE)
    optional = part(data, kind, _OPTIONAL) if kind else None
    if optional is not None:
        kind = part(data, optional, 1)
    is_required = optional is None
    tensor = part(data, kind, _TENSOR) if kind else None
    if tensor is None:
        return Field("any", name, required=is_required)
    code, shape = 0, None
    for key, value in fields(data, tensor):
        if key == 1 and isinstance(value, int):
            code = value
        elif key == 2 and isinstance(value, tuple):
            shape = tuple(_size(data, one) for _, one in parts(data, value))
    # what numpy has no type for; the loader rounds single precision to bfloat16
    dtype = "float32" if code == _BFLOAT16 else ONNX.get(code)
    if dtype is None:
        return Field("any", name, required=is_required)
    return Field("tensor", name, is_required, dtype, shape)


def _size(data: Data, span: Span) -> int:
    """Return a dimension; -1 where it is open."""
    found = number(data, span, 1)
    return -1 if found is None else found


def dimensions(facts: ModelFacts) -> tuple[str, ...]:
    """Tell the open dimensions that have a name, by field; nothing of other formats."""
    if facts.format != "onnx":
        return ()
    name = facts.loader_options["file"]
    with _mapped(next(one.source for one in facts.files if one.path == name)) as data:
        graph = part(data, (0, len(data)), _GRAPH) or (0, 0)
        known = (
            {one.name for one in (*facts.signature.inputs, *facts.signature.outputs)}
            if facts.signature
            else ()
        )
        return tuple(
            f"{where}.{text(data, span, _NAME)}: the dimension {dim!r} is of any size"
            for where, key in (("inputs", _INPUT), ("outputs", _OUTPUT))
            for _, span in parts(data, graph, key)
            if text(data, span, _NAME) in known
            for dim in _named(data, span)
        )


def _named(data: Data, span: Span) -> Iterator[str]:
    kind = part(data, span, _TYPE)
    optional = part(data, kind, _OPTIONAL) if kind else None
    kind = part(data, optional, 1) if optional else kind
    tensor = part(data, kind, _TENSOR) if kind else None
    shape = part(data, tensor, 2) if tensor else None
    for _, one in parts(data, shape, 1) if shape else ():
        if name := text(data, one, 2):
            yield name


def _walk_model(data: Data, told: _Told) -> None:
    """Look at every operator and at where every weight lies, in functions and inner graphs too."""
    for key, span in parts(data, (0, len(data))):
        if key == _GRAPH:
            _walk(data, span, told, 0)
        elif key == _FUNCTION:
            told.own.add((text(data, span, _FUNCTION_DOMAIN), text(data, span, _FUNCTION_NAME)))
            for _, node in parts(data, span, _FUNCTION_NODE):
                _walk_node(data, node, told, 0)


def _walk(data: Data, graph: Span, told: _Told, depth: int) -> None:
    if depth > _DEEPEST:
        raise ValueError("graphs are nested too deeply")
    for key, span in parts(data, graph):
        if key == _NODE:
            _walk_node(data, span, told, depth)
        elif key == _INITIALIZER:
            _weigh(data, span, told)
        elif key == _SPARSE:
            for _, tensor in parts(data, span):
                _weigh(data, tensor, told)


def _walk_node(data: Data, node: Span, told: _Told, depth: int) -> None:
    told.domains.setdefault(text(data, node, _DOMAIN), {})[text(data, node, _OPERATOR)] = None
    for _, attribute in parts(data, node, _ATTRIBUTE):
        for key, span in parts(data, attribute):
            if key in _OF_ATTRIBUTE["tensor"]:
                _weigh(data, span, told)
            elif key in _OF_ATTRIBUTE["graph"]:
                _walk(data, span, told, depth + 1)


def _weigh(data: Data, tensor: Span, told: _Told) -> None:
    """Note the file that a tensor's numbers lie in, where that is another."""
    entries = {text(data, span, 1): text(data, span, 2) for _, span in parts(data, tensor, _EXTERNAL)}
    if "location" in entries:
        end = int(entries.get("offset") or 0) + int(entries.get("length") or 0)
        location = entries["location"]
        told.weights[location] = max(told.weights.get(location, 0), end)


def _lacking(request: Request, file: ModelFile, told: _Told) -> Iterator[Issue]:
    """Say what is wrong with files of weights: they have to be there, whole, within the model's folder."""
    there = {one.path: one for one in request.files}
    folder = PurePosixPath(file.path).parent
    for location, end in told.weights.items():
        if _leads_out(location):
            what = f"names weights in {location!r}, which is not beside it"
            yield Issue(file.path, what, "export it again, with its weights in the same folder")
            continue
        found = there.get(str(folder / location.replace("\\", "/")))
        if found is None and request.path.is_file():
            what = f"has weights in {location!r} beside it"
            yield Issue(file.path, what, f"point to the folder: {str(request.path.parent)!r}")
        elif found is None:
            what = f"names weights in {location!r}, which is not there"
            yield Issue(file.path, what, "copy the whole folder")
        elif end > found.size_bytes:
            what = f"has {found.size_bytes} bytes, and {file.path} reads {end} of it"
            yield Issue(found.path, what, "copy it again")


def _leads_out(location: str) -> bool:
    path = PurePosixPath(location.replace("\\", "/"))
    return not path.parts or path.is_absolute() or ".." in path.parts or ":" in path.parts[0]


def _own_operators(file: ModelFile, told: _Told) -> Iterator[Risk]:
    for domain, operators in sorted(told.domains.items()):
        operator = next((one for one in operators if (domain, one) not in told.own), None)
        if operator is not None and domain not in _KNOWN | _EXTENSIONS:
            why = f"operators of one's own, such as {operator!r}: a library of native code has to be loaded"
            yield Risk(file.path, domain, why)


def _notes(data: Data) -> Iterator[str]:
    """Tell the operators' versions, and what wrote the file."""
    whole = (0, len(data))
    opsets = {
        text(data, one, 1).removeprefix("ai.onnx"): number(data, one, 2) or 1
        for _, one in parts(data, whole, _OPSET)
    }
    yield "opset " + ", ".join(f"{_shown(domain)} {opsets[domain]}".lstrip() for domain in sorted(opsets))
    producer = f"{text(data, whole, _PRODUCER)} {text(data, whole, _PRODUCER_VERSION)}".strip()
    if producer:
        yield f"written by {producer}"


def _of_any_rank(found: Signature) -> Iterator[str]:
    names = [f"{one.name}: {one.dtype}" for one in found.inputs if one.type == "tensor" and one.shape is None]
    if names:
        yield f"of any number of dimensions: {', '.join(names)}"


def _shown(domain: str) -> str:
    return f"ai.onnx{domain}" if domain.startswith(".") else domain
