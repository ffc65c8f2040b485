"""What Triton's clients ask besides the protocol: a repository, a configuration, statistics."""

# JSON values may be of any type

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from lading_runtime.front import inference, names
from lading_runtime.front.apart import apart
from lading_runtime.front.decode import parse_json
from lading_runtime.front.messages import Request, Response, encode
from lading_runtime.front.model import Model
from lading_runtime.front.routes import Table


async def index(model: Model, request: Request) -> Response:
    """Answer `POST /v2/repository/index`; `{"ready": true}` leaves out what is not."""
    only_ready = await apart(model, len(request.body), partial(_wants_ready, request.body))
    return encode([one for one in inference.index(model) if one["state"] == "READY" or not only_ready])


def _wants_ready(body: bytes) -> bool:
    document = parse_json(body) if body.strip() else {}
    return isinstance(document, dict) and document.get("ready") is True


async def load(model: Model, request: Request) -> Response:
    """Answer `POST /v2/repository/models/{name}/load`: what is loaded already needs nothing."""
    names.check_known(model, request.arguments[0])
    return encode({"name": model.bill.name, "load": True})


async def unload(model: Model, request: Request) -> Response:
    """Answer `POST /v2/repository/models/{name}/unload`."""
    names.check_known(model, request.arguments[0])
    raise inference.cannot_unload(model)


async def config(model: Model, request: Request) -> Response:
    """Answer `GET /v2/models/{name}[/versions/{version}]/config`, in Triton's words."""
    _check_name(model, request)
    document = {
        "name": model.bill.name,
        "platform": inference.describe(model)["platform"],
        "backend": "lading",
        "max_batch_size": 0,
        "input": _described(inference.described(model)),
        "output": _described(inference.described_outputs(model)),
    }
    return encode(document)


async def statistics(model: Model, request: Request) -> Response:
    """Answer `GET /v2/models[/{name}[/versions/{version}]]/stats`: what was counted since the start."""
    if request.arguments:
        _check_name(model, request)
    return encode({"model_stats": [_counted(model)]})


def _check_name(model: Model, request: Request) -> None:
    name, version = (*request.arguments, None)[:2]
    names.check(model, str(name), version)


def _described(tensors: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "name": one["name"],
            "data_type": _data_type(one["datatype"]),
            "dims": one["shape"],
            **({"optional": True} if one.get("optional") else {}),
        }
        for one in tensors
    ]


def _data_type(datatype: str) -> str:
    return "TYPE_STRING" if datatype == "BYTES" else f"TYPE_{datatype}"


def _counted(model: Model) -> dict[str, Any]:
    """Count predictions of all contracts, in Triton's words; it does not tell inputs from outputs."""
    metrics = model.metrics
    count = sum(metrics.model_s.counts)
    waited, computed = _duration(count, metrics.queue_s.total), _duration(count, metrics.model_s.total)
    nothing = _duration(0, 0.0)
    return {
        "name": model.bill.name,
        "version": model.bill.version,
        "last_inference": 0,
        "inference_count": count,
        "execution_count": count,
        "inference_stats": {
            "success": _duration(count, metrics.queue_s.total + metrics.model_s.total),
            "fail": _duration(sum(metrics.refused.values()), 0.0),
            "queue": waited,
            "compute_input": nothing,
            "compute_infer": computed,
            "compute_output": nothing,
        },
        "batch_stats": [],
    }


def _duration(count: int, seconds: float) -> dict[str, int]:
    return {"count": count, "ns": int(seconds * 1e9)}


_OF_A_MODEL = {"/config": {"GET": config}, "/stats": {"GET": statistics}}
ROUTES: Table = {
    "/v2/repository/index": {"POST": index},
    "/v2/repository/models/{name}/load": {"POST": load},
    "/v2/repository/models/{name}/unload": {"POST": unload},
    "/v2/models/stats": {"GET": statistics},
    **{f"/v2/models/{{name}}{rest}": methods for rest, methods in _OF_A_MODEL.items()},
    **{f"/v2/models/{{name}}/versions/{{version}}{rest}": methods for rest, methods in _OF_A_MODEL.items()},
}
