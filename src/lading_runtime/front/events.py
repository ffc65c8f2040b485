"""A CloudEvent in, its data out; predictions in, the CloudEvent that answers it out (version 1.0, HTTP)."""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any, NamedTuple

import msgspec

from lading_runtime.front.decode import is_json, media_type, parse_json
from lading_runtime.front.messages import Refusal, Request, Response, quote

_STRUCTURED = b"application/cloudevents+json"
_REQUIRED = ("id", "source", "specversion", "type")
_VERSIONS = {"1.0", "0.3"}
_BATCH = b"application/cloudevents-batch"


class Event(NamedTuple):
    """A CloudEvent: its attributes, the request that its data are, and whether the former were headers."""

    attributes: Mapping[str, Any]
    request: Request
    is_binary: bool


def is_one(request: Request) -> bool:
    """Tell whether a request is an event; refuse a batch of them."""
    kind = request.headers.get(b"content-type", b"")
    if b"ce-specversion" in request.headers:
        return True
    if kind.startswith(_BATCH):
        raise Refusal(415, "got a batch of CloudEvents, expected one")
    return kind.startswith(_STRUCTURED)


def read(request: Request) -> Event:
    """Return the request's event; refuse one that lacks what it must have."""
    if b"ce-specversion" in request.headers:
        attributes = {
            name[3:].decode("latin-1"): value.decode("latin-1")
            for name, value in request.headers.items()
            if name.startswith(b"ce-")
        }
        return _check(Event(attributes, request, is_binary=True))
    return _check(_structured(request, parse_json(request.body)))


def _structured(request: Request, document: Any) -> Event:
    if not isinstance(document, dict):
        raise Refusal(400, "expected a CloudEvent, which is an object")
    attributes = {key: value for key, value in document.items() if key not in {"data", "data_base64"}}
    kind = str(document.get("datacontenttype") or "application/json")
    request = request._replace(
        headers={**request.headers, b"content-type": kind.encode("latin-1", "replace")}
    )
    if "data_base64" not in document:
        data: Any = document.get("data")
        is_text = isinstance(data, str) and not is_json(media_type(request.headers)[0])
        body = data.encode() if is_text else msgspec.json.encode(data)
        return Event(attributes, request._replace(body=body), is_binary=False)
    try:
        body = base64.b64decode(document["data_base64"], validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise Refusal(400, "CloudEvent: data_base64: expected a base64 string") from None
    return Event(attributes, request._replace(body=body), is_binary=False)


def _check(event: Event) -> Event:
    missing = [name for name in _REQUIRED if not isinstance(event.attributes.get(name), str)]
    if missing:
        raise Refusal(400, f"CloudEvent: {missing} are missing, expected strings")
    version = event.attributes["specversion"]
    if version not in _VERSIONS:
        raise Refusal(400, f"CloudEvent: specversion: got {quote(version)}, expected '1.0'")
    if event.request.body in {b"", b"null"}:
        raise Refusal(400, "CloudEvent: got no data, expected what a request has as its body")
    # the answer is an event's data, which cannot be a picture
    headers = {**event.request.headers, b"accept": b"application/json"}
    return event._replace(request=event.request._replace(headers=headers))


def respond(event: Event, name: str, body: bytes, environ: Mapping[str, str] = os.environ) -> Response:
    """Answer an event with one, as KServe does: `CE_TYPE`, `CE_SOURCE` and `CE_MERGE` are its variables."""
    merged = event.attributes if environ.get("CE_MERGE", "").lower() == "true" else {}
    attributes = {
        **{key: str(value) for key, value in merged.items() if key != "datacontenttype"},
        "specversion": "1.0",
        "id": os.urandom(16).hex(),
        "time": datetime.now(timezone.utc).isoformat(),
        "type": environ.get("CE_TYPE") or "io.kserve.inference.response",
        "source": environ.get("CE_SOURCE") or f"io.kserve.inference.{name}",
    }
    if event.is_binary:
        return Response(body, headers={f"ce-{key}": value for key, value in attributes.items()})
    document = {**attributes, "datacontenttype": "application/json", "data": msgspec.Raw(body)}
    return Response(msgspec.json.encode(document), content_type=_STRUCTURED)
