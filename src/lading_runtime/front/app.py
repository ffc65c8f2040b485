"""A head in, what answers it out; then its body in, a contract's answer out, every request counted."""

from __future__ import annotations

import os
import re
import traceback
from collections.abc import Mapping
from typing import NamedTuple

from lading_runtime import log
from lading_runtime.front import deadline
from lading_runtime.front.contracts import (
    azureml,
    cog,
    health,
    kserve,
    metrics,
    mlflow,
    oip,
    openapi,
    sagemaker,
    triton,
    vertex,
)
from lading_runtime.front.messages import Refusal, Request, Response
from lading_runtime.front.model import Model
from lading_runtime.front.routes import Endpoint, Routes
from lading_runtime.front.watch import Watch

_ASKED = vertex.asked(os.environ)
ROUTES = Routes(
    (
        azureml.ROUTES,
        cog.ROUTES,
        health.ROUTES,
        kserve.ROUTES,
        metrics.ROUTES,
        mlflow.ROUTES,
        oip.ROUTES,
        openapi.ROUTES,
        sagemaker.ROUTES,
        sagemaker.asked(os.environ),
        triton.ROUTES,
        vertex.ROUTES,
    ),
    first=_ASKED,
)
_NOT_FOUND = "other"
# what nginx counts a request as whose client did not wait
_GONE = Response(b"", 499)
_OPEN = {*health.ROUTES, *_ASKED, "/v2/models/{name}/ready", "/health-check"}
_ESCAPED = re.compile(rb"%([0-9a-fA-F]{2})")
_ABSOLUTE = re.compile(rb"https?://[^/?#]+", re.IGNORECASE)
_REMEMBERED = 1024


class Target(NamedTuple):
    """What answers a method and URL."""

    pattern: str
    endpoint: Endpoint
    arguments: tuple[str, ...]
    path: str
    query: bytes
    is_open: bool
    """Whether it answers without a token: how healthy a server is, its platform asks without one."""


class App:
    """The application of one model."""

    def __init__(self, model: Model, watch: Watch) -> None:
        """Answer for a model whose worker may still be loading."""
        self._watch = watch
        self._model = model
        self._metrics = model.metrics
        self._open = {*_OPEN, "/metrics"} if model.settings.open_metrics else _OPEN
        self._targets: dict[tuple[str, bytes], Target] = {}

    def find(self, method: str, url: bytes) -> Target:
        """Return what answers; raise a Refusal where nothing does."""
        target = self._targets.get((method, url))
        if target is None:
            path, query = _split(url)
            pattern, methods, arguments = ROUTES.find(path)
            is_open = pattern in self._open and method in {"GET", "HEAD"}
            target = Target(pattern, _endpoint(methods, method), arguments, path, query, is_open)
            # clients ask for few URLs, again and again; one that makes up others cannot fill the memory
            if len(self._targets) < _REMEMBERED:
                self._targets[method, url] = target
        return target

    def refused(
        self,
        target: Target | None,
        refusal: Refusal,
        *,
        method: str,
        headers: Mapping[bytes, bytes],
        started: float,
    ) -> Response:
        """Answer a request that has not come to be answered by an endpoint."""
        if self._model.is_azures:
            refusal = azureml.unanswered(refusal)
        self._metrics.refuse(refusal.reason)
        seen = self._watch.begin(headers, target.pattern if target else _NOT_FOUND)
        path = target.path if target else ""
        return self._watch.end(seen, refusal.response(), method, path, headers, 0, started)

    async def answer(
        self, target: Target, method: str, headers: Mapping[bytes, bytes], body: bytes, started: float
    ) -> Response:
        """Answer a request whose body is there; `started` is when its head was, by `perf_counter`.

        Raises nothing but what cancels it.
        """
        counters = self._metrics
        counters.in_flight += 1
        response = _GONE
        seen = self._watch.begin(headers, target.pattern)
        try:
            request = Request(headers, body, target.arguments, method, target.path, target.query)
            work = target.endpoint(self._model, request)
            limit_s = deadline.left_s(headers)
            response = await (work if limit_s is None else deadline.within(work, limit_s))
        except Refusal as refusal:
            counters.refuse(refusal.reason)
            response = refusal.response()
        except Exception:  # noqa: BLE001 - a defect costs one request, and is told as every other error
            log.write("error", f"a request to {target.pattern} failed: {traceback.format_exc()}")
            counters.refuse("defect")
            response = Refusal(500, "the server failed at this request: its log says how").response()
        finally:
            counters.in_flight -= 1
            response = self._watch.end(seen, response, method, target.path, headers, len(body), started)
        return response


def _endpoint(methods: Mapping[str, Endpoint], method: str) -> Endpoint:
    endpoint = methods.get("GET" if method == "HEAD" else method)
    if endpoint is None:
        allowed = ", ".join(methods)
        raise Refusal(405, f"got {method}, expected {allowed}", headers={"allow": allowed})
    return endpoint


def _split(url: bytes) -> tuple[str, bytes]:
    """Split a request's target into its path, unescaped, and its query; a proxy's form names a host first."""
    if not url.startswith(b"/"):
        host = _ABSOLUTE.match(url)
        if host is None:
            raise Refusal(400, "got a target that is no path, expected '/…'")
        url = url[host.end() :]
        url = url if url.startswith(b"/") else b"/" + url
    path, _, query = url.partition(b"?")
    if b"%" in path:
        path = _ESCAPED.sub(lambda match: bytes((int(match[1], 16),)), path)
    return path.decode("utf-8", "replace"), query
