"""A SavedModel of TensorFlow in; its signatures and version, and what of it touches files or runs code, out.

`saved_model.pb` is one message of protocol buffers (tensorflow/core/protobuf/saved_model.proto), walked in
place; of the variables beside it nothing is read.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from lading.core.datatypes import TENSORFLOW
from lading.core.errors import Issue, ModelError
from lading.core.model import ModelFacts, ModelFile, Risk
from lading.core.signature import Field, Signature
from lading.model.plain import any_file, facts_of, library, of_known_rank, only_file, start_of
from lading.model.protobuf import Data, Span, fields, number, part, parts, signed, text
from lading.model.request import Request

NAME = "saved_model.pb"
_STARTS = (b"\x08", b"\x12")
"""Its version, or a graph: fields may come in any order."""
_TEXT_OP = re.compile(rb"""\bop\s*:\s*["']([^"']{1,80})["']""")
_SERVE, _DEFAULT = "serve", "serving_default"
_INIT = "__saved_model_init_op"
# SavedModel
_META_GRAPH = 2
# MetaGraphDef
_INFO, _GRAPH, _SAVER, _SIGNATURE = 1, 2, 3, 5
_TAGS, _VERSION = 4, 5
# GraphDef, FunctionDefLibrary, FunctionDef, OpDef
_NODE, _LIBRARY, _FUNCTION, _FUNCTION_NODE, _FUNCTION_SIGNATURE = 1, 2, 1, 3, 1
# NodeDef, and an attribute's entry, value and function
_NODE_NAME, _NODE_OP, _NODE_ATTRIBUTE = 1, 2, 5
_KEY, _VALUE, _FUNC = 1, 2, 10
# SignatureDef and TensorInfo
_INPUTS, _OUTPUTS = 1, 2
_DTYPE, _SHAPE, _DIMENSION, _UNKNOWN_RANK = 2, 3, 2, 3
_DTYPES = {
    **{code: name for code, name in TENSORFLOW.items() if "complex" not in name},
    14: "float32",
    19: "float32",
}
"""tensorflow/core/framework/types.proto; bfloat16 and half are sent as floats."""
_CODE = frozenset({"EagerPyFunc", "PyFunc", "PyFuncStateless", "XlaCustomCallV2"})
_FILES = frozenset(
    {
        *("CSVDataset", "CSVDatasetV2", "CreateSummaryFileWriter", "DeleteFile", "FixedLengthRecordDataset"),
        *(
            "FixedLengthRecordDatasetV2",
            "FixedLengthRecordReader",
            "FixedLengthRecordReaderV2",
            "LMDBDataset",
        ),
        *("LMDBReader", "LoadAndRemapMatrix", "LoadDataset", "LoadDatasetV2", "MatchingFiles"),
        *("MatchingFilesDataset", "ReadFile", "Save", "SaveDataset", "SaveDatasetV2", "SaveSlices"),
        *("SqlDataset", "TFRecordDataset", "TFRecordDatasetV2", "TFRecordReader", "TFRecordReaderV2"),
        *("TextLineDataset", "TextLineReader", "TextLineReaderV2", "WholeFileReader", "WholeFileReaderV2"),
        *("CacheDataset", "CacheDatasetV2", "CreateSummaryDbWriter"),
        *("ExperimentalCSVDataset", "ExperimentalLMDBDataset", "ExperimentalMatchingFilesDataset"),
        *("ExperimentalSqlDataset", "FileSystemSetConfiguration", "GenerateVocabRemapping", "ImmutableConst"),
        *("SnapshotDataset", "SnapshotDatasetReader", "SnapshotDatasetV2", "WriteFile"),
    }
)
_NETWORK = frozenset(
    {
        *("BigQueryReader", "DataServiceDataset", "DataServiceDatasetV2", "DataServiceDatasetV3"),
        *(
            "DataServiceDatasetV4",
            "DistributedSave",
            "RegisterDataset",
            "RegisterDatasetV2",
            "Rpc",
            "RpcCall",
        ),
        *("RpcClient", "RpcServer", "RpcServerStart", "TryRpc"),
    }
)
_SPEAKS = frozenset(
    {"DebugIdentity", "DebugIdentityV2", "DebugIdentityV3", "DebugNanCount", "DebugNumericSummary", "PrintV2"}
)
"""What writes to where an attribute says."""
_OF_SAVERS = frozenset({"MergeV2Checkpoints", "Restore", "RestoreSlice", "RestoreV2", "SaveV2"})
"""What the functions hold that save and restore variables; anywhere else they touch other files."""


_OF_VARIABLES = frozenset({"VarHandleOp", "Variable", "VariableV2"})


@dataclass(frozen=True, slots=True)
class Graph:
    """What a SavedModel tells of the graph that serves."""

    version: str | None
    tags: tuple[str, ...]
    signatures: Mapping[str, Signature]
    risks: tuple[Risk, ...]
    has_variables: bool
    """Whether it holds any, which are in files beside it then."""


def is_one(file: ModelFile) -> bool:
    """Tell whether a file is the graph of a SavedModel."""
    # within an archive, files are named behind a mark
    name = PurePosixPath(file.path).name.rpartition("!")[2]
    return name == NAME and start_of(file, 1) in _STARTS


def recognise(request: Request) -> bool:
    """Tell whether the path is, or holds, a SavedModel."""
    return any_file(request, is_one)


def is_asked(request: Request) -> bool:
    """Tell whether one of a SavedModel's signatures is asked for by name, as its entry."""
    return (request.entry or "").startswith(f"{NAME}:") and recognise(request)


