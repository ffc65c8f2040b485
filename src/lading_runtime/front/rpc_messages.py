"""Messages of the Open Inference Protocol's gRPC service in, names and tensors out, and the way back.

Fields are numbered as in open_inference_grpc.proto; Triton's, KServe's and MLServer's protocols agree with it
in all that is read here. What was asked with raw contents is answered so, else with typed ones.
"""

# a parameter may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from lading_runtime.front import binary, protobuf
from lading_runtime.front import encode as encoding
from lading_runtime.front.messages import invalid, quote
from lading_runtime.front.protobuf import MalformedError, Value, fields, message, octets, string, text
from lading_runtime.front.tensors import BYTES, MAX_LENGTH, SIZES, Tensor, count, named
from lading_runtime.wire import Buffer

# datatype → field of InferTensorContents
_CONTENTS = {
    "BOOL": 1,
    **dict.fromkeys(("INT8", "INT16", "INT32"), 2),
    "INT64": 3,
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), 4),
    "UINT64": 5,
    "FP32": 6,
    "FP64": 7,
    BYTES: 8,
}
_NAMES = (
    "",
    "bool_contents",
    "int_contents",
    "int64_contents",
    "uint_contents",
    "uint64_contents",
    "fp32_contents",
    "fp64_contents",
    "bytes_contents",
)
_SIGNED = {2, 3}
_FIXED = {6: protobuf.FIXED32, 7: protobuf.FIXED64}
# a tensor's name, type, shape and parameters
_MOST_NAMED = 64 << 10
_SHARED = "shared_memory_region"


class InferRequest(NamedTuple):
    """A ModelInferRequest."""

    name: str
    version: str
    identity: str
    parameters: Mapping[str, Any]
    tensors: Sequence[Tensor]
    names: Sequence[str]
    is_raw: bool


class _Contents:
    """The typed values of one tensor: per field, what was packed together and what came one by one."""

    def __init__(self) -> None:
        self.pieces: dict[int, list[Value]] = {}

    def add(self, data: memoryview) -> None:
        """Read a message; one that comes in several parts is put together (as the format has it)."""
        for field, kind, value in fields(data):
            if not 0 < field < len(_NAMES):
                continue
            expected = _FIXED.get(field, protobuf.VARINT)
            if kind not in {protobuf.BYTES, expected} or (field == 8 and kind != protobuf.BYTES):
                raise MalformedError(f"{_NAMES[field]}: got wire type {kind}")
            self.pieces.setdefault(field, []).append(value)

    def tensor(self, name: str, datatype: str, shape: Sequence[int]) -> Tensor:
        """Make the tensor that these are the values of."""
        where = named(name)
        if datatype not in _CONTENTS:
            more = "; FP16 and BF16 as raw contents only"
            raise invalid(
                f"{where}: got datatype {quote(datatype)}, expected one of {', '.join(_CONTENTS)}{more}"
            )
        wanted = _CONTENTS[datatype]
        others = sorted(_NAMES[field] for field in self.pieces if field != wanted)
        if others:
            raise invalid(f"{where}: got {', '.join(others)}, expected {_NAMES[wanted]} for {datatype}")
        expected = count(where, shape)
        pieces = self.pieces.get(wanted, [])
        values: Sequence[Any] | None = None
        data: Buffer | None = None
        if wanted in _FIXED:
            data = octets(pieces[0]) if len(pieces) == 1 else b"".join(map(octets, pieces))
            got, rest = divmod(len(data), SIZES[datatype])
            if rest:
                raise MalformedError(f"{_NAMES[wanted]}: got {len(data)} bytes")
        elif wanted == 8:
            values = list(map(bytes, map(octets, pieces)))
            got = len(values)
        else:
            values = [one for piece in pieces for one in _whole(piece)]
            got = len(values)
        if got != expected:
            wanted_text = str(expected) if expected <= MAX_LENGTH else "more than there can be"
            raise invalid(f"{where}: got {got} values, expected {wanted_text} for shape {quote(shape)}")
        if values is not None and wanted != 8:
            values = [bool(one) for one in values] if wanted == 1 else values
            values = [protobuf.signed(one) for one in values] if wanted in _SIGNED else values
            _, data = encoding.pack_values(where, datatype, values)
        return Tensor(name, datatype, shape, data, values)


