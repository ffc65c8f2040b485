"""One worker's process and socket: a message out, its answer in, its end told once."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import perf_counter
from typing import Any

import msgspec

from lading_runtime import wire
from lading_runtime.front import batch
from lading_runtime.front.channel import Answer, Channel
from lading_runtime.front.job import Job
from lading_runtime.front.reaper import Reaper

# what a worker wrote last is in its socket already, and read within this time
_LAST_WORDS_S = 0.1
# one whose socket has ended is about to end itself
_GOODBYE_S = 1.0
_MAX_DELAY_S = 30.0
# a reader's progress is told to the worker not part by part
GRANT = wire.WINDOW // 2


class Process:
    """A child of this process, in a group of its own, and how it ended."""

    def __init__(self, pid: int, reaper: Reaper, on_exit: Callable[[], None]) -> None:
        """Call `on_exit` once it has ended."""
        self.pid = pid
        self.status: int | None = None
        self._on_exit = on_exit
        self._ended = asyncio.Event()
        reaper.watch(pid, self._end)

    def _end(self, status: int) -> None:
        self.status = status
        self.kill_group()
        self._ended.set()
        self._on_exit()

    def kill_group(self) -> None:
        """End it and what it started: a group outlives the process that began it."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    async def wait(self, timeout_s: float) -> int:
        """Return its status; end it if it does not go by itself."""
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._ended.wait(), timeout_s)
        if self.status is None:
            self.kill_group()
            await self._ended.wait()
        assert self.status is not None
        return self.status


class Told:
    """Who is told what a member does."""

    def on_answer(self, member: Member, jobs: Sequence[Job], answer: Answer) -> None:
        """Take the answer to what the member was given last; it is free again."""
        raise NotImplementedError

    def on_message(self, member: Member, header: dict[str, Any]) -> None:
        """Take what a member says of itself: `loaded`, `ready`, `failed`."""
        raise NotImplementedError

    def on_end(self, member: Member) -> None:
        """Learn that its socket has ended."""
        raise NotImplementedError


class Flight:
    """A message that a worker has: the requests in it, and since when it has given nothing."""

    __slots__ = ("is_left", "jobs", "sent", "since_s", "taken", "taken_s")

    def __init__(self, jobs: Sequence[Job], now_s: float) -> None:
        self.jobs = jobs
        self.since_s = now_s
        self.sent = self.taken = 0
        self.taken_s = now_s
        """How many parts of an answer have come, how many its reader has taken, and when the last."""
        self.is_left = False
        """Whether nobody waits for it any more, and the worker has been told."""


