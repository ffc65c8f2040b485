"""Whether a model is ready, in; gRPC's own health protocol (grpc.health.v1) out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc

from lading_runtime.front import protobuf, rpc_messages
from lading_runtime.front.messages import Refusal
from lading_runtime.front.protobuf import MalformedError

SERVICE = "grpc.health.v1.Health"
_SERVING, _NOT_SERVING, _SERVICE_UNKNOWN = 1, 2, 3
_READINESS = {"", "inference.GRPCInferenceService", "readiness"}
_WATCHERS_MAX = 256
_LOOK_S = 0.25

Answering = Callable[[bytes, Any], Awaitable[bytes]]


class Health:
    """What is asked about the server ("", `readiness`), its process (`liveness`), or a model by its name."""

    def __init__(self, is_ready: Callable[[str], Awaitable[bool | None]]) -> None:
        """Ask `is_ready` of a model's name, or of "", the server; None: there is no such model."""
        self._is_ready = is_ready
        self._watchers = 0
        self._is_ending = False

    def end(self) -> None:
        """Let those who watch go."""
        self._is_ending = True

    def handler(self, checking: Answering) -> Any:  # noqa: ANN401 - grpc has no types
        """Return what gRPC calls; `checking` is `check`, wrapped as the server wraps its calls."""
        methods = {
            "Check": grpc.unary_unary_rpc_method_handler(checking),
            "Watch": grpc.unary_stream_rpc_method_handler(self._watch),
        }
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    async def check(self, data: bytes) -> bytes:
        """Answer once."""
        status = await self._status(rpc_messages.read_texts(data).get(1, ""))
        if status == _SERVICE_UNKNOWN:
            raise Refusal(404, "no such service")
        return protobuf.whole(1, status)

    async def _watch(self, data: bytes, context: Any) -> AsyncIterator[bytes]:  # noqa: ANN401
        """Tell of health whenever it changes, until the client goes or the server does."""
        if self._watchers >= _WATCHERS_MAX:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many watch already")
        try:
            service = rpc_messages.read_texts(data).get(1, "")
        except MalformedError:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "got no message of this method")
        self._watchers += 1
        told = 0
        try:
            while True:
                status = await self._status(service)
                if status != told:
                    told = status
                    yield protobuf.whole(1, status)
                if self._is_ending:
                    return
                await asyncio.sleep(_LOOK_S)
        finally:
            self._watchers -= 1

    async def _status(self, service: str) -> int:
        if service == "liveness":
            return _SERVING
        is_ready = await self._is_ready("" if service in _READINESS else service)
        if is_ready is None:
            return _SERVICE_UNKNOWN
        return _SERVING if is_ready else _NOT_SERVING
