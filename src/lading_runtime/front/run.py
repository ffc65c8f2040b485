"""A bill and its started worker in, a server's exit status out: load, bind, serve, drain."""

from __future__ import annotations

import asyncio
import gc
import importlib
import os
import signal
from contextlib import suppress
from functools import partial

import uvloop

from lading_runtime import launch, log
from lading_runtime.bill import Bill
from lading_runtime.front import access, apart, decode
from lading_runtime.front import settings as settings_room
from lading_runtime.front.app import App
from lading_runtime.front.arriving import Arrival
from lading_runtime.front.listener import Listener
from lading_runtime.front.metrics import Metrics
from lading_runtime.front.model import Model
from lading_runtime.front.pool import Pool
from lading_runtime.front.protocol import Connection
from lading_runtime.front.reaper import Reaper
from lading_runtime.front.settings import Settings
from lading_runtime.front.sockets import listening, places, room
from lading_runtime.front.watch import Watch

_GRPC_AFTER_S = 0.5
NOT_LOADED = 3
"""What gunicorn, and so Azure ML's server, ends with where a worker cannot boot."""


def serve(bill: Bill, started: launch.Started | launch.Fetching | None) -> int:
    """Serve until SIGTERM; return 0 then, 1 without a socket, NOT_LOADED where the model does not load."""
    loop = uvloop.new_event_loop()
    try:
        return loop.run_until_complete(_Service(bill, settings_room.read(os.environ), loop).run(started))
    finally:
        loop.close()


