"""The Open Inference Protocol, version 2, over HTTP: JSON and binary tensors in, the same out."""

# JSON values and a user's own objects may be of any type

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, Optional

import msgspec

from lading_runtime.front import binary, coding, entries, inference, names
from lading_runtime.front.apart import apart
from lading_runtime.front.channel import Answer
from lading_runtime.front.decode import LARGE_BYTES, check_json, media_type, parse_json
from lading_runtime.front.encode import Input
from lading_runtime.front.entries import SIZE, flag, parameters_of, refuse_shared
from lading_runtime.front.inference import EXTENSIONS, Question
from lading_runtime.front.messages import Refusal, Request, Response, encode, invalid, listed, quote, shown
from lading_runtime.front.model import Model
from lading_runtime.front.routes import Table
from lading_runtime.front.tensors import BYTES, SIZES, Tensor

_WANTS_BINARY = "binary_data_output"


class Asked(NamedTuple):
    """A request, and how its answer is to be written."""

    question: Question
    binary: bool = False
    """Whether outputs are binary that say nothing of it themselves."""
    outputs: Mapping[str, bool] = {}
    """Whether an output is binary."""


async def server(model: Model, _: Request) -> Response:
    """Answer `GET /v2`."""
    return encode({"name": "lading", "version": model.bill.lading, "extensions": EXTENSIONS})


async def models(model: Model, _: Request) -> Response:
    """Answer `GET /v2/models`, KServe's list."""
    return encode({"models": [model.bill.name]})


async def metadata(model: Model, request: Request) -> Response:
    """Answer `GET /v2/models/{name}[/versions/{version}]`."""
    _check_name(model, request)
    return encode(inference.describe(model))


async def ready(model: Model, request: Request) -> Response:
    """Answer `GET /v2/models/{name}[/versions/{version}]/ready`."""
    _check_name(model, request)
    document: dict[str, Any] = {"name": model.bill.name, "ready": model.is_ready}
    if model.is_ready:
        return encode(document)
    return encode({"error": model.why_not_ready, **document}, 503)


async def infer(model: Model, request: Request) -> Response:
    """Answer `POST /v2/models/{name}[/versions/{version}]/infer`."""
    _check_name(model, request)
    if b"content-encoding" in request.headers:
        request = await coding.inflated(request, model.settings.body_limit_bytes)
    wanted, asked = await apart(model, _weight(model, request), partial(_ask, model, request))
    answer = await model.predict(wanted)
    size = 0 if asked.binary and not asked.outputs else len(answer.body)
    response = await apart(model, size, partial(_respond, model, asked, answer))
    if b"accept-encoding" in request.headers:
        return await coding.compressed(response, request.headers)
    return response


def _weight(model: Model, request: Request) -> int:
    """Return how many bytes of a body have to be looked at: numbers behind the JSON part may need none."""
    size = len(request.body)
    length = binary.header_length(request.headers, size) if size > LARGE_BYTES else None
    if length is None or length > LARGE_BYTES:
        return size
    if not length:
        return 0 if inference.is_light(model, {(_as_one(model) or {}).get("datatype")}) else size
    document = parse_json(request.body[:length])
    inputs = document.get("inputs") if isinstance(document, dict) else None
    if not isinstance(inputs, list):
        return 0
    kinds = [str(one.get("datatype")) for one in inputs if isinstance(one, dict)]
    return 0 if inference.is_light(model, kinds) else size


def _ask(model: Model, request: Request) -> tuple[Input, Asked]:
    """Read a request; of its tensors nothing is needed any more."""
    asked = read(model, request)
    wanted = inference.wanted(model, asked.question)
    return wanted, asked._replace(question=asked.question._replace(tensors=(), text=None))


def _respond(model: Model, asked: Asked, answer: Answer) -> Response:
    return _write(model, asked, inference.told(model, answer, asked.question.names))


def _check_name(model: Model, request: Request) -> None:
    name, version = (*request.arguments, None)[:2]
    names.check(model, str(name), version)


def read(model: Model, request: Request) -> Asked:
    """Read a request whose body is as it was before it was compressed."""
    body = request.body
    length = binary.header_length(request.headers, len(body))
    if length == 0:
        return Asked(Question([_raw(model, memoryview(body))]), binary=True)
    if length is None:
        media_type(
            request.headers
        )  # which refuses another charset; what else it is said to be, Triton ignores
        return _document(model, body, None)
    return _document(model, body[:length], memoryview(body)[length:])


