"""What was counted in, Prometheus' text format or OpenMetrics' out."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Union

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
OPEN_METRICS = b"application/openmetrics-text; version=1.0.0; charset=utf-8"
BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
# a compiled model answers within microseconds
FINE_BUCKETS_S = (0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, *BUCKETS_S)
BUCKETS_COUNT = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
_BEYOND = len(BUCKETS_S)
_SECONDS, _RECEIVED, _SENT = _BEYOND + 1, _BEYOND + 2, _BEYOND + 3


class Histogram:
    """How many observations lie at or below each bound, and their sum."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        """Begin at nought."""
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one observation."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


Value = Union[float, Histogram]  # noqa: UP007 - evaluated under Python 3.9 too


class Family(NamedTuple):
    """A metric: its name, `counter`, `gauge` or `histogram`, its help, and labels → value."""

    name: str
    kind: str
    text: str
    values: Mapping[str, Value]
    """Keys are as `labels` prints them; the empty text is for no labels."""


def labels(**values: str) -> str:
    """Print labels; a value may be any text."""
    return ",".join(f'{name}="{_escape(value)}"' for name, value in values.items())


class Metrics:
    """Requests by route and status: how many, how long, how large; and those that were refused, by reason."""

    def __init__(self) -> None:
        """Begin at nought."""
        self.in_flight = 0
        self.refused: dict[str, int] = {}
        self.queue_s = Histogram(FINE_BUCKETS_S)
        """How long requests waited for their turn with the model."""
        self.model_s = Histogram(FINE_BUCKETS_S)
        """How long the model took for them."""
        self._seen: dict[tuple[str, int], list[float]] = {}
        # per route and status: a count for each bucket and for what is beyond, then the sums of _SECONDS,
        # _RECEIVED and _SENT: one list, for a request looks it up once

    @property
    def requests(self) -> dict[tuple[str, int], int]:
        """Return how many requests were answered, by route and status."""
        return {key: int(sum(seen[:_SECONDS])) for key, seen in self._seen.items()}

    def count(self, route: str, status: int, duration_s: float, received: int = 0, sent: int = 0) -> None:
        """Count one answered request. `route` is a pattern, never a client's path: its values are few."""
        key = (route, status)
        seen = self._seen.get(key)
        if seen is None:
            seen = self._seen[key] = [0] * (_SENT + 1)
        seen[bisect_left(BUCKETS_S, duration_s)] += 1
        seen[_SECONDS] += duration_s
        seen[_RECEIVED] += received
        seen[_SENT] += sent

    def refuse(self, reason: str) -> None:
        """Count one request that got no prediction; a reason is one of a few words."""
        self.refused[reason] = self.refused.get(reason, 0) + 1

    def families(self) -> Iterator[Family]:
        """Return what was counted of requests."""
        durations: dict[str, Histogram] = {}
        received: dict[str, float] = {}
        sent: dict[str, float] = {}
        for (route, _), seen in sorted(self._seen.items()):
            label = labels(route=route)
            duration = durations.setdefault(label, Histogram(BUCKETS_S))
            duration.counts = [a + int(b) for a, b in zip(duration.counts, seen)]  # noqa: B905 - sums are left
            duration.total += seen[_SECONDS]
            received[label] = received.get(label, 0) + seen[_RECEIVED]
            sent[label] = sent.get(label, 0) + seen[_SENT]
        counts = {labels(route=route, status=str(status)): n for (route, status), n in self.requests.items()}
        name = "lading_requests_total"
        yield Family(name, "counter", "Requests answered, by route and status.", dict(sorted(counts.items())))
        name = "lading_request_duration_seconds"
        yield Family(name, "histogram", "From the request's head to its answer, by route.", durations)
        yield Family(
            "lading_request_bytes_total", "counter", "Bytes of requests' bodies, by route.", received
        )
        yield Family("lading_response_bytes_total", "counter", "Bytes of answers' bodies, by route.", sent)
        refused = {labels(reason=reason): count for reason, count in sorted(self.refused.items())}
        yield Family("lading_refused_total", "counter", "Requests without a prediction, by reason.", refused)
        yield Family("lading_requests_in_flight", "gauge", "Requests being answered.", {"": self.in_flight})

    def model_families(self) -> Iterator[Family]:
        """Return what was counted of predictions."""
        text = "How long a request waited for its turn with the model."
        yield Family("lading_queue_seconds", "histogram", text, {"": self.queue_s})
        text = "How long the model took for a request, its batch included."
        yield Family("lading_predict_seconds", "histogram", text, {"": self.model_s})


def with_labels(families: Iterable[Family], label: str) -> Iterator[Family]:
    """Add the same labels to all values."""
    for one in families:
        values = {f"{label},{own}" if own else label: value for own, value in one.values.items()}
        yield one._replace(values=values)


def render(families: Iterable[Family], *, open_metrics: bool = False) -> bytes:
    """Print metrics; OpenMetrics names a counter without `_total`, and marks the end."""
    lines = []
    for name, kind, text, values in families:
        title = name[: -len("_total")] if open_metrics and kind == "counter" else name
        lines += [f"# HELP {title} {text}", f"# TYPE {title} {kind}"]
        for label, value in values.items():
            if isinstance(value, Histogram):
                lines += _histogram(name, label, value)
            else:
                lines.append(f"{name}{{{label}}} {_number(value)}" if label else f"{name} {_number(value)}")
    if open_metrics:
        lines.append("# EOF")
    return ("\n".join(lines) + "\n").encode()


def _histogram(name: str, label: str, histogram: Histogram) -> Iterator[str]:
    before = f"{label}," if label else ""
    own = f"{{{label}}}" if label else ""
    total = 0
    for bound, count in zip((*map(_number, histogram.bounds), "+Inf"), histogram.counts):  # noqa: B905 - built so
        total += count
        yield f'{name}_bucket{{{before}le="{bound}"}} {total}'
    yield f"{name}_sum{own} {_number(histogram.total)}"
    yield f"{name}_count{own} {total}"


def _number(value: float) -> str:
    """Print a number so that it is read back the same; 5.0 is 5."""
    whole = int(value)
    return str(whole) if whole == value else repr(value)


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
