"""The Open Inference Protocol, version 2, over HTTP: JSON tensors in, JSON tensors out."""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import math
from typing import Any

from lading_runtime import wire
from lading_runtime.front import encode as encoding
from lading_runtime.front import names
from lading_runtime.front.decode import check_json, is_json, media_type, parse_json
from lading_runtime.front.encode import Input
from lading_runtime.front.messages import Refusal, Request, Response, encode, invalid, quote
from lading_runtime.front.model import Model
from lading_runtime.front.render import outputs
from lading_runtime.front.routes import Table
from lading_runtime.front.schema import Schema

_DATATYPES = ("BYTES", *wire.ARRAY_CODES)
_MAX_LENGTH = (1 << 63) - 1


async def server(model: Model, _: Request) -> Response:
    """Answer `GET /v2`."""
    return encode({"name": "lading", "version": model.bill.lading, "extensions": []})


async def models(model: Model, _: Request) -> Response:
    """Answer `GET /v2/models`, KServe's list."""
    return encode({"models": [model.bill.name]})


async def metadata(model: Model, request: Request) -> Response:
    """Answer `GET /v2/models/{name}[/versions/{version}]`."""
    _check_name(model, request)
    document = {
        "name": model.bill.name,
        "versions": [model.bill.version],
        "platform": f"lading_{model.bill.model.get('format') or model.bill.model['loader']}",
        "inputs": model.schema.describe(),
        "outputs": model.schema.describe_outputs(),
    }
    return encode(document)


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
    kind, _ = media_type(request.headers)
    if not is_json(kind) and kind != "application/octet-stream":
        raise Refusal(415, f"got content-type {kind!r}, expected 'application/json'")
    if b"inference-header-content-length" in request.headers:
        raise Refusal(
            415, "got binary tensors, expected JSON: this server does not list 'binary_tensor_data'"
        )
    document = parse_json(request.body)
    if (
        not isinstance(document, dict)
        or not isinstance(document.get("inputs"), list)
        or not document["inputs"]
    ):
        raise Refusal(400, "expected an object with 'inputs', a list of tensors")
    wanted = (
        encoding.body(check_json(request.body))
        if model.takes_json
        else read_inputs(model.schema, document["inputs"])
    )
    rendered = outputs(await model.predict(wanted), model.schema)
    answer = {
        "model_name": model.bill.name,
        "model_version": model.bill.version,
        "outputs": _chosen(rendered, document.get("outputs")),
    }
    if "id" in document:
        answer["id"] = document["id"]
    return encode(answer)


def _check_name(model: Model, request: Request) -> None:
    name, version = (*request.arguments, None)[:2]
    names.check(model, str(name), version)


def _chosen(rendered: list[dict[str, Any]], asked: object) -> list[dict[str, Any]]:
    """Return the outputs asked for, in that order; all of them where none is named."""
    if not asked:
        return rendered
    by_name = {one["name"]: one for one in rendered}
    wanted = (
        [one.get("name") if isinstance(one, dict) else None for one in asked]
        if isinstance(asked, list)
        else [None]
    )
    unknown = [name for name in wanted if not isinstance(name, str) or name not in by_name]
    if unknown:
        raise invalid(f"outputs: got {quote(unknown)}, expected some of {sorted(by_name)}")
    return [by_name[name] for name in wanted]


def read_inputs(schema: Schema, entries: list[Any]) -> Input:
    """Read tensors: one matrix, or a tensor per column, or the tensors that the signature names."""
    tensors = {}
    for index, entry in enumerate(entries):
        name, shape, data = _tensor(index, entry)
        if name in tensors:
            raise invalid(f"inputs: got {name!r} twice")
        tensors[name] = (shape, data)
    columns = {column.name for column in schema.columns} if schema.named else set()
    if len(tensors) == 1 and len(schema.tensors) <= 1 and not columns & set(tensors):
        return encoding.array(schema, _nested(*next(iter(tensors.values()))))
    if schema.tensors:
        return encoding.mapping(schema, {name: _nested(*one) for name, one in tensors.items()})
    return encoding.mapping(schema, {name: _column(*one) for name, one in tensors.items()})


def _column(shape: list[int], flat: list[Any]) -> list[Any]:
    """Return a column's cells: a tensor [n, 1] is a column too, as Triton's batches have it."""
    return flat if shape[1:] in ([], [1]) else _nested(shape, flat)


def _tensor(index: int, entry: Any) -> tuple[str, list[int], list[Any]]:
    """Check one entry of `inputs`; return its name, shape and flat values."""
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        raise Refusal(400, f"inputs[{index}]: expected an object with name, shape, datatype and data")
    name, datatype = entry["name"], entry.get("datatype")
    shape: Any = entry.get("shape")
    where = f"tensor {quote(name)}"
    if datatype not in _DATATYPES:
        raise invalid(f"{where}: got datatype {quote(datatype)}, expected one of {', '.join(_DATATYPES)}")
    if not _is_shape(shape):
        expected = f"a list of at most {encoding.MAX_DIMENSIONS} lengths"
        raise invalid(f"{where}: got shape {quote(shape)}, expected {expected}")
    if not isinstance(entry.get("data"), list):
        raise invalid(f"{where}: got no data, expected a list")
    _, flat = encoding.flatten(entry["data"])
    expected_count = math.prod(shape)
    if len(flat) != expected_count:
        expected = str(expected_count) if expected_count <= _MAX_LENGTH else "more than there can be"
        raise invalid(f"{where}: got {len(flat)} values, expected {expected} for shape {quote(shape)}")
    if datatype != "BYTES":
        encoding.pack_values(where, datatype, flat)
    return name, shape, flat


def _is_shape(value: Any) -> bool:
    """Tell whether lengths are few and small enough for their product to cost nothing."""
    if not isinstance(value, list) or len(value) > encoding.MAX_DIMENSIONS:
        return False
    return all(type(size) is int and 0 <= size <= _MAX_LENGTH for size in value)


def _nested(shape: list[int], flat: list[Any]) -> list[Any]:
    for size in reversed(shape[1:]):
        flat = [flat[start : start + size] for start in range(0, len(flat), size)] if size else []
    return flat


_OF_A_MODEL = {"": {"GET": metadata}, "/ready": {"GET": ready}, "/infer": {"POST": infer}}
ROUTES: Table = {
    "/v2": {"GET": server},
    "/v2/": {"GET": server},
    "/v2/models": {"GET": models},
    **{f"/v2/models/{{name}}{rest}": methods for rest, methods in _OF_A_MODEL.items()},
    **{f"/v2/models/{{name}}/versions/{{version}}{rest}": methods for rest, methods in _OF_A_MODEL.items()},
}
