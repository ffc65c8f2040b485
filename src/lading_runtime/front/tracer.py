"""OpenTelemetry's variables in, a tracer out: requests become spans, which a thread sends to a collector.

The variables, their defaults and the samplers are the specification's. Nothing here is imported where no
endpoint is configured. What a collector does not take in time is dropped and counted; no request waits.
"""

from __future__ import annotations

import gzip
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from lading_runtime import log
from lading_runtime.front import settings as settings_room
from lading_runtime.front.otlp import Origin, Scalar, Span, batches, to_json, to_protobuf
from lading_runtime.front.trace import SAMPLED, Seen, Traced, new_span_id, new_trace_id

_PREFIX = "OTEL_EXPORTER_OTLP_"
_DEFAULT_ENDPOINT = "http://localhost:4318"
_ENCODERS = {
    "http/protobuf": (to_protobuf, "application/x-protobuf"),
    "http/json": (to_json, "application/json"),
}
_RETRIED = {429, 502, 503, 504}
_TRIES = 3
_QUIET_S = 60.0
_LAST_S = 2.0
_BOUND64 = 1 << 64

Sampler = Callable[[Seen], bool]


class Target(NamedTuple):
    """Where spans are sent, and how."""

    url: str
    protocol: str
    headers: Mapping[str, str]
    timeout_s: float
    is_compressed: bool
    certificate: str | None


class Tracer:
    """Takes spans, and sends them from a thread of its own."""

    def __init__(self, target: Target, origin: Origin, sampler: Sampler, environ: Mapping[str, str]) -> None:
        """Start the thread."""
        self.sent = 0
        self.dropped = 0
        self._target = target
        self._origin = origin
        self._sampler = sampler
        self._delay_s = settings_room.number(environ, "OTEL_BSP_SCHEDULE_DELAY", 5000) / 1000
        self._batch = max(1, int(settings_room.number(environ, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512)))
        self._most = max(1, int(settings_room.number(environ, "OTEL_BSP_MAX_QUEUE_SIZE", 2048)))
        self._waiting: deque[Iterable[Span]] = deque()
        self._told = threading.Event()
        self._is_closing = False
        self._warned_at = -_QUIET_S
        # a clock that is not set back amid a span
        self._epoch_ns = time.time_ns() - int(time.perf_counter() * 1e9)
        self._thread = threading.Thread(target=self._run, daemon=True, name="traces")
        self._thread.start()

    def begin(self, named: Seen) -> Seen:
        """Give a request its span, within its client's trace or a new one."""
        seen = named if isinstance(named, Traced) else Traced(named.request_id, named.route, None)
        seen.span_id = new_span_id()
        if seen.parent is None:
            seen.trace_id = new_trace_id()
        seen.is_sampled = self._sampler(seen)
        if seen.is_sampled:
            seen.predictions = []
        return seen

    def add(self, spans: Iterable[Span]) -> None:
        """Take a request's spans, which are made when they are sent; drop them where too many wait."""
        if len(self._waiting) >= self._most:
            self.dropped += 1
            return
        self._waiting.append(spans)
        if len(self._waiting) == self._batch:
            self._told.set()

    def at(self, counter_s: float) -> int:
        """Return the time, in nanoseconds since 1970, at which `perf_counter` said this."""
        return self._epoch_ns + int(counter_s * 1e9)

    def close(self) -> None:
        """Send what waits, within a short time."""
        self._is_closing = True
        self._told.set()
        self._thread.join(_LAST_S)

    def _run(self) -> None:
        while True:
            self._told.wait(self._delay_s)
            self._told.clear()
            is_last = self._is_closing
            spans = [*chain.from_iterable(self._waiting.popleft() for _ in range(len(self._waiting)))]
            for batch in batches(spans, self._batch):
                if self._send(to_body(self._target, self._origin, batch)):
                    self.sent += len(batch)
                else:
                    self.dropped += len(batch)
            if is_last:
                return

    def _send(self, body: bytes) -> bool:
        headers = {**self._target.headers, "content-type": _ENCODERS[self._target.protocol][1]}
        if self._target.is_compressed:
            headers["content-encoding"] = "gzip"
        for attempt in range(_TRIES):
            request = urllib.request.Request(self._target.url, body, headers, method="POST")  # noqa: S310 - checked
            try:
                with urllib.request.urlopen(  # noqa: S310
                    request, timeout=self._target.timeout_s, context=_context(self._target)
                ):
                    return True
            except urllib.error.HTTPError as error:
                problem = f"it answered {error.code}"
                is_final = error.code not in _RETRIED
                error.close()
            except (OSError, ValueError) as error:
                problem = str(getattr(error, "reason", error))
                is_final = False
            if is_final or self._is_closing:
                break
            if attempt < _TRIES - 1:
                self._told.wait(2.0**attempt)
        self._warn(problem)
        return False

    def _warn(self, problem: str) -> None:
        """Say that spans are lost, but not with each of them."""
        now = time.monotonic()
        if now - self._warned_at >= _QUIET_S:
            self._warned_at = now
            host = urlsplit(self._target.url).hostname
            log.write("warning", f"traces are dropped: the collector at {host}: {problem}")


