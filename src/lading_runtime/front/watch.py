"""A request's headers in, its name out; its answer in, what those who watch are told of it out.

What is off is decided once, at the start, and costs a request nothing.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import suppress
from random import random
from time import perf_counter
from typing import TYPE_CHECKING

from lading_runtime import log
from lading_runtime.front.channel import Answer
from lading_runtime.front.contracts import health
from lading_runtime.front.contracts import metrics as metrics_contract
from lading_runtime.front.encode import Input
from lading_runtime.front.messages import Refusal, Response
from lading_runtime.front.metrics import Family, labels
from lading_runtime.front.model import Model
from lading_runtime.front.spans import of_request
from lading_runtime.front.trace import Asked, Prediction, Seen, see, traceparent

if TYPE_CHECKING:
    from lading_runtime.front.inference_log import InferenceLog
    from lading_runtime.front.tracer import Tracer

_now = log.REQUEST.set
# asked for by whoever watches, again and again: they are no spans
_OF_GRPC = ("grpc.health.v1.Health/Check", "inference.GRPCInferenceService/ServerLive")
_UNTRACED = {*health.ROUTES, *metrics_contract.ROUTES, *("/" + one for one in _OF_GRPC)}


class Watch:
    """Everyone who watches one server."""

    def __init__(self, model: Model, environ: Mapping[str, str]) -> None:
        """Decide who watches."""
        settings = model.settings
        self._count = model.metrics.count
        self._access = settings.access_log_sample if settings.access_log else 0.0
        self._logs = settings.access_log
        self._scheme = "https" if settings.tls_certificate else "http"
        self._facts = {"name": model.bill.name, "version": model.bill.version, "digest": model.digest}
        self._tracer = _tracer(model, environ)
        self._inferences = _inference_log(model)
        self._is_told = self._logs or self._tracer is not None
        """Whether there is more to do for an answered request than to count it."""
        if self._tracer is not None or self._inferences is not None:
            model.on_prediction = self._predicted
        model.more_metrics = self._families

    def begin(self, headers: Mapping[bytes, bytes], route: str) -> Seen:
        """Name a request; what is logged until `end` bears the name."""
        seen = see(headers, route)
        if self._tracer is not None:
            seen = self._tracer.begin(seen)
        _now(seen)
        return seen

    def end(  # noqa: PLR0917 - asked for once a request: keywords would cost as much as all that it does
        self,
        seen: Seen,
        response: Response,
        method: str,
        path: str,
        headers: Mapping[bytes, bytes],
        received: int,
        started: float,
    ) -> Response:
        """Count and tell of an answered request; return its answer with its names in the headers."""
        _now(None)
        body, status, content_type, given, stream = response
        names = {"x-request-id": seen.request_id}
        if given is not None:
            names |= given
        if seen.trace_id:
            names["traceparent"] = _own_parent(seen)
        if stream is None and not self._is_told:
            self._count(seen.route, status, perf_counter() - started, received, len(body))
            return Response(body, status, content_type, names)
        asked = Asked(method, path, headers, received, started)
        if stream is None:
            self._tell(seen, status, asked, len(body))
        else:
            stream = self._streamed(stream, seen, status, asked, len(body))
        return Response(body, status, content_type, names, stream)

    def close(self) -> None:
        """Write and send what waits."""
        if self._inferences is not None:
            self._inferences.close()
        if self._tracer is not None:
            self._tracer.close()

    async def _streamed(
        self, stream: AsyncIterator[bytes], seen: Seen, status: int, asked: Asked, sent: int
    ) -> AsyncIterator[bytes]:
        """Hand on a stream; it is counted when it ends, or when its client has gone."""
        _now(seen)
        try:
            async for piece in stream:
                sent += len(piece)
                yield piece
        finally:
            close = getattr(stream, "aclose", None)
            if close is not None:
                with suppress(Exception):  # it has been told of, if it failed before
                    await close()
            _now(None)
            self._tell(seen, status, asked, sent)

    def _tell(self, seen: Seen, status: int, asked: Asked, sent: int) -> None:
        took_s = perf_counter() - asked.started
        self._count(seen.route, status, took_s, asked.received, sent)
        if self._logs and (status >= 500 or self._access >= 1.0 or random() < self._access):  # noqa: S311
            self._log(seen, status, asked, sent, took_s)
        if seen.is_sampled and seen.route not in _UNTRACED:
            assert self._tracer is not None
            self._tracer.add(
                of_request(
                    self._tracer.at,
                    self._facts,
                    seen,
                    asked,
                    scheme=self._scheme,
                    status=status,
                    sent=sent,
                    took_s=took_s,
                )
            )

    @staticmethod
    def _log(seen: Seen, status: int, asked: Asked, sent: int, took_s: float) -> None:
        names = {"request_id": seen.request_id}
        if seen.trace_id:
            names["trace_id"] = seen.trace_id
        log.write(
            "info",
            f"{asked.method} {asked.path} {status}",
            **names,
            method=asked.method,
            route=seen.route,
            status=status,
            duration_s=round(took_s, 6),
            request_bytes=asked.received,
            response_bytes=sent,
        )

    def _predicted(
        self, wanted: Input, answer: Answer | None, refusal: Refusal | None, started: float
    ) -> None:
        """Take note of one prediction."""
        seen = log.REQUEST.get()
        ended = perf_counter()
        error = "" if refusal is None else refusal.reason
        queue_s, model_s = (0.0, 0.0) if answer is None else (answer.queue_s, answer.model_s)
        if isinstance(seen, Seen) and seen.predictions is not None:
            seen.predictions.append(Prediction(started, ended, queue_s, model_s, error))
        if self._inferences is not None:
            named = seen if isinstance(seen, Seen) else None
            self._inferences.record(named, wanted, answer, refusal, ended - started)

    def _families(self) -> Iterator[Family]:
        """Return what metrics say of those who watch."""
        if self._tracer is not None:
            counts = {
                labels(outcome="sent"): self._tracer.sent,
                labels(outcome="dropped"): self._tracer.dropped,
            }
            yield Family("lading_spans_total", "counter", "Spans of traces, by what became of them.", counts)
        if self._inferences is not None:
            yield self._inferences.family()


def _own_parent(seen: Seen) -> str:
    """Return the `traceparent` of what a request causes; where it is not traced, that of its client."""
    if seen.span_id:
        return traceparent(seen.trace_id, seen.span_id, int(seen.is_sampled))
    assert seen.parent is not None
    return traceparent(seen.trace_id, seen.parent.span_id, seen.parent.flags)


def _tracer(model: Model, environ: Mapping[str, str]) -> Tracer | None:
    if not any(name.startswith("OTEL_") for name in environ):
        return None
    from lading_runtime.front import tracer

    bill = model.bill
    resource = {
        "service.name": bill.name,
        "service.version": bill.version,
        "telemetry.sdk.version": bill.lading,
        "process.pid": str(os.getpid()),
    }
    return tracer.configure(environ, resource)


def _inference_log(model: Model) -> InferenceLog | None:
    if not model.settings.inference_log:
        return None
    from lading_runtime.front import inference_log

    return inference_log.start(model)
