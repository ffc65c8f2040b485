"""What a contract sees of a package: its bill, its schema, whether it is ready, and `predict`."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from time import perf_counter
from typing import Any

from lading_runtime.bill import Bill
from lading_runtime.front import media, routines
from lading_runtime.front.backend import Backend
from lading_runtime.front.channel import Answer
from lading_runtime.front.encode import Input
from lading_runtime.front.job import Left
from lading_runtime.front.messages import Refusal, Request
from lading_runtime.front.metrics import Family, Metrics
from lading_runtime.front.routines import Routine
from lading_runtime.front.schema import Schema, read
from lading_runtime.front.settings import Settings

OnPrediction = Callable[[Input, Answer | None, Refusal | None, float], None]
"""Told of each prediction: what was asked, the answer or why there is none, and when it began."""

# why there is no answer, which Azure ML's contract tells from other reasons
SCORING_TIMEOUT, FORMLESS = "scoring_timeout", "model_answer"
_IS_AZURES = bool(os.environ.get("AZUREML_ENTRY_SCRIPT"))
# a body that is handed on as it is: its own limit has been looked at
_BODIES = frozenset({"json", "media", "form"})


def gone() -> Refusal:
    """Return what is recorded of a request whose client waits no more."""
    return Refusal(499, "the client has gone, or its time is over", code="CANCELLED", reason="client_gone")


class Model:
    """One packaged model, in front of what predicts."""

    def __init__(self, bill: Bill, settings: Settings, backend: Backend, metrics: Metrics) -> None:
        """Wait for `learn` to know what only the loaded model can tell."""
        self.bill = bill
        self.settings = settings._replace(default_accept=media.by_default(settings.default_accept))
        self.backend = backend
        self.metrics = metrics
        self._truths = bool((bill.model.get("loader_options") or {}).get("truths"))
        self.schema: Schema = read(bill.model.get("signature"), truths=self._truths)
        self.digest = settings.package_digest or f"sha256:{hashlib.sha256(bill.text).hexdigest()}"
        """The package's own digest where the server was told of it, else its bill's."""
        self.routine: Routine | None = Routine() if bill.model["loader"] == "routine" else None
        """What an inference routine of one's own takes and gives; None of any other model."""
        self.takes_json = self.routine is not None
        self.is_draining = False
        self.shortcut: Callable[[Request], bytes | None] | None = None
        """Answers `/invocations` without a message between; None, of a request, leaves it to the long way."""
        self.on_prediction: OnPrediction | None = None
        self.more_metrics: Callable[[], Iterable[Family]] = tuple

    def learn(self) -> None:
        """Take the names and number of features from the loaded model, where the bill has no signature."""
        facts = self.backend.facts
        if self.routine is not None:
            self.routine = routines.learn(facts)
            self.takes_json = not self.routine.takes_table
        told = facts.get("names"), facts.get("width")
        self.schema = read(self.bill.model.get("signature"), *told, truths=self._truths)

    def _check_size(self, wanted: Input) -> None:
        """Refuse more rows, or larger tensors, than the settings allow; a file's bytes are no rows."""
        if wanted.content in _BODIES:
            return
        size_bytes = 0
        for entry, data in wanted.tensors:
            size_bytes += len(data)
            shape = entry["shape"]
            if shape and shape[0] > self.settings.row_limit:
                limit = self.settings.row_limit
                raise Refusal(413, f"got {shape[0]} rows, expected at most {limit} (LADING_ROW_LIMIT)")
        if size_bytes > self.settings.tensor_limit_bytes:
            limit = self.settings.tensor_limit_bytes
            what = f"got tensors of {size_bytes} bytes, expected at most {limit}"
            raise Refusal(413, f"{what} (LADING_TENSOR_LIMIT_BYTES)")

    @property
    def is_azures(self) -> bool:
        """Tell whether it is a scoring script of Azure ML's, or deployed as one is."""
        return _IS_AZURES or (self.routine is not None and self.routine.is_azures)

    @property
    def is_ready(self) -> bool:
        """Tell whether a request sent now would be answered."""
        return self.backend.is_ready and not self.is_draining

    @property
    def why_not_ready(self) -> str:
        """Say, for people, what is waited for."""
        return "the server is shutting down" if self.is_draining else self.backend.state

    async def predict(self, wanted: Input) -> Answer:
        """Ask the backend; raise a Refusal where it has no prediction to give, or too much is asked for."""
        self._check_size(wanted)
        started = perf_counter()
        answer = None
        try:
            answer = await self.backend.predict(wanted)
            self._checked(answer)
        except Refusal as refusal:
            self._tell(wanted, answer or self._lost(refusal.times_s), refusal, started)
            raise
        except Left as left:
            lost = self._lost(left.times_s)
            if lost is not None:  # what never reached the model is no prediction
                self._tell(wanted, lost, gone(), started)
            raise
        self._tell(wanted, answer, None, started)
        return answer

    def _tell(self, wanted: Input, answer: Answer | None, refusal: Refusal | None, started: float) -> None:
        if self.on_prediction is not None:
            self.on_prediction(wanted, answer, refusal, started)

    def _lost(self, times_s: tuple[float, float] | None) -> Answer | None:
        """Count the time of a request that the model had and has not answered; None where it had not."""
        if times_s is None or not times_s[1]:
            return None
        self.metrics.queue_s.observe(times_s[0])
        self.metrics.model_s.observe(times_s[1])
        return Answer({}, memoryview(b""), *times_s)

    async def read_file(self, wanted: Input) -> Answer:
        """Have the worker read a file, which is no prediction."""
        return self._checked(await self.backend.predict(wanted))

    async def stream(self, wanted: Input) -> AsyncIterator[Answer]:
        """Ask the backend for an answer in parts; raise a Refusal, at the beginning or midway."""
        parts = self.backend.stream(wanted)
        started = perf_counter()
        last: Answer | None = None
        # unless it ends by itself, or by a refusal
        refusal: Refusal | None = gone()
        try:
            async for part in parts:
                if part.header.get("more"):
                    yield part
                else:
                    last = self._checked(part)
                    yield last
            refusal = None
        except Refusal as one:
            refusal = one
            raise
        finally:
            await parts.aclose()  # type: ignore[attr-defined]
            self._tell(wanted, last, refusal, started)

    def _checked(self, answer: Answer) -> Answer:
        """Count an answer; raise a Refusal where it is an error."""
        self.metrics.queue_s.observe(answer.queue_s)
        self.metrics.model_s.observe(answer.model_s)
        error = answer.header.get("error")
        if error is None:
            return answer
        refusal = _refusal(error)
        refusal.said = error["message"]
        raise refusal


def _refusal(error: Mapping[str, Any]) -> Refusal:
    """Say what a worker's `error` means."""
    kind, message = error["kind"], error["message"]
    if kind == "too_large":
        return Refusal(413, message, reason="too_large")
    if kind == "unsupported":
        return Refusal(415, message, reason="unsupported")
    if kind == "refused":
        return Refusal(
            int(error.get("status", 400)),
            f"the model refused the input: {message}",
            code="INVALID_PARAMETER_VALUE",
            reason="model_refused",
        )
    if kind == "timeout":
        return Refusal(504, f"the model took too long: {message}", reason=SCORING_TIMEOUT)
    reason = FORMLESS if kind == "formless" else "model_failed"
    return Refusal(500, f"the model failed: {message}", reason=reason)
