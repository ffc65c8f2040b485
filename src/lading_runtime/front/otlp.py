"""Spans in, the body of an OTLP/HTTP request out: protobuf or JSON (opentelemetry-proto, trace/v1).

Written by hand: the messages are few and fixed, and the libraries that know all of OpenTelemetry cost a start
0.3 s and each request more than everything else that the front does for it.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Union

from lading_runtime.front.protobuf import varint

Scalar = Union[str, bool, int, float]  # noqa: UP007 - evaluated under Python 3.9 too
INTERNAL, SERVER = 1, 2
_ERROR = 2
_VARINT, _FIXED64, _BYTES = 0, 1, 2
_MASK64 = (1 << 64) - 1


class Span(NamedTuple):
    """Something that took time. Ids are hexadecimal; `parent_id` may be empty."""

    trace_id: str
    span_id: str
    parent_id: str
    state: str
    name: str
    kind: int
    start_ns: int
    end_ns: int
    attributes: Mapping[str, Scalar]
    error: str = ""
    """Why it failed; the empty text is for what did not."""


class Origin(NamedTuple):
    """Who reports the spans."""

    resource: Mapping[str, Scalar]
    scope: str
    scope_version: str


def to_json(origin: Origin, spans: Iterable[Span]) -> bytes:
    """Print JSON, as protobuf's mapping with OTLP's exceptions has it: ids are hexadecimal, enums numbers."""
    scope = {"name": origin.scope, "version": origin.scope_version}
    entries = [_json_span(one) for one in spans]
    scoped = [{"scope": scope, "spans": entries}]
    resource = {"attributes": _json_attributes(origin.resource)}
    return json.dumps({"resourceSpans": [{"resource": resource, "scopeSpans": scoped}]}).encode()


def _json_span(span: Span) -> dict[str, object]:
    entry: dict[str, object] = {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "traceState": span.state,
        "name": span.name,
        "kind": span.kind,
        "startTimeUnixNano": str(span.start_ns),
        "endTimeUnixNano": str(span.end_ns),
        "attributes": _json_attributes(span.attributes),
    }
    if span.parent_id:
        entry["parentSpanId"] = span.parent_id
    if span.error:
        entry["status"] = {"code": _ERROR, "message": span.error}
    return entry


def _json_attributes(attributes: Mapping[str, Scalar]) -> list[dict[str, object]]:
    return [{"key": key, "value": _json_value(value)} for key, value in attributes.items()]


def _json_value(value: Scalar) -> dict[str, object]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"doubleValue": value} if isinstance(value, float) else {"stringValue": value}


def to_protobuf(origin: Origin, spans: Iterable[Span]) -> bytes:
    """Print an `ExportTraceServiceRequest`."""
    scope = _text(1, origin.scope) + _text(2, origin.scope_version)
    scoped = _field(1, scope) + b"".join(_field(2, _span(one)) for one in spans)
    resource = _attributes(1, origin.resource)
    return _field(1, _field(1, resource) + _field(2, scoped))


def _span(span: Span) -> bytes:
    parts = [
        _field(1, bytes.fromhex(span.trace_id)),
        _field(2, bytes.fromhex(span.span_id)),
        _text(3, span.state),
        _field(4, bytes.fromhex(span.parent_id)) if span.parent_id else b"",
        _text(5, span.name),
        _tag(6, _VARINT) + varint(span.kind),
        _tag(7, _FIXED64) + struct.pack("<Q", span.start_ns),
        _tag(8, _FIXED64) + struct.pack("<Q", span.end_ns),
        _attributes(9, span.attributes),
    ]
    if span.error:
        parts.append(_field(15, _text(2, span.error) + _tag(3, _VARINT) + varint(_ERROR)))
    return b"".join(parts)


def _attributes(number: int, attributes: Mapping[str, Scalar]) -> bytes:
    return b"".join(
        _field(number, _text(1, key) + _field(2, _value(value))) for key, value in attributes.items()
    )


def _value(value: Scalar) -> bytes:
    """Print an `AnyValue`; a member that is set is there even where it is nought."""
    if isinstance(value, bool):
        return _tag(2, _VARINT) + varint(value)
    if isinstance(value, int):
        return _tag(3, _VARINT) + varint(value & _MASK64)
    if isinstance(value, float):
        return _tag(4, _FIXED64) + struct.pack("<d", value)
    return _field(1, value.encode("utf-8", "replace"))


def _text(number: int, text: str) -> bytes:
    return _field(number, text.encode("utf-8", "replace")) if text else b""


def _field(number: int, data: bytes) -> bytes:
    return _tag(number, _BYTES) + varint(len(data)) + data


def _tag(number: int, kind: int) -> bytes:
    return varint(number << 3 | kind)


def batches(spans: Sequence[Span], size: int) -> Iterable[Sequence[Span]]:
    """Cut spans into requests of at most so many."""
    return (spans[start : start + size] for start in range(0, len(spans), size))
