"""ASGI: a connection's request in, a contract's answer out, every request counted."""

from __future__ import annotations

import asyncio
import os
import traceback
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from time import perf_counter
from typing import Any

from lading_runtime import log
from lading_runtime.front.contracts import azureml, health, kserve, metrics, mlflow, oip, vertex
from lading_runtime.front.messages import Refusal, Request, Response
from lading_runtime.front.model import Model
from lading_runtime.front.routes import Endpoint, Routes

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ROUTES = Routes(
    (
        azureml.ROUTES,
        health.ROUTES,
        kserve.ROUTES,
        metrics.ROUTES,
        mlflow.ROUTES,
        oip.ROUTES,
        vertex.ROUTES,
    ),
    first=vertex.asked(os.environ),
)
_NOT_FOUND = "other"
_WITH_BODY = {"POST", "PUT"}
_CLOSE = {"connection": "close"}


class App:
    """The ASGI application of one model."""

    def __init__(self, model: Model) -> None:
        """Answer for a model whose worker may still be loading."""
        self._model = model
        self._limit_bytes = model.settings.body_limit_bytes
        self._body_timeout_s = float(model.settings.keep_alive_s)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        started = perf_counter()
        counters = self._model.metrics
        counters.in_flight += 1
        route = _NOT_FOUND
        body = b""
        try:
            route, methods, arguments = ROUTES.find(scope["path"])
            method = scope["method"]
            endpoint = _endpoint(methods, method)
            headers = dict(scope["headers"])
            if method in _WITH_BODY:
                body = await self._body(headers, receive)
            request = Request(headers, body, arguments, method, scope["path"], scope["query_string"])
            response = await endpoint(self._model, request)
        except Refusal as refusal:
            counters.refuse(refusal.reason)
            response = refusal.response()
        except Exception:  # noqa: BLE001 - a defect costs one request, and is told as every other error
            log.write("error", f"a request to {route} failed: {traceback.format_exc()}")
            counters.refuse("defect")
            response = Refusal(500, "the server failed at this request: its log says how").response()
        finally:
            counters.in_flight -= 1
        took_s = perf_counter() - started
        counters.count(route, response.status, took_s, len(body), len(response.body))
        await self._send(response, send)

    async def _body(self, headers: Mapping[bytes, bytes], receive: Receive) -> bytes:
        """Read a whole body, at most the limit; the parts are joined once."""
        limit = self._limit_bytes
        declared = headers.get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > limit:
            raise _too_large(limit)
        message = await receive()
        if not message.get("more_body"):
            return bytes(message.get("body", b""))
        parts = [message["body"]]
        length = len(parts[0])
        while message.get("more_body"):
            try:
                message = await asyncio.wait_for(receive(), self._body_timeout_s)
            except asyncio.TimeoutError:
                raise Refusal(408, "the body did not arrive in time", headers=_CLOSE) from None
            parts.append(message.get("body", b""))
            length += len(parts[-1])
            if length > limit:
                raise _too_large(limit)
        return b"".join(parts)

    async def _send(self, response: Response, send: Send) -> None:
        headers = [(b"content-type", response.content_type)]
        if response.stream is None:
            headers.append((b"content-length", str(len(response.body)).encode()))
        if response.headers:
            headers += [(name.encode(), value.encode()) for name, value in response.headers.items()]
        if self._model.is_draining:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        if response.stream is None:
            await send({"type": "http.response.body", "body": response.body})
            return
        await send({"type": "http.response.body", "body": response.body, "more_body": True})
        async for piece in response.stream:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def _endpoint(methods: Mapping[str, Endpoint], method: str) -> Endpoint:
    endpoint = methods.get("GET" if method == "HEAD" else method)
    if endpoint is None:
        allowed = ", ".join(methods)
        raise Refusal(405, f"got {method}, expected {allowed}", headers={"allow": allowed})
    return endpoint


def _too_large(limit_bytes: int) -> Refusal:
    return Refusal(413, f"got a body of more than {limit_bytes} bytes (LADING_BODY_LIMIT_BYTES)")
