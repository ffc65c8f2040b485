"""A request that was traced in, spans out: of the request, of its wait for the model, of the model's call.

Names and attributes are OpenTelemetry's semantic conventions for HTTP servers; `lading.*` is our own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from lading_runtime.front.otlp import INTERNAL, SERVER, Scalar, Span
from lading_runtime.front.trace import Asked, Prediction, Seen, new_span_id

Clock = Callable[[float], int]
"""What `perf_counter` said → nanoseconds since 1970."""

_MAX_TEXT = 256


def of_request(
    at: Clock,
    facts: Mapping[str, str],
    seen: Seen,
    asked: Asked,
    *,
    scheme: str,
    status: int,
    sent: int,
    took_s: float,
) -> Iterator[Span]:
    """Return the spans of an answered request; `facts` are the model's name, version and digest."""
    attributes: dict[str, Scalar] = {
        "http.request.method": asked.method,
        "url.path": asked.path[:_MAX_TEXT],
        "url.scheme": scheme,
        "http.route": seen.route,
        "http.response.status_code": status,
        "http.request.body.size": asked.received,
        "http.response.body.size": sent,
        "lading.request_id": seen.request_id,
    }
    headers = asked.headers
    for header, name in ((b"user-agent", "user_agent.original"), (b"host", "server.address")):
        if header in headers:
            attributes[name] = headers[header].decode("latin-1")[:_MAX_TEXT]
    if status >= 500:
        attributes["error.type"] = str(status)
    parent = seen.parent
    yield Span(
        seen.trace_id,
        seen.span_id,
        "" if parent is None else parent.span_id,
        "" if parent is None else parent.state,
        f"{asked.method} {seen.route}",
        SERVER,
        at(asked.started),
        at(asked.started + took_s),
        attributes,
        f"status {status}" if status >= 500 else "",
    )
    for prediction in seen.predictions or ():
        yield from _of_prediction(at, facts, seen, prediction)


def _of_prediction(at: Clock, facts: Mapping[str, str], seen: Seen, prediction: Prediction) -> Iterator[Span]:
    """Split a prediction by what its answer says; one without an answer was nothing but waiting, perhaps."""
    state = "" if seen.parent is None else seen.parent.state
    model_began = prediction.started + prediction.queue_s
    if prediction.queue_s:
        times = at(prediction.started), at(model_began)
        yield Span(seen.trace_id, new_span_id(), seen.span_id, state, "queue", INTERNAL, *times, {})
    attributes: dict[str, Scalar] = {f"lading.model.{key}": value for key, value in facts.items()}
    if prediction.error:
        attributes["error.type"] = prediction.error
    model_ended = model_began + prediction.model_s if prediction.model_s else prediction.ended
    times = at(model_began), at(model_ended)
    name = f"predict {facts['name']}"
    ids = seen.trace_id, new_span_id(), seen.span_id, state
    yield Span(*ids, name, INTERNAL, *times, attributes, prediction.error)
