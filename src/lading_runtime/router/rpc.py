"""A call of the Open Inference Protocol in; the answer of the model's own server out, its bytes as they are.

Imported after HTTP listens, where gRPC is asked for.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

import grpc

from lading_runtime import log
from lading_runtime.front import protobuf, rpc_messages, rpc_server
from lading_runtime.front.access import Access
from lading_runtime.front.messages import Refusal
from lading_runtime.front.protobuf import MalformedError
from lading_runtime.front.rpc_health import Answering, Health
from lading_runtime.front.settings import Settings
from lading_runtime.front.trace import see
from lading_runtime.router import calls
from lading_runtime.router.upstream import TOLD_S, Upstream

if TYPE_CHECKING:
    from lading_runtime.router.app import Router

SERVICE = "inference.GRPCInferenceService"

Context = Any
Method = Callable[[bytes], Awaitable[bytes]]


class Service:
    """What answers calls, or has them answered."""

    def __init__(self, router: Router, guard: Access | None) -> None:
        """Answer for whatever the router serves at the time."""
        self._router = router
        self._fleet = router.fleet
        self._guard = guard
        self.health = Health(self._is_model_ready)

    def handlers(self) -> list[Any]:
        """Return what gRPC calls; a method that is not here is UNIMPLEMENTED."""
        own: Mapping[str, Method] = {
            "ServerLive": self._live,
            "ServerReady": self._ready,
            "ServerMetadata": self._server,
            "RepositoryIndex": self._index,
            "RepositoryModelLoad": self._load,
            "RepositoryModelUnload": self._unload,
        }
        unary = grpc.unary_unary_rpc_method_handler
        answering = {name: unary(self._answering(one)) for name, one in own.items()}
        forwarded = {
            name: unary(self._forwarding(f"/{SERVICE}/{name}"))
            for name in ("ModelReady", "ModelMetadata", "ModelInfer")
        }
        return [
            grpc.method_handlers_generic_handler(SERVICE, {**answering, **forwarded}),
            self.health.handler(self._answering(self.health.check, is_open=True)),
        ]

    def _answering(self, method: Method, *, is_open: bool = False) -> Answering:
        async def answer(data: bytes, context: Context) -> bytes:
            return await self._guarded(method(data), context, is_open=is_open)

        return answer

    def _forwarding(self, method: str) -> Answering:
        async def forward(data: bytes, context: Context) -> bytes:
            return await self._guarded(self._forward(method, data, context), context)

        return forward

    async def _guarded(self, work: Awaitable[bytes], context: Context, *, is_open: bool = False) -> bytes:
        """Await what answers a call; a refusal becomes a status."""
        headers = rpc_server.headers(context)
        try:
            if self._guard is not None and not is_open:
                self._guard.check(headers)
            return await work
        except MalformedError as error:
            refusal = Refusal(400, f"got no message of this method: {error}")
        except Refusal as one:
            refusal = one
        except grpc.aio.AbortError:
            raise
        except Exception:  # noqa: BLE001 - a defect costs one call, and is told as every other error
            log.write("error", f"a call failed: {traceback.format_exc()}")
            refusal = Refusal(500, "the server failed at this call: its log says how")
        finally:
            if hasattr(work, "close"):
                work.close()  # one that was not begun
        context.set_trailing_metadata((("x-request-id", see(headers, "").request_id),))
        await context.abort(rpc_server.code(refusal), refusal.message)
        raise AssertionError  # abort raises

    async def _forward(self, method: str, data: bytes, context: Context) -> bytes:
        name, version = _asked(data)
        upstream = self._fleet.find(name, version or None) if name else self._fleet.default
        answer = calls.call(upstream, method, data, context)
        if method.endswith("/ModelInfer"):
            return await answer
        try:
            return await asyncio.wait_for(answer, TOLD_S)
        except asyncio.TimeoutError:
            raise upstream.hangs() from None

    async def _live(self, _: bytes) -> bytes:
        return rpc_messages.write_flag(value=True)

    async def _ready(self, _: bytes) -> bytes:
        return rpc_messages.write_flag(value=await self._is_ready())

    async def _is_ready(self) -> bool:
        return not self._router.is_draining and not await self._fleet.why_not_ready()

    async def _server(self, _: bytes) -> bytes:
        return rpc_messages.write_server("lading", "", ["model_repository"])

    async def _index(self, data: bytes) -> bytes:
        only_ready = rpc_messages.read_flag(data, 2)
        return rpc_messages.write_index(await self._fleet.index(only_ready=only_ready))

    async def _load(self, data: bytes) -> bytes:
        loaded = await self._fleet.load(_repository_name(data), rpc_messages.read_load(data))
        return rpc_messages.write_loaded(loaded.name)

    async def _unload(self, data: bytes) -> bytes:
        name = _repository_name(data)
        await self._fleet.unload(name, rpc_messages.read_load(data))
        return rpc_messages.write_loaded(name)

    async def _is_model_ready(self, service: str) -> bool | None:
        if not service:
            return await self._is_ready()
        try:
            upstream = self._fleet.find(service)
        except Refusal:
            return None
        return not self._router.is_draining and await upstream.is_ready()


def _asked(data: bytes) -> tuple[str, str]:
    """Read the model's name and version, which stand in the same fields of every message; skip the rest."""
    texts = {1: "", 2: ""}
    for field, _, value in protobuf.fields(memoryview(data)):
        if field in texts:
            texts[field] = protobuf.text(value)
    return texts[1], texts[2]


def _repository_name(data: bytes) -> str:
    """Read the model that is named: in KServe's messages by field 1, in the others' by field 2."""
    found = rpc_messages.read_texts(data)
    name = found.get(2) or found.get(1, "")
    if not name:
        raise Refusal(400, "got no model's name")
    return name


async def serve(
    router: Router, settings: Settings, guard: Access | None, stop: asyncio.Event, drain_s: float
) -> None:
    """Answer calls until `stop` is set, then what is in flight, for at most `drain_s`."""
    service = Service(router, guard)

    async def connected(upstream: Upstream) -> None:
        try:
            await calls.connect(upstream)
        except Refusal as refusal:
            log.write("warning", refusal.message)

    router.fleet.prepare = connected
    await rpc_server.speak(settings, service.handlers(), stop, drain_s, service.health.end)