def to_body(target: Target, origin: Origin, spans: Sequence[Span]) -> bytes:
    """Print one request's body."""
    body = _ENCODERS[target.protocol][0](origin, spans)
    return gzip.compress(body, 1) if target.is_compressed else body


def configure(environ: Mapping[str, str], resource: Mapping[str, str]) -> Tracer | None:
    """Read the variables; None where they ask for no traces, or for what cannot be had, which is logged."""
    if not is_configured(environ):
        return None
    target = _target(environ)
    if target is None:
        return None
    named = environ.get("OTEL_SERVICE_NAME", "").strip()
    attributes: dict[str, Scalar] = {
        **resource,
        **_pairs(environ.get("OTEL_RESOURCE_ATTRIBUTES", "")),
        **({"service.name": named} if named else {}),
        "telemetry.sdk.name": "lading",
        "telemetry.sdk.language": "python",
    }
    origin = Origin(attributes, "lading_runtime", resource.get("telemetry.sdk.version", ""))
    return Tracer(target, origin, sampler(environ), environ)


def is_configured(environ: Mapping[str, str]) -> bool:
    """Tell whether traces are asked for: by an endpoint, or by the exporter's name."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporters = environ.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if exporters:
        return "otlp" in [one.strip() for one in exporters.split(",")]
    return bool(environ.get(f"{_PREFIX}TRACES_ENDPOINT") or environ.get(f"{_PREFIX}ENDPOINT"))


def _target(environ: Mapping[str, str]) -> Target | None:
    url = _of_traces(environ, "ENDPOINT", "")
    if not environ.get(f"{_PREFIX}TRACES_ENDPOINT"):
        url = (url or _DEFAULT_ENDPOINT).rstrip("/") + "/v1/traces"
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        log.write("error", "no traces: the endpoint of OpenTelemetry is no http:// or https:// URL")
        return None
    protocol = _of_traces(environ, "PROTOCOL", "http/protobuf").strip().lower()
    if protocol not in _ENCODERS:
        expected = " or ".join(map(repr, _ENCODERS))
        log.write(
            "warning", f"{_PREFIX}PROTOCOL: got {protocol!r}, expected {expected}: http/protobuf is sent"
        )
        protocol = "http/protobuf"
    return Target(
        url,
        protocol,
        _pairs(_of_traces(environ, "HEADERS", "")),
        max(0.1, settings_room.number(environ, f"{_PREFIX}TIMEOUT", 10_000) / 1000),
        _of_traces(environ, "COMPRESSION", "").strip().lower() == "gzip",
        _of_traces(environ, "CERTIFICATE", "") or None,
    )


def _context(target: Target) -> ssl.SSLContext | None:
    if not target.url.startswith("https:"):
        return None
    return ssl.create_default_context(cafile=target.certificate)


def sampler(environ: Mapping[str, str]) -> Sampler:
    """Return what decides whether a request is traced."""
    name = environ.get("OTEL_TRACES_SAMPLER", "").strip().lower() or "parentbased_always_on"
    ratio = min(1.0, settings_room.number(environ, "OTEL_TRACES_SAMPLER_ARG", 1.0))
    bound = round(ratio * _BOUND64)
    roots: dict[str, Sampler] = {
        "always_on": lambda _: True,
        "always_off": lambda _: False,
        "traceidratio": lambda seen: int(seen.trace_id[16:], 16) < bound,
    }
    root = roots.get(name.removeprefix("parentbased_"))
    if root is None:
        log.write(
            "warning", f"OTEL_TRACES_SAMPLER: got {name!r}, expected one of {sorted(roots)}: all is traced"
        )
        name, root = "parentbased_always_on", roots["always_on"]
    if not name.startswith("parentbased_"):
        return root
    return lambda seen: root(seen) if seen.parent is None else bool(seen.parent.flags & SAMPLED)


def _of_traces(environ: Mapping[str, str], name: str, default: str) -> str:
    """Read a variable: that for traces, or that for everything."""
    return environ.get(f"{_PREFIX}TRACES_{name}") or environ.get(f"{_PREFIX}{name}") or default


def _pairs(text: str) -> dict[str, str]:
    """Read `a=b,c=d`, whose values may be percent-encoded."""
    pairs = (one.partition("=") for one in text.split(",") if "=" in one)
    return {unquote(key.strip()): unquote(value.strip()) for key, _, value in pairs}