def _document(model: Model, text: bytes, rest: memoryview | None) -> Asked:
    """Read a request's JSON part; `rest` is what follows it."""
    document = parse_json(text)
    inputs = document.get("inputs") if isinstance(document, dict) else None
    if not isinstance(inputs, list) or not inputs:
        keys = f"the keys {listed(document)}" if isinstance(document, dict) else shown(document)
        got = keys if inputs is None else f"inputs {shown(inputs)}"
        raise Refusal(400, f"got {got}, expected an object with 'inputs', a list of tensors")
    parameters = parameters_of(document, "the request")
    identity = document.get("id")
    if identity is not None and not isinstance(identity, str):
        raise Refusal(400, f"id: got {quote(identity)}, expected a string")
    wishes = _wishes(document.get("outputs"))
    question = Question(
        entries.read(inputs, rest),
        names=None if wishes is None else list(wishes),
        parameters={name: value for name, value in parameters.items() if name != _WANTS_BINARY},
        identity=identity,
        # a routine is given what the client sent, where all of it is JSON
        text=check_json(text) if model.takes_json and not rest else None,
    )
    by_default = flag(parameters, _WANTS_BINARY, "the request") or False
    outputs = {} if wishes is None else {name: flag for name, flag in wishes.items() if flag is not None}
    return Asked(question, by_default, outputs)


def _wishes(asked: object) -> Mapping[str, Optional[bool]] | None:  # noqa: UP045 - evaluated under Python 3.9 too
    """Read `outputs`: a name and, where it is told, whether it is to be binary."""
    if asked is None or asked == []:
        return None
    if not isinstance(asked, list):
        raise invalid(f"outputs: got {quote(asked)}, expected a list of objects with a name")
    wishes = {}
    for index, one in enumerate(asked):
        if not isinstance(one, dict) or not isinstance(one.get("name"), str):
            raise invalid(f"outputs[{index}]: got {quote(one)}, expected an object with a name")
        where = f"output {quote(one['name'])}"
        parameters = parameters_of(one, where)
        if parameters.get("classification"):
            raise invalid(f"{where}: classification is no extension of this server")
        refuse_shared(parameters, where)
        wishes[one["name"]] = flag(parameters, "binary_data", where)
    return wishes


def _raw(model: Model, body: memoryview) -> Tensor:
    """Read a body that is one tensor and nothing else: its name, type and shape are the model's own.

    At most one length may be open, and follows from how much there is; a text comes without its length.
    """
    own = _as_one(model)
    if own is None:
        raise invalid("got a raw tensor (inference-header-content-length: 0), expected a model of one input")
    name, datatype, shape = own["name"], own["datatype"], list(own["shape"])
    if datatype == BYTES:
        return Tensor(name, BYTES, [1] * len(shape), values=[bytes(body)])
    where = f"tensor {quote(name)}"
    row = SIZES[datatype]
    for length in shape:
        row *= 1 if length == -1 else length
    if shape.count(-1) > 1:
        raise invalid(
            f"{where}: got a raw tensor, expected its shape: {shape} leaves more than one length open"
        )
    if -1 in shape:
        if not row or len(body) % row:
            raise invalid(f"{where}: got {len(body)} bytes, expected a multiple of {row} for shape {shape}")
        shape[shape.index(-1)] = len(body) // row
    return binary.decode(name, datatype, shape, body)


def _as_one(model: Model) -> Mapping[str, Any] | None:
    """Describe a model's input as one tensor, where it is one: a table of one type is."""
    described = [one for one in inference.described(model) if not one.get("optional")]
    if len(described) == 1:
        return described[0]
    kinds = {one["datatype"] for one in described}
    if model.schema.columns and len(kinds) == 1 and BYTES not in kinds:
        return {"name": "input-0", "datatype": kinds.pop(), "shape": [-1, len(described)]}
    return None


def _write(model: Model, asked: Asked, tensors: Sequence[Tensor]) -> Response:
    """Write an answer: JSON, with the binary outputs behind it."""
    described, pieces = [], []
    for one in tensors:
        entry: dict[str, Any] = {"name": one.name, "datatype": one.datatype, "shape": one.shape}
        if asked.outputs.get(one.name, asked.binary):
            pieces.append(binary.encode(inference.decoded(model, one)))
            entry["parameters"] = {SIZE: len(pieces[-1])}
        else:
            entry["data"] = one.listed()
        described.append(entry)
    document = {"model_name": model.bill.name, "model_version": model.bill.version, "outputs": described}
    if asked.question.identity is not None:
        document["id"] = asked.question.identity
    if not pieces:
        return encode(document)
    head = msgspec.json.encode(document)
    headers = {binary.HEADER.decode(): str(len(head))}
    return Response(b"".join([head, *pieces]), 200, b"application/octet-stream", headers)


_OF_A_MODEL = {"": {"GET": metadata}, "/ready": {"GET": ready}, "/infer": {"POST": infer}}
ROUTES: Table = {
    "/v2": {"GET": server},
    "/v2/": {"GET": server},
    "/v2/models": {"GET": models},
    **{f"/v2/models/{{name}}{rest}": methods for rest, methods in _OF_A_MODEL.items()},
    **{f"/v2/models/{{name}}/versions/{{version}}{rest}": methods for rest, methods in _OF_A_MODEL.items()},
}
