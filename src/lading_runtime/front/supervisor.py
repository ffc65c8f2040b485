"""Encoded inputs in, the worker's answers out; a worker that dies or hangs is replaced.

One request is with the worker at a time and the others wait here, so a request that kills the worker takes no
other with it. The slot is free before an answer is handed back: a client that sends one request after another
is never refused.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from lading_runtime import launch, log, wire
from lading_runtime.bill import Bill
from lading_runtime.front.channel import Answer, Channel
from lading_runtime.front.encode import Input
from lading_runtime.front.messages import RETRY_AFTER, Refusal
from lading_runtime.front.metrics import Value
from lading_runtime.front.settings import Settings

_DEATHS_WITHIN_S = 60.0
_MAX_DELAY_S = 30.0
_MAX_LOAD_FAILURES = 5
# what a worker wrote last is in its socket already, and read within this time
_LAST_WORDS_S = 0.1

_encode = msgspec.json.Encoder().encode


class _Job:
    """A request on its way: its message, and who waits for the answer."""

    __slots__ = ("future", "parts", "sent_at", "since", "timer")

    def __init__(self, parts: Sequence[wire.Buffer], future: asyncio.Future[Answer]) -> None:
        self.parts = parts
        self.future = future
        self.since = self.sent_at = time.perf_counter()
        self.timer: asyncio.TimerHandle | None = None

    def refuse(self, refusal: Refusal) -> None:
        self._end()
        if not self.future.done():
            self.future.set_exception(refusal)

    def answer(self, answer: Answer) -> None:
        self._end()
        if not self.future.done():
            queue_s, model_s = self.sent_at - self.since, time.perf_counter() - self.sent_at
            self.future.set_result(Answer(answer.header, answer.body, queue_s, model_s))

    def _end(self) -> None:
        if self.timer is not None:
            self.timer.cancel()


class Supervisor:
    """One worker, and the requests that wait for it."""

    def __init__(self, bill: Bill, settings: Settings, on_fatal: Callable[[str], None]) -> None:
        """`on_fatal` is called, with the reason, when no worker can be had any more."""
        self._bill = bill
        self._settings = settings
        self._on_fatal = on_fatal
        self._loop = asyncio.get_running_loop()
        self._process: subprocess.Popen[bytes] | None = None
        self._exited: subprocess.Popen[bytes] | None = None
        self._channel: Channel | None = None
        self._running: _Job | None = None
        self._load_timer: asyncio.TimerHandle | None = None
        self._deaths: deque[float] = deque()
        self._load_failures = 0
        self._load_error = ""
        self._has_loaded = False
        self._killed_for = ""
        self._next_id = 0
        self._is_closing = False
        self._replacing: asyncio.Task[None] | None = None
        self.waiting: deque[_Job] = deque()
        self.loaded = asyncio.Event()
        """Set when a model has been loaded for the first time."""
        self.is_ready = False
        self.state = "the model is loading"
        self.facts: dict[str, Any] = {}
        """What the worker learnt of the model: `names`, `width`."""
        self.load_s = 0.0
        self.restarts = 0

    async def adopt(self, started: launch.Started) -> None:
        """Take charge of a worker that has been started."""
        self._process = started.process
        self._has_loaded = False
        self._load_error = ""
        self._killed_for = ""
        self._load_timer = self._loop.call_later(self._settings.load_timeout_s, self._load_expired)
        started.socket.settimeout(0)
        process = started.process
        channel = Channel(self._on_answer, lambda: self._on_end(process))
        self._channel = channel
        await self._loop.create_unix_connection(lambda: channel, sock=started.socket)

    async def predict(self, wanted: Input) -> Answer:
        """Return the worker's answer; raise a Refusal when there is none, or no room to wait."""
        if not self.loaded.is_set():
            raise Refusal(503, self.state, headers=RETRY_AFTER, reason="not_loaded")
        if len(self.waiting) >= self._settings.queue_length and (self._running or not self.is_ready):
            message = "too many requests are waiting for the model"
            raise Refusal(503, message, headers=RETRY_AFTER, reason="queue_full")
        job = _Job(self._message(wanted), self._loop.create_future())
        self.waiting.append(job)
        self._pump()
        if job is not self._running:
            job.timer = self._loop.call_later(self._settings.request_timeout_s, self._waited_enough, job)
        return await job.future

    def gauges(self) -> Mapping[str, tuple[str, str, Value]]:
        """Return what metrics say of the worker: name → (type, help, value)."""
        return {
            "lading_workers": ("gauge", "Workers that there are to be.", 1),
            "lading_workers_ready": ("gauge", "Workers that can answer.", int(self.is_ready)),
            "lading_queue_length": ("gauge", "Requests waiting for the worker.", len(self.waiting)),
            "lading_worker_restarts_total": ("counter", "Workers replaced.", self.restarts),
        }

    def processes(self) -> Mapping[str, int]:
        """Return the worker's process."""
        return {} if self._process is None else {"worker-0": self._process.pid}

    async def close(self, timeout_s: float) -> None:
        """End the worker: an idle one by its input, with `timeout_s` to go, a busy one at once."""
        is_idle = self.is_ready and self._running is None
        self._is_closing = True
        self.is_ready = False
        if self._replacing is not None:
            self._replacing.cancel()
        if self._channel is not None:
            self._channel.close()
        if self._process is not None:
            await _exit_status(self._process, timeout_s if is_idle else 0.0)

    def reap(self) -> None:
        """See at every SIGCHLD who has ended: the worker, and as process 1 a model's orphans."""
        if os.getpid() == 1:
            self._collect_orphans()
        process = self._process
        if process is not None and process is not self._exited and process.poll() is not None:
            self._exited = process
            self._on_exit(process)

    def _collect_orphans(self) -> None:
        with suppress(ChildProcessError):
            while True:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                if ended is None:
                    return
                if self._process is not None and ended.si_pid == self._process.pid:
                    self._process.poll()
                else:
                    os.waitpid(ended.si_pid, 0)

    def _on_exit(self, process: subprocess.Popen[bytes]) -> None:
        """End what an ended worker started, and its socket: a child that was forked keeps that open."""
        self.is_ready = False
        _kill_group(process)
        if self._channel is not None:
            self._loop.call_later(_LAST_WORDS_S, self._channel.close)

    def _message(self, wanted: Input) -> list[wire.Buffer]:
        self._next_id += 1
        parameters: dict[str, Any] = {"content": wanted.content}
        if wanted.columns is not None:
            parameters["columns"] = wanted.columns
        if wanted.params is not None:
            parameters["params"] = wanted.params
        entries = [entry for entry, _ in wanted.tensors]
        request = log.REQUEST.get()
        name = str(self._next_id) if request is None else request.request_id
        header = _encode({"id": name, "parameters": parameters, "inputs": entries})
        return wire.frame(header, [buffer for _, buffer in wanted.tensors])

    def _pump(self) -> None:
        """Give the worker its next request, if it is free."""
        while self._running is None and self.is_ready and self.waiting:
            job = self.waiting.popleft()
            if job.future.done():
                continue
            if job.timer is not None:
                job.timer.cancel()
            assert self._channel is not None
            self._running = job
            job.sent_at = time.perf_counter()
            self._channel.send(job.parts)
            job.timer = self._loop.call_later(self._settings.request_timeout_s, self._ran_too_long, job)

    def _on_answer(self, answer: Answer) -> None:
        if self._running is not None:
            job, self._running = self._running, None
            job.answer(answer)
            self._pump()
        elif "loaded" in answer.header:
            self._on_loaded(answer.header["loaded"])
        elif "failed" in answer.header:
            self._load_error = str(answer.header["failed"])

    def _on_loaded(self, facts: dict[str, Any]) -> None:
        if self._load_timer is not None:
            self._load_timer.cancel()
        self._load_failures = 0
        self._has_loaded = True
        self.facts = facts
        self.load_s = float(facts.get("load_s", 0.0))
        self.is_ready = True
        self.state = "ready"
        self.loaded.set()
        self._pump()

    def _waited_enough(self, job: _Job) -> None:
        with suppress(ValueError):
            self.waiting.remove(job)
        waited = f"the request waited {self._settings.request_timeout_s:g} s for its turn"
        job.refuse(Refusal(503, waited, headers=RETRY_AFTER, reason="queue_timeout"))

    def _ran_too_long(self, job: _Job) -> None:
        took = f"longer than {self._settings.request_timeout_s:g} s"
        self._running = None
        job.refuse(Refusal(504, f"the model took {took} for this request", reason="model_timeout"))
        self._kill(f"taking {took}")

    def _load_expired(self) -> None:
        took = f"longer than {self._settings.load_timeout_s:g} s"
        self._load_error = f"it took {took}"
        self._kill(f"taking {took}")

    def _kill(self, reason: str) -> None:
        """End the worker and whatever it started; that it has ended does the rest."""
        self.is_ready = False
        self.state = "the worker is being replaced"
        self._killed_for = reason
        if self._process is not None:
            _kill_group(self._process)

    def _on_end(self, process: subprocess.Popen[bytes]) -> None:
        if not self._is_closing:
            self._replacing = self._loop.create_task(self._replace(process))

    async def _replace(self, process: subprocess.Popen[bytes]) -> None:
        """Answer the request that was running, then start another worker."""
        self.is_ready = False
        self.state = "the worker is being replaced"
        if self._load_timer is not None:
            self._load_timer.cancel()
        status = await _exit_status(process, 1.0)
        reason = f"was ended for {self._killed_for}" if self._killed_for else _describe(status)
        job, self._running = self._running, None
        if job is not None:
            message = f"the worker {reason} while it answered this request"
            job.refuse(Refusal(500, message, reason="worker_ended"))
        if not self._has_loaded and self._gives_up(self._load_error or f"the worker {reason}"):
            return
        delay_s = self._delay_s()
        log.write("warning", f"the worker {reason}; another one starts in {delay_s:g} s")
        await asyncio.sleep(delay_s)
        self.restarts += 1
        self.state = "the model is loading"
        try:
            await self.adopt(launch.start(self._bill))
        except OSError as error:
            self._on_fatal(f"no worker can be started: {error}")

    def _gives_up(self, reason: str) -> bool:
        """Tell whether loading has failed for good: at the first try, or five times in a row later."""
        self._load_failures += 1
        log.write("error", f"the model did not load: {reason}")
        if self.loaded.is_set() and self._load_failures < _MAX_LOAD_FAILURES:
            return False
        self._on_fatal("the model does not load")
        return True

    def _delay_s(self) -> float:
        """Return how long to wait: nothing after the first death in a minute, then ever longer."""
        now = time.monotonic()
        self._deaths.append(now)
        while now - self._deaths[0] > _DEATHS_WITHIN_S:
            self._deaths.popleft()
        return 0.0 if len(self._deaths) == 1 else min(0.25 * 2.0 ** (len(self._deaths) - 2), _MAX_DELAY_S)


async def _exit_status(process: subprocess.Popen[bytes], timeout_s: float) -> int:
    """Wait for a worker whose socket has closed; end it, and what it started, if it does not go."""
    deadline = time.monotonic() + timeout_s
    while process.poll() is None and time.monotonic() < deadline:  # noqa: ASYNC110 - a process has no event
        await asyncio.sleep(0.005)
    _kill_group(process)
    return process.wait()


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """End a worker and what it started: a group outlives the process that began it."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _describe(status: int) -> str:
    """Say how a process ended."""
    if status >= 0:
        return f"ended with status {status}"
    name = signal.Signals(-status).name if -status in set(signal.Signals) else str(-status)
    return f"was killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
