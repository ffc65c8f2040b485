"""ASGI: a connection's request in, a contract's answer out, every request counted."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from time import perf_counter
from typing import Any

from lading_runtime import log
from lading_runtime.front.contracts import health, metrics, mlflow, oip
from lading_runtime.front.messages import Refusal, Request, Response
from lading_runtime.front.model import Model

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Endpoint = Callable[[Model, Request], Awaitable[Response]]

# path → method → what answers it
ROUTES: Mapping[str, Mapping[str, Endpoint]] = {
    "/invocations": {"POST": mlflow.invocations},
    "/v2": {"GET": oip.server},
    "/v2/": {"GET": oip.server},
    "/v2/health/live": {"GET": health.live},
    "/v2/health/ready": {"GET": health.ready},
    "/v2/models": {"GET": oip.models},
    "/ping": {"GET": health.ping},
    "/health": {"GET": health.ping},
    "/healthz": {"GET": health.ping},
    "/readyz": {"GET": health.ping},
    "/livez": {"GET": health.live},
    "/metrics": {"GET": metrics.metrics},
    "/": {"GET": health.root},
}
# what may follow `/v2/models/{name}[/versions/{version}]`
_MODEL_ROUTES: Mapping[str, Mapping[str, Endpoint]] = {
    "": {"GET": oip.metadata},
    "/ready": {"GET": oip.ready},
    "/infer": {"POST": oip.infer},
}
_NOT_FOUND = "other"
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
        try:
            route, methods, arguments = find(scope["path"])
            endpoint = _endpoint(methods, scope["method"])
            headers = dict(scope["headers"])
            body = await self._body(headers, receive) if scope["method"] == "POST" else b""
            response = await endpoint(self._model, Request(headers, body, arguments))
        except Refusal as refusal:
            response = refusal.response()
        except Exception:  # noqa: BLE001 - a defect costs one request, and is told as every other error
            log.write("error", f"a request to {route} failed: {traceback.format_exc()}")
            response = Refusal(500, "the server failed at this request: its log says how").response()
        finally:
            counters.in_flight -= 1
        counters.count(route, response.status, perf_counter() - started)
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
        headers = [
            (b"content-type", response.content_type),
            (b"content-length", str(len(response.body)).encode()),
        ]
        if response.headers:
            headers += [(name.encode(), value.encode()) for name, value in response.headers.items()]
        if self._model.is_draining:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": response.body})


def find(path: str) -> tuple[str, Mapping[str, Endpoint], tuple[str, ...]]:
    """Return a route's pattern, what answers it, and what its pattern left open; refuse with 404."""
    methods = ROUTES.get(path)
    if methods is not None:
        return path, methods, ()
    if path.startswith("/v2/models/"):
        name, *rest = path[len("/v2/models/") :].split("/")
        version: tuple[str, ...] = ()
        if rest[:1] == ["versions"] and len(rest) > 1:
            version, rest = (rest[1],), rest[2:]
        methods = _MODEL_ROUTES.get("".join(f"/{one}" for one in rest))
        if name and methods is not None:
            return f"/v2/models/{{name}}{''.join(f'/{one}' for one in rest)}", methods, (name, *version)
    raise Refusal(404, f"no such route: {path[:200]!r}")


def _endpoint(methods: Mapping[str, Endpoint], method: str) -> Endpoint:
    endpoint = methods.get("GET" if method == "HEAD" else method)
    if endpoint is None:
        allowed = ", ".join(methods)
        raise Refusal(405, f"got {method}, expected {allowed}", headers={"allow": allowed})
    return endpoint


def _too_large(limit_bytes: int) -> Refusal:
    return Refusal(413, f"got a body of more than {limit_bytes} bytes (LADING_BODY_LIMIT_BYTES)")