class _Service:
    """The life of one server process."""

    def __init__(self, bill: Bill, settings: Settings, loop: asyncio.AbstractEventLoop) -> None:
        self._bill = bill
        self._settings = settings
        self._loop = loop
        self._stop: asyncio.Event | None = None
        self._status = 0
        self._listener: Listener | None = None
        self._grpc: asyncio.Task[None] | None = None
        self._is_hurried = self._has_abandoned = False
        self._model: Model | None = None

    async def run(self, started: launch.Started | launch.Fetching | None) -> int:
        """Load first, bind after: to a platform an open port means ready."""
        # made here, not before: until Python 3.10 an event belongs to the loop that runs when it is made
        stop = self._stop = asyncio.Event()
        log.capture()
        log.detach()
        if started is None:
            return await self._run_compiled()
        reaper = Reaper()
        plan = launch.plan(os.environ, self._bill)
        pool = Pool(self._bill, self._settings, plan, reaper, self._fail)
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._on_signal, number)
        # uvloop keeps SIGCHLD for itself as far as its own interface goes
        signal.signal(signal.SIGCHLD, lambda *_: self._loop.call_soon_threadsafe(reaper.collect))
        model = self._model = Model(self._bill, self._settings, pool, Metrics())
        arrival = arriving = None
        tasks = {loaded := self._loop.create_task(pool.loaded.wait())}
        if isinstance(started, launch.Fetching):
            arrival = Arrival(started, reaper, partial(setattr, pool, "waits_for"))
            arriving = self._loop.create_task(self._arrive(arrival, pool, plan))
            tasks.add(self._loop.create_task(arrival.begun.wait()))
        else:
            await pool.adopt(started)
        reaper.collect()  # it may have ended before anybody listened
        stopped = self._loop.create_task(stop.wait())
        tasks.add(stopped)
        bind_after_s = self._settings.bind_after_s
        await asyncio.wait(tasks, timeout=bind_after_s, return_when=asyncio.FIRST_COMPLETED)
        loaded.add_done_callback(lambda _: model.learn())
        if not stop.is_set():
            await asyncio.sleep(0)  # lets what has loaded be learnt before the first request
            gc.freeze()  # what has been imported is never garbage
            await self._listen(model)
        apart.close(model)
        if arrival is not None and arriving is not None:
            arriving.cancel()
            await arrival.close()
        await pool.close(timeout_s=1.0)
        # the loop is closed soon, and a child may end later still
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for task in tasks:
            task.cancel()
        return self._status

    async def _arrive(self, arrival: Arrival, pool: Pool, plan: launch.Plan) -> None:
        """Start the first worker once the model is here."""
        problem = await arrival.wait()
        if problem:
            self._fail(problem)
            return
        pool.waits_for = ""
        try:
            await pool.adopt(plan.start(self._bill))
        except OSError as error:
            self._fail(f"{self._bill.interpreter}: {error.strerror}")

    async def _run_compiled(self) -> int:
        """Answer with a compiled form: there is no worker to wait for."""
        from lading_runtime.front import shortcut
        from lading_runtime.front.compiled import CompiledBackend

        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._on_signal, number)
        try:
            backend = CompiledBackend(str(self._bill.compiled), self._settings)
        except (OSError, ValueError, KeyError, TypeError, SyntaxError) as error:
            log.write("error", f"giving up: the compiled model does not load: {error!r}")
            return NOT_LOADED
        model = self._model = Model(self._bill, self._settings, backend, Metrics())
        model.learn()
        model.shortcut = shortcut.find(model)
        gc.freeze()  # what has been imported is never garbage
        await self._listen(model)
        apart.close(model)
        await backend.close(timeout_s=1.0)
        return self._status

    async def _listen(self, model: Model) -> None:
        try:
            guard = access.read(self._settings, os.environ)
            tls = None if self._settings.uds else access.tls(self._settings)
            sockets = listening(self._settings)
        except access.AccessError as error:
            log.write("error", str(error))
            self._status = 1
            return
        except OSError as error:
            log.write("error", f"no socket to listen on: {error}")
            self._status = 1
            return
        state = f"loaded in {model.backend.load_s:.1f} s" if model.is_ready else "still loading"
        log.write("info", f"model {self._bill.name!r} {state}, listening on {places(sockets)}")
        decode.limit(depth=self._settings.depth_limit, rows=self._settings.row_limit)
        watch = Watch(model, os.environ)
        app = App(model, watch)
        settings = self._settings._replace(connection_limit=room(self._settings.connection_limit))
        listener = self._listener = Listener(settings, self._loop, guard)
        await listener.listen(lambda: Connection(app, listener), sockets, tls)
        assert self._stop is not None
        drain_s = max(1.0, self._settings.grace_s - self._settings.lame_duck_s - 1.0)
        grpc = self._grpc = self._loop.create_task(_speak_grpc(model, watch, guard, self._stop, drain_s))
        await self._stop.wait()
        patience = self._loop.call_later(drain_s, self._abandon, model)  # gRPC's clients may be the only ones
        await listener.close(*((0.0,) if self._is_hurried else (drain_s, lambda: self._abandon(model))))
        with suppress(asyncio.CancelledError):
            await grpc
        patience.cancel()
        watch.close()
        if self._settings.uds:
            with suppress(OSError):
                os.unlink(self._settings.uds)  # noqa: PTH108 - no need of pathlib for this

    def _on_signal(self, number: int) -> None:
        """Drain at the first SIGTERM; leave at once at the second, or at SIGINT."""
        if self._model is None or self._listener is None:
            self._end()
        elif self._model.is_draining or number == signal.SIGINT:
            self._is_hurried = True
            self._listener.abort()
            if self._grpc is not None:
                self._grpc.cancel()
            self._end()
        else:
            log.write("info", "shutting down: answering what is in flight")
            self._model.is_draining = self._listener.is_draining = True
            self._loop.call_later(self._settings.lame_duck_s, self._end)

    def _abandon(self, model: Model) -> None:
        """Answer those for whom the time is over."""
        if self._has_abandoned:
            return
        self._has_abandoned = True
        count = model.metrics.in_flight
        if count:
            within = f"within LADING_GRACE_S={self._settings.grace_s:g} after SIGTERM"
            log.write("warning", f"{count} requests were abandoned: they could not be answered {within}")
        apart.close(model)
        model.backend.abandon("the server is shutting down, and its time is over")

    def _end(self) -> None:
        if self._stop is not None:
            self._stop.set()

    def _fail(self, reason: str) -> None:
        log.write("error", f"giving up: {reason}")
        self._status = NOT_LOADED
        self._end()


async def _speak_grpc(
    model: Model, watch: Watch, guard: access.Access | None, stop: asyncio.Event, drain_s: float
) -> None:
    """Answer gRPC, too, where that is asked for; what it needs is imported after the first requests.

    A router in front waits for it.
    """
    settings = model.settings
    if not settings.grpc_port and not settings.grpc_uds:
        return
    with suppress(asyncio.TimeoutError):
        await asyncio.wait_for(stop.wait(), 0.0 if settings.grpc_uds else _GRPC_AFTER_S)
        return
    loop = asyncio.get_running_loop()
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # gRPC's C writes lines of its own form into the log
    try:
        rpc = await loop.run_in_executor(None, importlib.import_module, "lading_runtime.front.rpc")
    except ImportError as error:
        log.write("warning", f"no gRPC: {error}")
        return
    await rpc.serve(model, watch, guard, stop, drain_s)