def read_infer(data: bytes) -> InferRequest:
    """Read a ModelInferRequest; raise MalformedError or a Refusal where it is none."""
    texts = {1: "", 2: "", 3: ""}
    parameters: dict[str, Any] = {}
    entries: list[tuple[str, str, list[int], _Contents]] = []
    names: list[str] = []
    raw: list[memoryview] = []
    for field, _, value in fields(memoryview(data)):
        if field in texts:
            texts[field] = text(value)
        elif field == 4:
            _read_parameter(octets(value), parameters)
        elif field == 5:
            entries.append(_read_input(octets(value)))
        elif field == 6:
            names.append(_read_output(octets(value)))
        elif field == 7:
            raw.append(octets(value))
    return InferRequest(texts[1], texts[2], texts[3], parameters, _tensors(entries, raw), names, bool(raw))


def raw_kinds(data: bytes) -> list[str] | None:
    """Return the datatypes of a request whose contents are raw; None of any other."""
    kinds = []
    is_raw = False
    for field, kind, value in fields(memoryview(data)):
        is_raw = is_raw or field == 7
        if field == 5 and kind == protobuf.BYTES:
            entry = octets(value)
            if len(entry) > _MOST_NAMED:  # its contents are in it
                return None
            kinds += [text(one) for number, _, one in fields(entry) if number == 2]
    return kinds if is_raw else None


def _tensors(
    entries: Sequence[tuple[str, str, list[int], _Contents]], raw: Sequence[memoryview]
) -> list[Tensor]:
    if not entries:
        raise invalid("got no inputs, expected at least one tensor")
    if not raw:
        return [contents.tensor(name, datatype, shape) for name, datatype, shape, contents in entries]
    if len(raw) != len(entries):
        raise invalid(f"got {len(raw)} raw_input_contents, expected one for each of {len(entries)} inputs")
    typed = [name for name, _, _, contents in entries if contents.pieces]
    if typed:
        raise invalid(f"inputs {quote(typed)}: got contents besides raw_input_contents, expected one of them")
    return [
        binary.decode(name, datatype, shape, data)
        for (name, datatype, shape, _), data in zip(entries, raw)  # noqa: B905 - one each, see above
    ]


def _read_input(data: memoryview) -> tuple[str, str, list[int], _Contents]:
    texts = {1: "", 2: ""}
    shape: list[int] = []
    parameters: dict[str, Any] = {}
    contents = _Contents()
    for field, _, value in fields(data):
        if field in texts:
            texts[field] = text(value)
        elif field == 3:
            shape += map(protobuf.signed, _whole(value))
        elif field == 4:
            _read_parameter(octets(value), parameters)
        elif field == 5:
            contents.add(octets(value))
    _refuse_shared(named(texts[1]), parameters)
    return texts[1], texts[2], shape, contents


def _read_output(data: memoryview) -> str:
    name = ""
    parameters: dict[str, Any] = {}
    for field, _, value in fields(data):
        if field == 1:
            name = text(value)
        elif field == 2:
            _read_parameter(octets(value), parameters)
    _refuse_shared(f"output {quote(name)}", parameters)
    if parameters.get("classification"):
        raise invalid(f"output {quote(name)}: classification is no extension of this server")
    return name


def _refuse_shared(where: str, parameters: Mapping[str, Any]) -> None:
    if _SHARED in parameters:
        raise invalid(f"{where}: shared memory is no extension of this server")


def _read_parameter(data: memoryview, into: dict[str, Any]) -> None:
    """Read one entry of a map: a key, and an InferParameter."""
    key, found = "", None
    for field, _, value in fields(data):
        if field == 1:
            key = text(value)
        elif field == 2:
            for kind, _, one in fields(octets(value)):
                found = _parameter(kind, one, found)
    into[key] = found


