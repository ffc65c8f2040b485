"""`GET /metrics`, in Prometheus' text format or, where `Accept` asks for it, OpenMetrics'."""

from __future__ import annotations

import os
from collections.abc import Iterator

from lading_runtime.front import processes
from lading_runtime.front.messages import Request, Response
from lading_runtime.front.metrics import CONTENT_TYPE, OPEN_METRICS, Family, labels, render, with_labels
from lading_runtime.front.model import Model
from lading_runtime.front.routes import Table


async def metrics(model: Model, request: Request) -> Response:
    """Answer with everything that was counted."""
    is_open = b"application/openmetrics-text" in request.headers.get(b"accept", b"")
    body = render(_families(model), open_metrics=is_open)
    return Response(body, content_type=OPEN_METRICS if is_open else CONTENT_TYPE)


def _families(model: Model) -> Iterator[Family]:
    bill, backend = model.bill, model.backend
    yield from model.metrics.families()
    own = labels(model=bill.name, version=bill.version)
    yield from with_labels(_of_model(model), own)
    facts = labels(name=bill.name, version=bill.version, digest=model.digest, lading=bill.lading)
    yield Family("lading_build_info", "gauge", "1, with what is served as labels.", {facts: 1})
    yield from model.more_metrics()
    yield from processes.families({"front": os.getpid(), **backend.processes()})


def _of_model(model: Model) -> Iterator[Family]:
    yield Family("lading_ready", "gauge", "1 while the model can answer.", {"": int(model.is_ready)})
    text = "How long the model took to load."
    yield Family("lading_model_load_seconds", "gauge", text, {"": model.backend.load_s})
    yield from model.metrics.model_families()
    for name, (kind, text, value) in model.backend.gauges().items():
        yield Family(name, kind, text, {"": value})


ROUTES: Table = {"/metrics": {"GET": metrics}}
