"""SageMaker's routes beside `/ping` and `/invocations`: batch transform, and multi-model endpoints."""

from __future__ import annotations

from collections.abc import Mapping

from lading_runtime.front import names
from lading_runtime.front.contracts.mlflow import invocations
from lading_runtime.front.messages import Refusal, Request, Response, encode
from lading_runtime.front.model import Model
from lading_runtime.front.routes import Table

# what SageMaker takes at most: payloads of all requests at once
_MAX_MIB = 100
_PAYLOAD_MIB = 6


async def execution_parameters(model: Model, _: Request) -> Response:
    """Answer `GET /execution-parameters`: how batch transform should send its data."""
    payload = max(1, min(_PAYLOAD_MIB, model.settings.body_limit_bytes >> 20))
    document = {
        "MaxConcurrentTransforms": max(1, min(_MAX_MIB // payload, model.settings.queue_length)),
        "BatchStrategy": "MULTI_RECORD",
        "MaxPayloadInMB": payload,
    }
    return encode(document)


async def models(model: Model, _: Request) -> Response:
    """Answer `GET /models` of a multi-model endpoint: the one model of this image."""
    return encode({"models": [_describe(model)]})


async def describe(model: Model, request: Request) -> Response:
    """Answer `GET /models/{name}`."""
    names.check(model, request.arguments[0])
    return encode(_describe(model))


async def invoke(model: Model, request: Request) -> Response:
    """Answer `POST /models/{name}/invoke` as `/invocations`."""
    names.check(model, request.arguments[0])
    return await invocations(model, request)


async def load(_: Model, __: Request) -> Response:
    """Refuse `POST /models`: an image has the models that it was packaged with."""
    raise Refusal(501, "this server loads no other model than the one that it was packaged with")


async def unload(_: Model, __: Request) -> Response:
    """Refuse `DELETE /models/{name}`."""
    raise Refusal(501, "this server keeps the model that it was packaged with")


def _describe(model: Model) -> dict[str, str]:
    return {"modelName": model.bill.name, "modelUrl": str(model.bill.model["path"])}


ROUTES: Table = {"/execution-parameters": {"GET": execution_parameters}}


def asked(environ: Mapping[str, str]) -> Table:
    """Return the routes of a multi-model endpoint, where this container is of one."""
    if environ.get("SAGEMAKER_MULTI_MODEL", "").strip().lower() != "true":
        return {}
    return {
        "/models": {"GET": models, "POST": load},
        "/models/{name}": {"GET": describe, "DELETE": unload},
        "/models/{name}/invoke": {"POST": invoke},
    }
