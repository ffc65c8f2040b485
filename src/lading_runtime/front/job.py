"""A request on its way to a worker: what it asks, who waits for the answer, and until when."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import perf_counter

from lading_runtime import log
from lading_runtime.front.batch import rows_of
from lading_runtime.front.channel import Answer
from lading_runtime.front.encode import Input
from lading_runtime.front.messages import Refusal

OnPart = Callable[[Answer], None]


class Left(asyncio.CancelledError):
    """Nobody waits for a request any more: its client has gone, or the client's time is over."""

    def __init__(self, times_s: tuple[float, float]) -> None:
        """Say how long it waited for a worker and was with one."""
        super().__init__()
        self.times_s = times_s


class Job:
    """A request on its way."""

    __slots__ = (
        "due_s",
        "future",
        "has_begun",
        "is_second",
        "name",
        "on_part",
        "rows",
        "sent_s",
        "since_s",
        "wanted",
    )

    def __init__(
        self,
        wanted: Input,
        future: asyncio.Future[Answer],
        now_s: float,
        timeout_s: float,
        *,
        alone: bool,
        on_part: OnPart | None,
    ) -> None:
        """Begin to wait, for `timeout_s`; `alone` is never merged with others."""
        self.wanted = wanted
        request = log.REQUEST.get()
        self.name = "" if request is None else request.request_id
        """What a line that the worker writes for it is known by."""
        self.future = future
        self.since_s = self.sent_s = now_s
        self.due_s = now_s + timeout_s
        self.rows = 0 if alone else rows_of(wanted)
        """How many rows it has; 0: it is given to the model by itself."""
        self.on_part = on_part
        """Given each answer that says that more follow; the last one is the future's."""
        self.has_begun = self.is_second = False
        """Whether a part of the answer is out; whether it is tried again, after a worker's end."""

    def refuse(self, refusal: Refusal) -> None:
        """Answer with a refusal, if somebody still waits."""
        if not self.future.done():
            refusal.times_s = self.times_s()
            self.future.set_exception(refusal)

    def times_s(self) -> tuple[float, float]:
        """Return how long it has waited for a worker, and been with one."""
        now_s = perf_counter()
        is_sent = self.sent_s > self.since_s
        return (self.sent_s - self.since_s, now_s - self.sent_s) if is_sent else (now_s - self.since_s, 0.0)

    def answer(self, answer: Answer, now_s: float) -> None:
        """Answer, and say how long it took, if somebody still waits."""
        if not self.future.done():
            times_s = (self.sent_s - self.since_s, now_s - self.sent_s)
            self.future.set_result(Answer(answer.header, answer.body, *times_s))

    def part(self, answer: Answer) -> None:
        """Hand on a part of the answer, if somebody still waits."""
        if self.on_part is not None and not self.future.done():
            self.has_begun = True
            self.on_part(answer)