def inspect(request: Request) -> ModelFacts:
    """Tell the facts of a SavedModel; raise ModelError where it cannot be read or has nothing to serve."""
    file = only_file(request, is_one, "SavedModels")
    folder = PurePosixPath(file.path).parent.as_posix()
    names = {one.path for one in request.files}
    graph = look(file)
    is_whole = (PurePosixPath(folder) / "variables/variables.index").as_posix() in names
    if request.path.is_file() or (graph.has_variables and not is_whole):
        what = "has no variables beside it"
        raise ModelError(Issue(str(request.path), what, "name the whole folder, which has 'variables' in it"))
    asked = (request.entry or "").removeprefix(f"{NAME}:")
    if asked and asked not in graph.signatures:
        what = f"no signature {asked!r}"
        raise ModelError(
            Issue(f"entry {request.entry!r}", what, f"it has {', '.join(sorted(graph.signatures))}")
        )
    first = _DEFAULT if _DEFAULT in graph.signatures else next(iter(sorted(graph.signatures)), None)
    name = asked or first
    if name is None:
        what = "has no signature, which is what can be served"
        fix = "save it with signatures={'serving_default': …}, or give an inference routine as code"
        raise ModelError(Issue(file.path, what, fix))
    others = sorted(set(graph.signatures) - {name})
    return facts_of(
        request,
        form="savedmodel",
        name="",
        loader="tensorflow",
        options={"folder": folder, "signature": name, "tags": list(graph.tags)},
        requirements=(library("tensorflow", graph.version),),
        modules=("tensorflow",),
        framework="tensorflow",
        version=graph.version,
        signature=of_known_rank(graph.signatures[name]),
        risks=graph.risks,
        notes=(
            f"signature {name}",
            *((f"others by --entry {NAME}:NAME: {', '.join(others)}",) if others else ()),
        ),
    )


def look(file: ModelFile) -> Graph:
    """Walk a graph; raise ModelError where it is broken."""
    try:
        with file.source.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            graphs = [span for _, span in parts(data, (0, len(data)), _META_GRAPH)]
            tagged = [(_tags(data, span), span) for span in graphs]
            tags, span = next((one for one in tagged if _SERVE in one[0]), tagged[0])
            info = part(data, span, _INFO)
            version = text(data, info, _VERSION) if info else ""
            # all of them are read by TensorFlow, though one is loaded
            risks = dict.fromkeys(risk for one in graphs for risk in _risks(data, one, file.path))
            has_variables = any(_has_variables(data, one) for one in graphs)
            return Graph(version or None, tags, dict(_signatures(data, span)), tuple(risks), has_variables)
    except (ValueError, IndexError, OSError) as error:
        raise ModelError(Issue(file.path, f"is no SavedModel: {error}"[:300], "save it again")) from error


def risks(file: ModelFile) -> tuple[Risk, ...]:
    """List what touches files or runs code; raise ModelError where the graph is broken."""
    return look(file).risks


def is_loose(file: ModelFile) -> bool:
    """Tell whether it may be a graph of another form: frozen, with its tags alone, or as text."""
    name = PurePosixPath(file.path).name.rpartition("!")[2]
    return name.endswith((".pb", ".meta", ".pbtxt")) and name not in {NAME, "fingerprint.pb"}


def loose_risks(file: ModelFile) -> tuple[Risk, ...]:
    """List what such a graph does, as far as it is one."""
    try:
        with file.source.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            if file.path.endswith(".pbtxt"):
                ops = {one[1].decode("utf-8", "replace") for one in _TEXT_OP.finditer(data)}
                found = [risk for op in sorted(ops) for risk in _of_op(op, file.path, saves=True)]
            elif file.path.endswith(".meta"):
                found = list(_risks(data, (0, len(data)), file.path))
            else:
                found = list(_of_graph(data, (0, len(data)), file.path, set()))
    except (ValueError, IndexError, OSError):
        return ()
    return tuple(dict.fromkeys(found))


