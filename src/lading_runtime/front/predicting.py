"""One prediction in Cog's words, from `starting` to `succeeded`, `failed` or `canceled`; who hears of it."""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timezone
from time import perf_counter
from typing import Any
from weakref import WeakKeyDictionary

import msgspec

from lading_runtime.front import routines
from lading_runtime.front.answers import printed
from lading_runtime.front.encode import Input
from lading_runtime.front.messages import Refusal
from lading_runtime.front.model import Model
from lading_runtime.front.render import bare, decode
from lading_runtime.front.webhooks import Webhook

_NOT_THE_MODELS = {400, 409, 429, 503}


class Prediction:
    """A prediction that has been asked for."""

    def __init__(
        self,
        identity: str,
        given: msgspec.Raw,
        webhook: Webhook | None,
    ) -> None:
        """Begin it by `run`."""
        self.identity = identity
        self.task: asyncio.Task[None] | None = None
        self.refusal: Refusal | None = None
        """Why it was never begun: there was no room, or the input is none that the model takes."""
        self._given = given
        self._webhook = webhook
        self._status = "starting"
        self._output: Any = None
        self._error: str | None = None
        self._created = _now()
        self._started: str | None = None
        self._completed: str | None = None
        self._took_s = 0.0
        self._events: list[tuple[bytes, Any]] = []
        self._has_changed = asyncio.Event()

    def document(self) -> dict[str, Any]:
        """Return its state, as Cog's server prints it."""
        document = {
            "id": self.identity,
            "input": self._given,
            "output": self._output,
            "error": self._error,
            "logs": "",
            "status": self._status,
            "created_at": self._created,
            "started_at": self._started,
            "completed_at": self._completed,
        }
        if self._completed:
            document["metrics"] = {"predict_time": self._took_s}
        return document

    def printed(self) -> bytes:
        """Print its state; what is JSON already, and may be large, is copied once."""
        first, *rest = self.document().items()
        parts: list[Any] = [b"{", _pair(*first)]
        for name, value in rest:
            raw = isinstance(value, msgspec.Raw)
            parts += [b',"%s":' % name.encode(), memoryview(value)] if raw else [b",", _pair(name, value)]
        return b"".join([*parts, b"}"])

    async def run(self, model: Model, wanted: Input, *, is_row: bool) -> None:
        """Predict; whatever becomes of it, its state says so and the webhook is told."""
        began = perf_counter()
        self._started = _now()
        self._tell("start")
        self._status = "processing"
        self._event("start", {"id": self.identity, "status": self._status})
        try:
            if model.routine is not None and model.routine.is_stream:
                await self._gather(model, wanted)
            else:
                body = await printed(model, bare, await model.predict(wanted))
                self._output = _output(body, is_row=is_row)
                self._tell("output")
            self._end("succeeded", began)
        except Refusal as refusal:
            if refusal.status in _NOT_THE_MODELS:
                self.refusal = refusal
            self._error = refusal.message
            self._end("failed", began)
        except asyncio.CancelledError:
            self._end("canceled", began)
        except BaseException:
            self._error = "the server failed at this prediction"
            self._end("failed", began)
            raise

    async def follow(self, *, is_shared: bool) -> AsyncIterator[bytes]:
        """Give its events from the first on; one that is not shared ends with who follows it."""
        told = 0
        try:
            while True:
                while told < len(self._events):
                    name, document = self._events[told]
                    yield b"event: %s\ndata: %s\n\n" % (name, msgspec.json.encode(document))
                    told += 1
                if self._completed:
                    return
                self._has_changed.clear()
                await self._has_changed.wait()
        finally:
            if self.task is not None and not is_shared:
                self.task.cancel()

    async def _gather(self, model: Model, wanted: Input) -> None:
        """Collect what a generator gives, and tell of each part."""
        self._output = []
        parts = model.stream(routines.in_parts(wanted))
        try:
            async for part in parts:
                chunk = msgspec.Raw(bare(part))
                self._event("output", {"chunk": chunk, "index": len(self._output)})
                self._output.append(chunk)
                self._tell("output")
        finally:
            await parts.aclose()  # type: ignore[attr-defined]

    def _event(self, name: str, document: Any) -> None:
        self._events.append((name.encode(), document))
        self._has_changed.set()

    def _end(self, status: str, began: float) -> None:
        self._status = status
        self._completed = _now()
        self._took_s = perf_counter() - began
        self._event("completed", self.document())
        self._tell("completed")

    def _tell(self, event: str) -> None:
        if self._webhook is not None:
            self._webhook.tell(event, self.document())


class Running:
    """The predictions of a model that are not done, by their ids."""

    def __init__(self) -> None:
        """Begin with none."""
        self._by_id: dict[str, Prediction] = {}

    def find(self, identity: str) -> Prediction | None:
        """Return one that is running."""
        return self._by_id.get(identity)

    def __len__(self) -> int:
        """Return how many are running."""
        return len(self._by_id)

    def begin(self, prediction: Prediction, model: Model, wanted: Input, *, is_row: bool) -> None:
        """Start one; it leaves when it is done."""
        task = asyncio.get_running_loop().create_task(prediction.run(model, wanted, is_row=is_row))
        prediction.task = task
        self._by_id[prediction.identity] = prediction
        task.add_done_callback(lambda _: self._by_id.pop(prediction.identity, None))


_of_models: WeakKeyDictionary[Model, Running] = WeakKeyDictionary()


def running(model: Model) -> Running:
    """Return a model's running predictions."""
    return _of_models.setdefault(model, Running())


def _output(body: bytes, *, is_row: bool) -> Any:
    """Return the JSON of an output; of a model that predicts rows, the one row."""
    if not is_row:
        return msgspec.Raw(body)
    values = decode(memoryview(body))
    return values[0] if isinstance(values, list) and len(values) == 1 else values


def _pair(name: str, value: Any) -> bytes:
    return msgspec.json.encode({name: value})[1:-1]


def _now() -> str:
    return datetime.now(timezone.utc).isoformat()