def _parameter(kind: int, value: Value, before: Any) -> Any:
    if kind == 1:
        return bool(protobuf.number(value))
    if kind == 2:
        return protobuf.signed(protobuf.number(value))
    if kind == 3:
        return text(value)
    if kind == 4:
        return protobuf.double(value)
    return protobuf.number(value) if kind == 5 else before


def _whole(value: Value) -> Sequence[int]:
    """Read whole numbers, packed or not."""
    return [value] if isinstance(value, int) else protobuf.varints(value)


def write_infer(name: str, version: str, identity: str, tensors: Sequence[Tensor], *, raw: bool) -> bytes:
    """Write a ModelInferResponse; raw contents are copied once."""
    parts: list[Buffer] = [string(1, name), string(2, version), string(3, identity)]
    for one in tensors:
        about = _about(one.name, one.datatype, one.shape)
        parts.append(message(5, about if raw else about + message(5, _contents(one))))
    for one in tensors if raw else ():
        data = binary.encode(one)
        parts += (protobuf.head(6, len(data)), data)
    return b"".join(parts)


def _about(name: str, datatype: str, shape: Iterable[int]) -> bytes:
    """Write what an output and a tensor's metadata begin with."""
    return string(1, name) + string(2, datatype) + message(3, protobuf.packed(shape))


def _contents(tensor: Tensor) -> bytes:
    field = _CONTENTS[tensor.datatype]
    if tensor.data is None:
        return b"".join([message(field, one) for one in tensor.octets()])
    if field in _FIXED or tensor.datatype == "BOOL":
        return message(field, tensor.data)
    return message(field, protobuf.packed(tensor.numbers()))


def read_texts(data: bytes) -> dict[int, str]:
    """Read a message's fields that are texts: the names and versions of small requests."""
    found = {}
    for field, kind, value in fields(memoryview(data)):
        if kind == protobuf.BYTES:
            found[field] = bytes(octets(value)).decode(errors="replace")
    return found


def read_load(data: bytes) -> dict[str, Any]:
    """Read the parameters of a RepositoryModelLoadRequest that are texts or whole numbers."""
    found: dict[str, Any] = {}
    for field, kind, value in fields(memoryview(data)):
        if field != 3 or kind != protobuf.BYTES:
            continue
        key = ""
        for part, _, one in fields(octets(value)):
            if part == 1:
                key = text(one)
            elif part == 2:
                for which, _, inner in fields(octets(one)):
                    if which == 2:
                        found[key] = protobuf.signed(protobuf.number(inner))
                    elif which == 3:
                        found[key] = text(inner)
    return found


def read_flag(data: bytes, field: int) -> bool:
    """Read one truth of a message."""
    return any(number == field and bool(value) for number, _, value in fields(memoryview(data)))


def write_flag(*, value: bool) -> bytes:
    """Write a ServerLiveResponse, a ServerReadyResponse or a ModelReadyResponse."""
    return protobuf.whole(1, int(value))


def write_server(name: str, version: str, extensions: Iterable[str]) -> bytes:
    """Write a ServerMetadataResponse."""
    return string(1, name) + string(2, version) + b"".join([string(3, one) for one in extensions])


def write_metadata(described: Mapping[str, Any]) -> bytes:
    """Write a ModelMetadataResponse; its field 6 means something else to every server, and is left out."""
    parts = [string(1, described["name"]), *(string(2, one) for one in described["versions"])]
    parts.append(string(3, described["platform"]))
    for field, key in ((4, "inputs"), (5, "outputs")):
        parts += [
            message(field, _about(one["name"], one["datatype"], one["shape"])) for one in described[key]
        ]
    return b"".join(parts)


def write_index(models: Iterable[Mapping[str, str]]) -> bytes:
    """Write a RepositoryIndexResponse."""
    keys = ("name", "version", "state", "reason")
    return b"".join(
        [
            message(1, b"".join([string(field, one[key]) for field, key in enumerate(keys, 1)]))
            for one in models
        ]
    )


def write_loaded(name: str) -> bytes:
    """Write a RepositoryModelLoadResponse: KServe's two fields, which the others' clients pass over."""
    return string(1, name) + protobuf.whole(2, 1)
