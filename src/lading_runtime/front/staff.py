"""A started process in, as many workers as there should be out; each that ends is followed by another.

Where that is safe, the first process only loads the model, and forks the workers: they share its memory, and
one that ends is replaced within milliseconds. Elsewhere each worker loads the model for itself.
"""

from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import Callable, Coroutine
from typing import Any

from lading_runtime import cores, launch, log
from lading_runtime.bill import Bill
from lading_runtime.front.member import Member, Told
from lading_runtime.front.reaper import Reaper

_MAX_LOAD_FAILURES = 5
# what one request costs the front: a model that is faster than this keeps up with it in one worker
_FRONT_S = 100e-6
# of the memory that is free, so much may be taken by workers that load the model for themselves
_MEMORY_SHARE = 0.8


class Staff:
    """The workers of one model."""

    def __init__(
        self,
        bill: Bill,
        plan: launch.Plan,
        reaper: Reaper,
        load_timeout_s: float,
        on_fatal: Callable[[str], None],
    ) -> None:
        """`on_fatal` is called, with the reason, when no worker can be had any more."""
        self._bill = bill
        self._plan = plan
        self._reaper = reaper
        self._load_timeout_s = load_timeout_s
        self._on_fatal = on_fatal
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._load_failures = 0
        self._is_closing = False
        self._told = Told()
        self._source: Member | None = None
        """What forks the workers, where they share the model; and a way to send it sockets."""
        self._control: socket.socket | None = None
        self._unfilled: list[Member] = []
        self.members: list[Member] = []
        self.loaded = asyncio.Event()
        """Set when a worker has become ready for the first time."""
        self.facts: dict[str, Any] = {}
        """What loading told of the model: `names`, `width`, `batches`."""
        self.restarts = 0

    async def begin(self, started: launch.Started, told: Told) -> None:
        """Take charge of the first process; `told` hears of all that they do."""
        self._told = told
        self.members = [Member(0, self._reaper, told)]
        await self._open(self.members[0], started)

    @property
    def is_ready(self) -> bool:
        """Tell whether there is a worker that takes requests, now or when it has answered another."""
        return any(one.is_ready for one in self.members)

    def on_message(self, member: Member, header: dict[str, Any]) -> bool:
        """Take what a process says of itself; tell whether it is ready for requests now."""
        if "ready" in header:
            self._stop_timer(member)
            if member.process is None:
                member.adopt(int(header["ready"]))
                if self._source is not None:
                    self._source.vouch()
            member.has_loaded = member.is_ready = True
            self.loaded.set()
            return True
        if "loaded" in header:
            self._on_loaded(member, header["loaded"])
        elif "failed" in header:
            member.load_error = str(header["failed"])
        return False

    def _on_loaded(self, member: Member, facts: dict[str, Any]) -> None:
        """Learn what the model is, and have as many workers as it can use."""
        self._load_failures = 0
        is_first = not self.facts
        self.facts = facts
        if facts["shares"]:
            self._stop_timer(member)
            member.has_loaded = True
            if is_first:
                self._source = member
                self.members = self._new(0, facts)
                self._unfilled = list(self.members)
            self._fill()
        elif member is self._source:
            member.load_error = "the model could be shared by its workers, and now it cannot"
            member.kill("that")
        elif is_first:
            others = self._new(1, facts)
            self.members = [member, *others]
            for one in others:
                self._spawn(self._start(one))

    def on_end(self, member: Member, on_reason: Callable[[Member, str], None]) -> None:
        """Find out why a process has ended, tell `on_reason`, and start another."""
        member.is_ready = False
        if not self._is_closing:
            self._spawn(self._replace(member, on_reason))

    def processes(self) -> dict[str, int]:
        """Return the processes that there are now: name → id."""
        named = {f"worker-{one.number}": one for one in self.members}
        if self._source is not None:
            named["loader"] = self._source
        return {name: one.process.pid for name, one in named.items() if one.process is not None}

    async def close(self, timeout_s: float) -> None:
        """End all of them."""
        self._is_closing = True
        for task in self._tasks:
            task.cancel()
        everyone = {*self.members, *([self._source] if self._source else [])}
        if self._control is not None:
            self._control.close()
        await asyncio.gather(*(one.close(timeout_s) for one in everyone))

    def _new(self, first: int, facts: dict[str, Any]) -> list[Member]:
        return [Member(number, self._reaper, self._told) for number in range(first, self._count(facts))]

    def _count(self, facts: dict[str, Any]) -> int:
        """Return how many workers there should be.

        As many as there are cores, but no more than the front can keep busy, or than their memory allows.
        """
        if self._plan.workers is not None:
            return self._plan.workers
        count = cores.cores()
        row_s = facts.get("warm_s")
        if row_s is not None:
            count = min(count, math.ceil(row_s / _FRONT_S))
        if not facts["shares"]:
            count = min(count, 1 + int(cores.free_bytes() * _MEMORY_SHARE) // max(1, facts["rss_bytes"]))
        return max(1, count)

    async def _replace(self, member: Member, on_reason: Callable[[Member, str], None]) -> None:
        is_source = member is self._source
        had_loaded = member.has_loaded
        member.has_loaded = False
        reason = await member.end()
        names = member.names
        on_reason(member, reason)
        is_forked = self._source is not None and not is_source
        what = "the process that loads the model" if is_source else "the worker"
        # once it has loaded, only what loading itself says is held against it, not that a process was ended
        was_ended = had_loaded or is_forked or self.loaded.is_set()
        failed = member.load_error or ("" if was_ended else f"{what} {reason}")
        if failed and self._gives_up(failed):
            return
        delay_s = member.delay_s
        fields = {"request_id": names} if names else {}
        log.write("warning", f"{what} {reason}; another one starts in {delay_s:g} s", **fields)
        if delay_s:
            await asyncio.sleep(delay_s)
        self.restarts += 1
        if is_forked:
            self._unfilled.append(member)
            self._fill()
        else:
            await self._start(member)

    def _fill(self) -> None:
        """Have a worker forked for each place that is empty, if there is what can do it."""
        while self._unfilled and self._source is not None and self._source.has_loaded:
            member = self._unfilled.pop(0)
            ours, theirs = socket.socketpair()
            try:
                assert self._control is not None
                socket.send_fds(self._control, [b"f"], [theirs.fileno()])
            except OSError:
                ours.close()
                self._unfilled.insert(0, member)  # for the next one that has loaded the model
                return
            finally:
                theirs.close()
            self._start_timer(member)
            self._spawn(member.open(ours, None))

    async def _start(self, member: Member) -> None:
        """Start a process that loads the model itself."""
        try:
            share = member is self._source or not self.facts
            started = self._plan.start(self._bill, member.number, share=share)
        except OSError as error:
            self._on_fatal(f"no worker can be started: {error}")
            return
        await self._open(member, started)

    async def _open(self, member: Member, started: launch.Started) -> None:
        started.process.returncode = 0  # the reaper takes leave of it, not this object
        if member.number == 0:  # the first to load the model: it may turn out to be what forks the others
            if self._control is not None:
                self._control.close()
            self._control = started.socket.dup()
        self._start_timer(member)
        await member.open(started.socket, started.process.pid)

    def _gives_up(self, reason: str) -> bool:
        """Tell whether loading has failed for good: at first, or five times in a row with no worker left."""
        self._load_failures += 1
        log.write("error", f"the model did not load: {reason}")
        if self.is_ready or (self.loaded.is_set() and self._load_failures < _MAX_LOAD_FAILURES):
            return False
        self._on_fatal("the model does not load")
        return True

    def _start_timer(self, member: Member) -> None:
        self._stop_timer(member)
        member.load_timer = self._loop.call_later(self._load_timeout_s, self._expire, member)

    def _stop_timer(self, member: Member) -> None:
        if member.load_timer is not None:
            member.load_timer.cancel()

    def _expire(self, member: Member) -> None:
        took = f"longer than {self._load_timeout_s:g} s"
        member.load_error = f"it took {took}"
        member.kill(f"taking {took}")

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
