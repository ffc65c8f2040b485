"""Health, as every platform asks for it: live while the front runs, ready while the model can answer."""

from __future__ import annotations

from lading_runtime.front.contracts import azureml
from lading_runtime.front.messages import Request, Response, encode
from lading_runtime.front.model import Model
from lading_runtime.front.routes import Table

# where Cog's clients find what they need, and ours the rest
_DISCOVERY = {
    "cog_version": "0.17.0",
    "docs_url": "/docs",
    "openapi_url": "/openapi.json",
    "shutdown_url": "/shutdown",
    "healthcheck_url": "/health-check",
    "predictions_url": "/predictions",
    "predictions_idempotent_url": "/predictions/{prediction_id}",
    "predictions_cancel_url": "/predictions/{prediction_id}/cancel",
    "health_url": "/v2/health/ready",
    "invocations_url": "/invocations",
    "metrics_url": "/metrics",
}


async def live(_: Model, __: Request) -> Response:
    """Answer `GET /v2/health/live`; never asks the model."""
    return encode({"live": True})


async def ready(model: Model, _: Request) -> Response:
    """Answer `GET /v2/health/ready`."""
    if model.is_ready:
        return encode({"live": True, "ready": True})
    return encode({"error": model.why_not_ready, "live": True, "ready": False}, 503)


async def ping(model: Model, _: Request) -> Response:
    """Answer `GET /ping` and `GET /health`: MLflow's line feed, SageMaker's status."""
    return Response(b"\n", 200 if model.is_ready else 503)


async def root(model: Model, request: Request) -> Response:
    """Answer `GET /`: KServe's liveness, Cog's discovery, and where everything else is.

    Of a scoring script of Azure ML's, what that platform's own server says.
    """
    if model.is_azures:
        return await azureml.healthy(model, request)
    document = {
        "status": "alive",
        "name": model.bill.name,
        "version": model.bill.version,
        "ready": model.is_ready,
        **_DISCOVERY,
    }
    return encode(document)


async def success(model: Model, _: Request) -> Response:
    """Answer `GET /-/healthz`, with what Ray's proxy says."""
    if model.is_ready:
        return Response(b"success", content_type=b"text/plain")
    return Response(model.why_not_ready.encode(), 503, b"text/plain")


ROUTES: Table = {
    "/": {"GET": root},
    "/v2/health/live": {"GET": live},
    "/v2/health/ready": {"GET": ready},
    "/livez": {"GET": live},
    "/readyz": {"GET": ping},
    "/healthz": {"GET": ping},
    "/ping": {"GET": ping},
    "/health": {"GET": ping},
    "/-/healthz": {"GET": success},
    "/robots933456.txt": {"GET": ping},  # how Azure App Service asks whether a container is up
}