class Member:
    """One worker, with a message at a time: a request, or a batch of them. An async one has several."""

    def __init__(self, number: int, reaper: Reaper, told: Told) -> None:
        """Have no process yet. `number` tells which of the workers this is, whatever process it is."""
        self.number = number
        self.process: Process | None = None
        self.flights: dict[int, Flight] = {}
        """What it has, by lane; there is one lane, 0, but where the model is async."""
        self.lost: list[str] = []
        """Names of requests that it had, and that have been answered otherwise."""
        self.is_ready = False
        self.has_loaded = False
        self.load_error = ""
        self.load_timer: asyncio.TimerHandle | None = None
        self._reaper = reaper
        self._told = told
        self._channel: Channel | None = None
        self._killed_for = ""
        self._answered = False
        self._barren = 0
        self._lanes = [0]

    @property
    def jobs(self) -> Sequence[Job]:
        """Return the requests that it has."""
        return [job for flight in self.flights.values() for job in flight.jobs]

    @property
    def names(self) -> str:
        """Return what the requests that it has are known by."""
        return ",".join(filter(None, (*self.lost, *(job.name for job in self.jobs))))

    async def open(self, sock: socket.socket, pid: int | None) -> None:
        """Take a socket whose other end a process has; its number may come later, by `adopt`."""
        self._killed_for = self.load_error = ""
        self.lost = []
        self.process = None
        self.flights = {}
        self._lanes = [0]
        self._answered = self.has_loaded = False
        sock.settimeout(0)
        channel = self._channel = Channel(self._on_answer, lambda: self._told.on_end(self))
        if pid is not None:
            self.adopt(pid)
        await asyncio.get_running_loop().create_unix_connection(lambda: channel, sock=sock)

    def adopt(self, pid: int) -> None:
        """Learn which process it is."""
        channel = self._channel
        self.process = Process(pid, self._reaper, lambda: self._on_exit(channel))

    def vouch(self) -> None:
        """Count it as one that has been of use: a worker that it made is ready."""
        self._answered = True

    def widen(self, lanes: int) -> None:
        """Have so many lanes."""
        self._lanes = list(range(lanes))

    def run(self, jobs: Sequence[Job], now_s: float) -> None:
        """Send one request, or several that are alike."""
        assert self._channel is not None
        lane = self._lanes.pop()
        self.flights[lane] = Flight(jobs, now_s)
        for job in jobs:
            job.sent_s = now_s
        wanted = [job.wanted for job in jobs]
        self._channel.send(
            batch.message(wanted, [job.rows for job in jobs], [job.name for job in jobs], lane)
        )

    def take(self, job: Job, now_s: float) -> None:
        """Let the worker go on: a part of the answer to this request has been taken."""
        lane, flight = self._find(job)
        if flight is None:
            return
        flight.taken += 1
        flight.taken_s = now_s
        if flight.taken % GRANT == 0:
            self._tell(lane, credit=GRANT)
            if flight.since_s == math.inf:
                flight.since_s = now_s

    def leave(self, job: Job, now_s: float, most_s: float) -> None:
        """Tell the worker that nobody waits for its answer; as if it began `most_s` ago at most."""
        lane, flight = self._find(job)
        if flight is not None and not flight.is_left:
            flight.is_left = True
            flight.since_s = now_s if flight.since_s == math.inf else max(flight.since_s, now_s - most_s)
            self._tell(lane, cancel=True)

    def _find(self, job: Job) -> tuple[int, Flight | None]:
        for lane, flight in self.flights.items():
            if job in flight.jobs:
                return lane, flight
        return 0, None

    def _tell(self, lane: int, **what: object) -> None:
        if self._channel is not None:
            self._channel.send(wire.frame(msgspec.json.encode({"lane": lane, **what}), []))

    def kill(self, reason: str) -> None:
        """End it and whatever it started; that it has ended does the rest."""
        self.is_ready = False
        if self._killed_for:
            return
        self._killed_for = reason
        if self.process is not None:
            self.process.kill_group()
        elif self._channel is not None:
            self._channel.close()

    async def end(self) -> str:
        """Wait for a process whose socket has ended, and say how it ended."""
        self.is_ready = False
        if self.load_timer is not None:
            self.load_timer.cancel()
        self._barren = 0 if self._answered else self._barren + 1
        status = None if self.process is None else await self.process.wait(_GOODBYE_S)
        if self._killed_for:
            return f"was ended for {self._killed_for}"
        return "ended before it began" if status is None else describe(status)

    @property
    def delay_s(self) -> float:
        """How long to wait for the next process: longer each time that one ends without any answer."""
        return 0.0 if self._barren < 2 else min(0.25 * 2.0 ** (self._barren - 2), _MAX_DELAY_S)

    async def close(self, timeout_s: float) -> None:
        """End it: an idle one by its input, with `timeout_s` to go, a busy one at once."""
        is_idle = self.has_loaded and not self.flights
        self.is_ready = False
        if self.load_timer is not None:
            self.load_timer.cancel()
        if self._channel is not None:
            self._channel.close()
        if self.process is not None and self.process.status is None:
            await self.process.wait(timeout_s if is_idle else 0.0)

    def _on_exit(self, channel: Channel | None) -> None:
        """End the socket of an ended process: a child that was forked keeps that open."""
        if channel is self._channel:
            self.is_ready = False
        if channel is not None:
            asyncio.get_running_loop().call_later(_LAST_WORDS_S, channel.close)

    def _on_answer(self, answer: Answer) -> None:
        lane = answer.header.get("lane", 0)
        flight = self.flights.get(lane)
        if flight is None:
            self._told.on_message(self, answer.header)
        elif answer.header.get("more"):
            flight.sent += 1
            if not flight.is_left:
                # one that has used up what it was granted waits for its reader
                granted = wire.WINDOW + flight.taken // GRANT * GRANT
                flight.since_s = math.inf if flight.sent >= granted else perf_counter()
            flight.jobs[0].part(answer)
        elif answer.header.get("heard"):
            flight.since_s = perf_counter()  # what it has to clean up may take its time
        else:
            self._answered = True
            del self.flights[lane]
            self._lanes.append(lane)
            if answer.header.get("leaving"):
                self.is_ready = False
            self._told.on_answer(self, flight.jobs, answer)


def describe(status: int) -> str:
    """Say how a process ended."""
    if status >= 0:
        return f"ended with status {status}"
    name = signal.Signals(-status).name if -status in set(signal.Signals) else str(-status)
    return f"was killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
