"""`GET /metrics`, in Prometheus' text format."""

from __future__ import annotations

from lading_runtime.front.messages import Request, Response
from lading_runtime.front.metrics import CONTENT_TYPE
from lading_runtime.front.model import Model
from lading_runtime.front.routes import Table


async def metrics(model: Model, _: Request) -> Response:
    """Answer with everything that was counted."""
    backend = model.backend
    gauges = {
        "lading_ready": ("gauge", "1 while the model can answer.", int(model.is_ready)),
        "lading_model_load_seconds": ("gauge", "How long the model took to load.", backend.load_s),
        **backend.gauges(),
    }
    return Response(model.metrics.render(gauges), content_type=CONTENT_TYPE)


ROUTES: Table = {"/metrics": {"GET": metrics}}
