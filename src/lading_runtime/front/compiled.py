"""Encoded inputs in, a compiled form's answers out, in the front's own process: there is no worker.

What is quick is answered at once, what would hold up other requests in a thread, one after another.
"""

from __future__ import annotations

import asyncio
import math
import traceback
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import Any

from lading_runtime import log, wire
from lading_runtime.compiled.form import Form, Refused
from lading_runtime.front.channel import Answer
from lading_runtime.front.encode import Input
from lading_runtime.front.messages import RETRY_AFTER, Refusal
from lading_runtime.front.metrics import Value
from lading_runtime.front.settings import Settings

_AT_ONCE_S = 0.01
"""Longest that other requests may be held up by one."""
_NO_PARQUET = "a compiled model has no library that reads Parquet: expected JSON, CSV or numpy's files"
_DEAREST_ROW_S = 0.0001
_TRIALS = 3


class CompiledBackend:
    """A compiled form, behind which there is nothing."""

    def __init__(self, folder: str, settings: Settings) -> None:
        """Load the form of a folder; raise ValueError or OSError where there is none."""
        began = perf_counter()
        self.form = Form(folder)
        self.facts: Mapping[str, Any] = self.form.facts
        row_s = self._row_s()
        self.load_s = perf_counter() - began
        self.is_ready = True
        self.state = "ready"
        self.rows_at_once = max(1, int(_AT_ONCE_S / row_s))
        self._settings = settings
        self._thread: ThreadPoolExecutor | None = None
        self._waiting = 0
        self._over: asyncio.Future[str] | None = None

    async def predict(self, wanted: Input) -> Answer:
        """Return the form's answer; raise a Refusal where too many large requests wait."""
        if _count(wanted) <= self.rows_at_once:
            return self._answer(wanted, 0.0)
        if self._waiting >= self._settings.queue_length:
            what = "too many large requests are waiting for the model"
            raise Refusal(503, what, headers=RETRY_AFTER, reason="queue_full")
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1)
        loop = asyncio.get_running_loop()
        over = self._over = self._over or loop.create_future()
        self._waiting += 1
        work = loop.run_in_executor(self._thread, self._answer_in_turn, wanted, perf_counter())
        try:
            await asyncio.wait({work, over}, return_when=asyncio.FIRST_COMPLETED)
            if not over.done():
                return work.result()
        finally:
            self._waiting -= 1
            work.cancel()
        raise Refusal(503, over.result(), headers=RETRY_AFTER, reason="shutting_down")

    async def stream(self, wanted: Input) -> AsyncIterator[Answer]:
        """Give the one part that an answer has."""
        yield await self.predict(wanted)

    def gauges(self) -> Mapping[str, tuple[str, str, Value]]:
        """Return what metrics say of it: name → (type, help, value)."""
        return {
            "lading_compiled": ("gauge", "1 where a compiled form answers, without a worker.", 1),
            "lading_queue_length": ("gauge", "Large requests waiting for their turn.", self._waiting),
        }

    def processes(self) -> Mapping[str, int]:
        """Return its processes: it has none."""
        return {}

    def abandon(self, why: str) -> None:
        """Refuse what waits and what runs: there is no way to interrupt that."""
        if self._over is not None and not self._over.done():
            self._over.set_result(why)

    async def close(self, timeout_s: float) -> None:
        """Let go of the thread; what it is at is not waited for."""
        del timeout_s
        self.is_ready = False
        if self._thread is not None:
            self._thread.shutdown(wait=False, cancel_futures=True)

    def _answer_in_turn(self, wanted: Input, asked: float) -> Answer:
        waited = perf_counter() - asked
        if waited > self._settings.request_timeout_s:
            what = f"the request waited {self._settings.request_timeout_s:g} s for its turn"
            raise Refusal(503, what, headers=RETRY_AFTER, reason="waited")
        return self._answer(wanted, waited)

    def _answer(self, wanted: Input, waited: float) -> Answer:
        """Answer as a worker would: what the form refuses, and what it fails at, is in the header."""
        began = perf_counter()
        if wanted.content == "parquet":
            error = {"kind": "unsupported", "message": _NO_PARQUET}
            return Answer({"error": error}, memoryview(b""), waited, 0.0)
        try:
            header, data = self.form.answer(wanted.content, wanted.tensors, wanted.columns)
        except Refused as refused:
            error = {"kind": "refused", "message": str(refused)}
            return Answer({"error": error}, memoryview(b""), waited, perf_counter() - began)
        except Exception as failed:  # noqa: BLE001 - a defect of the form costs one request
            log.write("error", f"the compiled model failed: {traceback.format_exc()}")
            error = {"kind": "failed", "message": f"{type(failed).__name__}: {failed}"[:2000]}
            return Answer({"error": error}, memoryview(b""), waited, perf_counter() - began)
        return Answer(header, memoryview(data), waited, perf_counter() - began)

    def _row_s(self) -> float:
        """Ask for a row of zeros a few times; tell how long one takes, or a guess where it is refused."""
        names: Sequence[str] | None = self.facts["names"]
        width = int(self.facts["width"])
        data = bytes(8 * width)
        entry = wire.tensor("matrix", "FP64", [1, width], data)
        took_s = []
        for _ in range(_TRIALS):
            began = perf_counter()
            try:
                self.form.answer("frame" if names else "array", [(entry, data)], names)
            except Exception:  # noqa: BLE001 - zeros may be nothing that it answers
                return _DEAREST_ROW_S
            took_s.append(perf_counter() - began)
        return min(took_s)


def _count(wanted: Input) -> int:
    """Tell how many rows a request has; a tensor of one dimension is a column."""
    shape = wanted.tensors[0][0]["shape"] if wanted.tensors else ()
    return int(shape[0]) if shape else math.prod(shape)