def _tags(data: Data, span: Span) -> tuple[str, ...]:
    info = part(data, span, _INFO)
    return tuple(data[at:end].decode() for _, (at, end) in parts(data, info, _TAGS)) if info else ()


def _signatures(data: Data, span: Span) -> Iterator[tuple[str, Signature]]:
    for _, entry in parts(data, span, _SIGNATURE):
        name, value = text(data, entry, _KEY), part(data, entry, _VALUE)
        if name != _INIT and value is not None:
            yield (
                name,
                Signature(tuple(_tensors(data, value, _INPUTS)), tuple(_tensors(data, value, _OUTPUTS))),
            )


def _tensors(data: Data, span: Span, wanted: int) -> Iterator[Field]:
    """List the inputs or outputs, by name: a map has no order of its own."""
    found = []
    for _, entry in parts(data, span, wanted):
        name, value = text(data, entry, _KEY), part(data, entry, _VALUE)
        if value is None:
            raise ValueError(f"{name!r} has no type")
        kind = number(data, value, _DTYPE)
        if kind not in _DTYPES:
            raise ValueError(f"{name!r} has the element type {kind}, which cannot be served")
        found.append(
            Field("tensor", name, dtype=_DTYPES[kind], shape=_shape(data, part(data, value, _SHAPE)))
        )
    yield from sorted(found, key=lambda one: one.name or "")


def _shape(data: Data, span: Span | None) -> tuple[int, ...] | None:
    if span is None or number(data, span, _UNKNOWN_RANK):
        return None
    return tuple(signed(number(data, one, 1) or 0) for _, one in parts(data, span, _DIMENSION))


def _risks(data: Data, span: Span, where: str) -> Iterator[Risk]:
    """List operators that call Python or touch files, in the graph and in its functions."""
    # of several, readers join the parts
    graphs = [graph for _, graph in parts(data, span, _GRAPH)]
    saving = {name for graph in graphs for name in _saving(data, span, graph)}
    for graph in graphs:
        yield from _of_graph(data, graph, where, saving)


def _of_graph(data: Data, graph: Span, where: str, saving: set[str]) -> Iterator[Risk]:
    for key, value in fields(data, graph):
        if key == _NODE and isinstance(value, tuple):
            yield from _of_node(data, value, where, saves=True)
        elif key == _LIBRARY and isinstance(value, tuple):
            for _, function in parts(data, value, _FUNCTION):
                signature = part(data, function, _FUNCTION_SIGNATURE)
                name = text(data, signature, 1) if signature else ""
                for _, node in parts(data, function, _FUNCTION_NODE):
                    yield from _of_node(data, node, f"{where}:{name}", saves=name in saving)


def _has_variables(data: Data, span: Span) -> bool:
    graph = part(data, span, _GRAPH)
    if graph is None:
        return False
    nodes = (text(data, node, _NODE_OP) for _, node in parts(data, graph, _NODE))
    return not _OF_VARIABLES.isdisjoint(nodes)


def _of_node(data: Data, node: Span, where: str, *, saves: bool) -> Iterator[Risk]:
    op = text(data, node, _NODE_OP)
    yield from _of_op(op, where, saves=saves)
    if op in _SPEAKS and any(one in data[node[0] : node[1]] for one in (b"file://", b"grpc://")):
        yield Risk(where, op, "an operator that writes to a file, or to a server")


def _of_op(op: str, where: str, *, saves: bool) -> Iterator[Risk]:
    if op in _CODE:
        yield Risk(where, op, "an operator that calls code which is not in the graph")
    elif op in _NETWORK:
        yield Risk(where, op, "an operator that asks a server when the model is asked")
    elif op in _FILES or (op in _OF_SAVERS and not saves):
        yield Risk(where, op, "an operator that reads or writes files when the model is asked")


def _saving(data: Data, span: Span, graph: Span) -> set[str]:
    """Name the functions by which variables are saved and restored."""
    saver = part(data, span, _SAVER)
    if saver is None:
        return set()
    nodes = {text(data, saver, key).partition(":")[0] for key in (1, 2, 3)}
    found = set()
    for _, node in parts(data, graph, _NODE):
        if text(data, node, _NODE_NAME) in nodes:
            for _, entry in parts(data, node, _NODE_ATTRIBUTE):
                value = part(data, entry, _VALUE)
                function = part(data, value, _FUNC) if value else None
                if function is not None:
                    found.add(text(data, function, 1))
    return found
