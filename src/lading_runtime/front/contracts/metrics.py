"""`GET /metrics`, in Prometheus' text format."""

from __future__ import annotations

from lading_runtime.front.messages import Request, Response
from lading_runtime.front.metrics import CONTENT_TYPE
from lading_runtime.front.model import Model


async def metrics(model: Model, _: Request) -> Response:
    """Answer with everything that was counted."""
    worker = model.supervisor
    gauges = {
        "lading_queue_length": ("gauge", "Requests waiting for the worker.", len(worker.waiting)),
        "lading_ready": ("gauge", "1 while the model can answer.", int(model.is_ready)),
        "lading_worker_restarts_total": ("counter", "Workers replaced.", worker.restarts),
        "lading_model_load_seconds": ("gauge", "How long the worker took to load.", worker.load_s),
    }
    return Response(model.metrics.render(gauges), content_type=CONTENT_TYPE)
