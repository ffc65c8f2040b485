"""What was counted in, Prometheus' text format (version 0.0.4) out."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """Requests by route and status, and how long they took by route."""

    def __init__(self) -> None:
        """Begin at nought."""
        self.requests: dict[tuple[str, int], int] = {}
        self.durations: dict[str, list[float]] = {}
        """Per route: a count for each bucket and for what is beyond, then the sum of seconds."""
        self.in_flight = 0

    def count(self, route: str, status: int, duration_s: float) -> None:
        """Count one answered request. `route` is a pattern, never a client's path: its values are few."""
        key = (route, status)
        self.requests[key] = self.requests.get(key, 0) + 1
        durations = self.durations.get(route)
        if durations is None:
            durations = self.durations[route] = [0] * (len(BUCKETS_S) + 2)
        durations[bisect_left(BUCKETS_S, duration_s)] += 1
        durations[-1] += duration_s

    def render(self, gauges: Mapping[str, tuple[str, str, float]]) -> bytes:
        """Print all of it; `gauges` adds name → (type, help, value)."""
        lines = _header("lading_requests_total", "counter", "Requests answered, by route and status.")
        for (route, status), count in sorted(self.requests.items()):
            lines.append(f'lading_requests_total{{route="{route}",status="{status}"}} {count}')
        name = "lading_request_duration_seconds"
        lines += _header(name, "histogram", "From the request's head to its answer, by route.")
        for route, durations in sorted(self.durations.items()):
            lines += _histogram(name, f'route="{route}"', durations)
        lines += _header("lading_requests_in_flight", "gauge", "Requests being answered.")
        lines.append(f"lading_requests_in_flight {self.in_flight}")
        for gauge, (kind, text, value) in gauges.items():
            lines += [*_header(gauge, kind, text), f"{gauge} {value:g}"]
        return ("\n".join(lines) + "\n").encode()


def _header(name: str, kind: str, text: str) -> list[str]:
    return [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]


def _histogram(name: str, label: str, durations: list[float]) -> Iterable[str]:
    total = 0
    for bound, count in zip((*map(str, BUCKETS_S), "+Inf"), durations):  # noqa: B905 - the sum is left over
        total += int(count)
        yield f'{name}_bucket{{{label},le="{bound}"}} {total}'
    yield f"{name}_sum{{{label}}} {durations[-1]:.6f}"
    yield f"{name}_count{{{label}}} {total}"
