"""The Open Inference Protocol over gRPC, and gRPC's own health, beside the HTTP side and on its event loop.

Imported after HTTP listens: grpc costs a tenth of a second, which no first prediction should wait for.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from time import perf_counter
from typing import Any

import grpc

from lading_runtime import log
from lading_runtime.front import inference, names, rpc_health, rpc_infer, rpc_messages, rpc_server
from lading_runtime.front.access import Access
from lading_runtime.front.apart import apart
from lading_runtime.front.decode import LARGE_BYTES
from lading_runtime.front.messages import Refusal, Response
from lading_runtime.front.model import Model
from lading_runtime.front.protobuf import MalformedError
from lading_runtime.front.rpc_health import Answering, Health
from lading_runtime.front.watch import Watch

SERVICE = "inference.GRPCInferenceService"
_GONE = 499

Context = Any
Method = Callable[[bytes], Awaitable[bytes]]


class Service:
    """What answers calls."""

    def __init__(self, model: Model, watch: Watch, guard: Access | None) -> None:
        """Answer for a model that may still be loading."""
        self._model = model
        self._guard = guard
        self._watch = watch
        self.health = Health(self._is_ready)

    def handlers(self) -> list[Any]:
        """Return what gRPC calls; a method that is not here is UNIMPLEMENTED."""
        methods: Mapping[str, Method] = {
            "ServerLive": self._live,
            "ServerReady": self._ready,
            "ModelReady": self._model_ready,
            "ServerMetadata": self._server,
            "ModelMetadata": self._metadata,
            "ModelInfer": self._infer,
            "RepositoryIndex": self._index,
            "RepositoryModelLoad": self._load,
            "RepositoryModelUnload": self._unload,
        }
        unary = grpc.unary_unary_rpc_method_handler
        checking = self._answering(f"/{rpc_health.SERVICE}/Check", self.health.check, is_open=True)
        own = {name: unary(self._answering(f"/{SERVICE}/{name}", one)) for name, one in methods.items()}
        return [
            grpc.method_handlers_generic_handler(SERVICE, own),
            self.health.handler(checking),
        ]

    def _answering(self, route: str, method: Method, *, is_open: bool = False) -> Answering:
        """Wrap a method in what is done for every call: it is counted, and a refusal becomes a status."""

        async def answer(data: bytes, context: Context) -> bytes:
            started = perf_counter()
            headers = rpc_server.headers(context)
            counters = self._model.metrics
            counters.in_flight += 1
            seen = self._watch.begin(headers, route)
            refusal = None
            response = Response(b"", _GONE)
            try:
                if self._guard is not None and not is_open:
                    self._guard.check(headers)
                response = Response(await method(data))
            except MalformedError as error:
                refusal = Refusal(400, f"got no message of this method: {error}")
            except Refusal as one:
                refusal = one
            except Exception:  # noqa: BLE001 - a defect costs one call, and is told as every other error
                log.write("error", f"a call of {route} failed: {traceback.format_exc()}")
                refusal = Refusal(500, "the server failed at this call: its log says how", reason="defect")
            finally:
                counters.in_flight -= 1
                if refusal is not None:
                    counters.refuse(refusal.reason)
                    response = Response(b"", refusal.status)
                told = self._watch.end(seen, response, "POST", route, headers, len(data), started)
            context.set_trailing_metadata(_trailing(told))
            if refusal is not None:
                await context.abort(rpc_server.code(refusal), refusal.message)
            return response.body

        return answer

    async def _live(self, _: bytes) -> bytes:
        return rpc_messages.write_flag(value=True)

    async def _ready(self, _: bytes) -> bytes:
        return rpc_messages.write_flag(value=self._model.is_ready)

    async def _model_ready(self, data: bytes) -> bytes:
        self._check_name(data)
        return rpc_messages.write_flag(value=self._model.is_ready)

    async def _server(self, _: bytes) -> bytes:
        extensions = [one for one in inference.EXTENSIONS if one == "model_repository"]
        return rpc_messages.write_server("lading", self._model.bill.lading, extensions)

    async def _metadata(self, data: bytes) -> bytes:
        self._check_name(data)
        return rpc_messages.write_metadata(inference.describe(self._model))

    async def _infer(self, data: bytes) -> bytes:
        model = self._model
        size = 0 if len(data) <= LARGE_BYTES or self._is_light(data) else len(data)
        request, wanted = await apart(model, size, partial(rpc_infer.ask, model, data))
        answer = await model.predict(wanted)
        size = 0 if request.is_raw else len(answer.body)
        return bytes(await apart(model, size, partial(rpc_infer.tell, model, request, answer)))

    def _is_light(self, data: bytes) -> bool:
        kinds = rpc_messages.raw_kinds(data)
        return kinds is not None and inference.is_light(self._model, kinds)

    async def _index(self, data: bytes) -> bytes:
        only_ready = rpc_messages.read_flag(data, 2)
        models = inference.index(self._model)
        return rpc_messages.write_index(one for one in models if one["state"] == "READY" or not only_ready)

    async def _load(self, data: bytes) -> bytes:
        return rpc_messages.write_loaded(self._known(data))

    async def _unload(self, data: bytes) -> bytes:
        self._known(data)
        raise inference.cannot_unload(self._model)

    def _known(self, data: bytes) -> str:
        """Return the model that is named: in KServe's messages by field 1, in the others' by field 2."""
        found = rpc_messages.read_texts(data)
        names.check_known(self._model, found.get(2) or found.get(1, ""))
        return self._model.bill.name

    def _check_name(self, data: bytes) -> None:
        found = rpc_messages.read_texts(data)
        names.check(self._model, found.get(1, ""), found.get(2) or None)

    async def _is_ready(self, service: str) -> bool | None:
        is_known = service in {"", self._model.bill.name, self._model.bill.own_name}
        return self._model.is_ready if is_known else None


def _trailing(response: Response) -> tuple[tuple[str, str], ...]:
    return tuple((response.headers or {}).items())


async def serve(
    model: Model, watch: Watch, guard: Access | None, stop: asyncio.Event, drain_s: float
) -> None:
    """Answer calls until `stop` is set, then what is in flight, for at most `drain_s`."""
    service = Service(model, watch, guard)
    await rpc_server.speak(model.settings, service.handlers(), stop, drain_s, service.health.end)
