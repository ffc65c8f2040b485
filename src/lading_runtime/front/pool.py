"""Encoded inputs in, answers of several workers out; a worker that dies or hangs is replaced.

A worker has one message at a time, and the rest waits here, so that what kills a worker takes few others with
it, and those are tried again, each by itself. A slot is free before an answer is handed back: a client that
sends one request after another is never refused.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from time import perf_counter
from typing import Any

from lading_runtime import launch, log, wire
from lading_runtime.bill import Bill
from lading_runtime.front import batch
from lading_runtime.front.backend import FULL
from lading_runtime.front.channel import Answer
from lading_runtime.front.encode import Input
from lading_runtime.front.job import Job, Left, OnPart
from lading_runtime.front.member import Flight, Member, Told
from lading_runtime.front.messages import RETRY_AFTER, Refusal
from lading_runtime.front.metrics import BUCKETS_COUNT, Histogram, Value
from lading_runtime.front.reaper import Reaper
from lading_runtime.front.settings import Settings
from lading_runtime.front.staff import Staff

# how much finer than the time limits they are looked at, and how seldom at most
_TICKS = 20
_MAX_TICK_S = 0.25
# a worker with several requests says that it has heard a cancellation, unless something blocks it
_HEARD_S = 1.0


class Pool(Told):
    """The workers of one model, and the requests that wait for one."""

    def __init__(
        self,
        bill: Bill,
        settings: Settings,
        plan: launch.Plan,
        reaper: Reaper,
        on_fatal: Callable[[str], None],
    ) -> None:
        """`on_fatal` is called, with the reason, when no worker can be had any more."""
        self._timeout_s = settings.request_timeout_s
        self._room = settings.queue_length
        self._is_over = False
        self._most_rows = settings.batch_rows
        self._linger_s = settings.batch_wait_ms / 1000
        self._lanes = 1
        """How many messages a worker has at a time."""
        self._most_lanes = max(1, settings.async_concurrency)
        self._loop = asyncio.get_running_loop()
        self._on_fatal = on_fatal
        self._staff = Staff(bill, plan, reaper, settings.load_timeout_s, self._fail)
        self._idle: list[Member] = []
        self._batches = False
        self._may_batch = settings.batch_rows > 1
        self._expected = 0
        """Requests that will probably be there soon, when a batch is not yet sent."""
        self._next: asyncio.Handle | None = None
        self._ticker: asyncio.TimerHandle | None = None
        self.waiting: deque[Job] = deque()
        self.loaded = self._staff.loaded
        """Set when a worker is ready for the first time."""
        self.load_s = 0.0
        self.waits_for = ""
        """What there has to be before a worker is started, for people."""
        self._batch_sizes = Histogram(BUCKETS_COUNT)

    async def adopt(self, started: launch.Started) -> None:
        """Take charge of the first process, which has been started."""
        await self._staff.begin(started, self)

    @property
    def facts(self) -> Mapping[str, Any]:
        """Return what loading told of the model."""
        return self._staff.facts

    @property
    def is_ready(self) -> bool:
        """Tell whether a request sent now would be answered: a worker is there, and room to wait for it."""
        return self._staff.is_ready and (len(self.waiting) < self._room or bool(self._idle))

    @property
    def state(self) -> str:
        """Say, for people, what is waited for."""
        if not self.loaded.is_set():
            return self.waits_for or "the model is loading"
        if not self._staff.is_ready:
            return "the worker is being replaced"
        return "ready" if self.is_ready else FULL

    async def predict(self, wanted: Input, on_part: OnPart | None = None) -> Answer:
        """Return the answer; raise a Refusal when there is none, or no room to wait.

        `on_part` is given each answer that says that more follow. Who is cancelled takes the request along,
        unless it has begun.
        """
        job = self._admit(wanted, on_part)
        try:
            return await job.future
        except asyncio.CancelledError:
            self._drop(job)
            raise Left(job.times_s()) from None

    async def stream(self, wanted: Input) -> AsyncIterator[Answer]:
        """Give the parts of an answer as they come; raise a Refusal where they end before their end.

        One who reads no further, or slower than the time limit, ends it at the worker too.
        """
        parts: asyncio.Queue[Answer | None] = asyncio.Queue()
        job = self._admit(wanted, parts.put_nowait)
        job.future.add_done_callback(lambda _: parts.put_nowait(None))
        try:
            while True:
                part = await parts.get()
                if part is None:
                    answer = await job.future
                    if not answer.header.get("end"):
                        yield answer
                    return
                for member in self._staff.members:
                    member.take(job, perf_counter())
                yield part
        finally:
            if not job.future.done():
                job.future.cancel()
                self._drop(job)

    def gauges(self) -> Mapping[str, tuple[str, str, Value]]:
        """Return what metrics say of the workers: name → (type, help, value)."""
        members = self._staff.members
        ready = sum(one.is_ready for one in members)
        running = sum(len(one.jobs) for one in members)
        text = "How many requests were given to a worker at once."
        return {
            "lading_queue_length": ("gauge", "Requests waiting for a worker.", len(self.waiting)),
            "lading_requests_running": ("gauge", "Requests that are with a worker.", running),
            "lading_workers": ("gauge", "Workers that there are to be.", len(members)),
            "lading_workers_ready": ("gauge", "Workers that can answer.", ready),
            "lading_worker_restarts_total": ("counter", "Workers replaced.", self._staff.restarts),
            "lading_batch_requests": ("histogram", text, self._batch_sizes),
        }

    def processes(self) -> Mapping[str, int]:
        """Return the processes that there are now: `worker-0` and on, and `loader`, which forks them."""
        return self._staff.processes()

    def abandon(self, why: str) -> None:
        """Refuse what waits and what runs, and whatever else comes; nobody is left to answer it."""
        self._is_over = True
        jobs = [*self.waiting, *(job for member in self._staff.members for job in member.jobs)]
        self.waiting.clear()
        for job in jobs:
            job.refuse(Refusal(503, why, headers=RETRY_AFTER, reason="shutting_down"))

    async def close(self, timeout_s: float) -> None:
        """End the workers: idle ones by their input, with `timeout_s` to go, busy ones at once."""
        for handle in (self._next, self._ticker):
            if handle is not None:
                handle.cancel()
        await self._staff.close(timeout_s)

    def _admit(self, wanted: Input, on_part: OnPart | None) -> Job:
        if not self.loaded.is_set():
            raise Refusal(503, self.state, headers=RETRY_AFTER, reason="not_loaded")
        if self._is_over:
            raise Refusal(503, "the server has ended", headers=RETRY_AFTER, reason="shutting_down")
        if len(self.waiting) >= self._room:
            self._dispatch()
            if len(self.waiting) >= self._room and not self._idle:
                raise Refusal(503, FULL, headers=RETRY_AFTER, reason="queue_full")
        job = Job(
            wanted,
            self._loop.create_future(),
            perf_counter(),
            self._timeout_s,
            alone=not self._batches or on_part is not None,
            on_part=on_part,
        )
        self.waiting.append(job)
        if self._ticker is None:
            self._tick()
        if self._idle:
            self._plan()
        return job

    def _plan(self) -> None:
        """Send what waits now, or wait a little for what is on its way."""
        if not self._batches or self._expected <= 1 or not self.waiting[0].rows:
            self._dispatch()
        elif len(self.waiting) >= self._expected:
            if self._next is not None:
                self._next.cancel()
            # what else has come in with this request is read before
            self._next = self._loop.call_soon(self._dispatch)
        elif self._next is None:
            self._next = self._loop.call_later(self._linger_s, self._dispatch)

    def _dispatch(self) -> None:
        """Give each idle worker what it can take."""
        if self._next is not None:
            self._next.cancel()
            self._next = None
        while self._idle and self.waiting:
            jobs = self._take(math.ceil(len(self.waiting) / len(self._idle)))
            if jobs:
                self._batch_sizes.observe(len(jobs))
                self._idle.pop().run(jobs, perf_counter())

    def _take(self, most: int) -> Sequence[Job]:
        """Take the next request, and those behind it that can go with it; their order is kept."""
        waiting = self.waiting
        first = waiting.popleft()
        while first.future.done():
            if not waiting:
                return ()
            first = waiting.popleft()
        rows = first.rows
        if not rows or not self._batches:
            return (first,)
        jobs = [first]
        while waiting and len(jobs) < most:
            job = waiting[0]
            if not job.future.done():
                if (
                    not job.rows
                    or rows + job.rows > self._most_rows
                    or not batch.are_alike(first.wanted, job.wanted)
                ):
                    break
                rows += job.rows
                jobs.append(job)
            waiting.popleft()
        return jobs

    def on_answer(self, member: Member, jobs: Sequence[Job], answer: Answer) -> None:
        """Hand an answer back; the worker is free before."""
        rows = sum([job.rows for job in jobs])
        fitting = self._most_rows * len(jobs) // rows if rows else 1
        self._expected = min(len(jobs) + len(self.waiting), fitting)
        if member.is_ready:
            self._idle.append(member)
        else:
            self._remove(member)
        if self._lanes > 1 and len(self._idle) > 1:
            # the one that has least to do is taken next
            self._idle.sort(key=lambda one: -len(one.flights))
        now_s = perf_counter()
        if len(jobs) == 1:
            jobs[0].answer(answer, now_s)
        else:
            self._deal(member, jobs, answer, now_s)
        if self.waiting and self._idle:
            self._plan()

    def _deal(self, member: Member, jobs: Sequence[Job], answer: Answer, now_s: float) -> None:
        if answer.header.get("unbatchable") and self._batches:
            self._batches = False
            log.write("warning", "the model does not answer row by row: requests are no longer merged")
        try:
            for job, own in zip(jobs, batch.split(answer, [job.rows for job in jobs])):  # noqa: B905 - checked
                job.answer(own, now_s)
        except (wire.WireError, KeyError, IndexError, TypeError) as error:
            log.write("error", f"the worker's answer makes no sense: {error!r}")
            self._retry(jobs)
            self._remove(member)
            member.kill("an answer that makes no sense")

    def on_message(self, member: Member, header: dict[str, Any]) -> None:
        """Take what a worker says of itself."""
        if not self._staff.on_message(member, header):
            return
        if not self.load_s:
            self.load_s = float(self.facts.get("load_s", 0.0))
            self._batches = self._may_batch and bool(self.facts.get("batches"))
        if self.facts.get("async"):
            self._lanes = self._most_lanes
            member.widen(self._lanes)
        self._idle += [member] * self._lanes
        self._dispatch()

    def on_end(self, member: Member) -> None:
        """Have another worker, and answer what this one had."""
        self._remove(member)
        self._staff.on_end(member, self._on_reason)

    def _on_reason(self, member: Member, reason: str) -> None:
        """Answer the request that was running; of a batch, try each by itself.

        What an async routine was asked side by side is not tried again: it may have had its effects.
        """
        jobs = member.jobs
        is_batch = self._lanes == 1 and len(jobs) > 1
        again = [job for job in jobs if not job.is_second and not job.has_begun] if is_batch else []
        beside = "" if is_batch or len(jobs) < 2 else f" and {len(jobs) - 1} beside it; it may have been done"
        member.flights.clear()
        for job in jobs:
            if job not in again:
                message = f"the worker {reason} while it answered this request{beside}"
                job.refuse(Refusal(500, message, reason="worker_ended"))
        self._retry(again)

    def _retry(self, jobs: Sequence[Job]) -> None:
        due_s = perf_counter() + self._timeout_s
        for job in reversed(jobs):
            if not job.future.done():
                job.rows = 0
                job.is_second = True
                job.due_s = due_s
                self.waiting.appendleft(job)
        self._dispatch()

    def _remove(self, member: Member) -> None:
        self._idle = [one for one in self._idle if one is not member]

    def _fail(self, reason: str) -> None:
        """Let nobody wait for what will not come."""
        while self.waiting:
            self.waiting.popleft().refuse(Refusal(503, reason, headers=RETRY_AFTER, reason="not_loaded"))
        self._on_fatal(reason)

    def _drop(self, job: Job) -> None:
        """Forget a request for which nobody waits; one that runs already runs on, if it cannot be stopped."""
        if job in self.waiting:
            self.waiting.remove(job)
        elif self._lanes > 1 or job.on_part is not None:
            for member in self._staff.members:
                self._leave(member, job)

    def _leave(self, member: Member, job: Job) -> None:
        """Have a request cancelled, within its time, or the worker ended that does not hear it."""
        now_s = perf_counter()
        member.leave(job, now_s, max(0.0, self._timeout_s - _HEARD_S))

    def _tick(self) -> None:
        """Look for what takes too long, as long as there is anything."""
        now_s = perf_counter()
        while self.waiting and self.waiting[0].due_s <= now_s:
            waited = f"the request waited {self._timeout_s:g} s for its turn"
            self.waiting.popleft().refuse(Refusal(503, waited, headers=RETRY_AFTER, reason="queue_timeout"))
        is_busy = bool(self.waiting)
        for member in self._staff.members:
            for flight in list(member.flights.values()):
                is_busy = True
                if flight.since_s + self._timeout_s <= now_s:
                    self._ran_too_long(member, flight)
                elif flight.since_s == math.inf and flight.taken_s + self._timeout_s <= now_s:
                    flight.jobs[0].refuse(Refusal(408, "the answer was not read in time"))
                    self._leave(member, flight.jobs[0])
        pause_s = min(self._timeout_s / _TICKS, _MAX_TICK_S)
        self._ticker = self._loop.call_later(pause_s, self._tick) if is_busy else None

    def _ran_too_long(self, member: Member, flight: Flight) -> None:
        took = f"longer than {self._timeout_s:g} s"
        if len(flight.jobs) == 1:
            (job,) = flight.jobs
            job.refuse(Refusal(504, f"the model took {took} for this request", reason="model_timeout"))
            if self._lanes > 1 and not flight.is_left:  # other requests are with this worker
                self._leave(member, job)
                return
            flight.jobs = ()
            member.lost.append(job.name)
        member.kill(f"taking {took}")
