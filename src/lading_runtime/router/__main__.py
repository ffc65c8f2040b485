"""`python -I -m lading_runtime.router`: serves the packages of `/tmp/served.json` under one address.

`lading serve a:1 b:2` starts it in a sandbox whose /tmp holds that file, each package's socket, and its own.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import os
import signal
import sys
from contextlib import suppress

import uvloop

from lading_runtime import log
from lading_runtime.front import access
from lading_runtime.front import settings as settings_room
from lading_runtime.front.listener import Listener
from lading_runtime.front.protocol import Connection
from lading_runtime.front.settings import Settings
from lading_runtime.front.sockets import listening, places
from lading_runtime.router.app import Router
from lading_runtime.router.control import Control
from lading_runtime.router.fleet import DRAIN_S, Fleet

FOLDER = "/tmp"  # noqa: S108 - a sandbox's own


async def serve() -> int:
    """Serve until SIGTERM."""
    settings = settings_room.read(os.environ)
    with open(f"{FOLDER}/served.json", "rb") as stream:  # noqa: PTH123, ASYNC230 - before anything is served
        served = json.load(stream)
    # a request may wait for its turn as long as it may take then
    drain_s = max(DRAIN_S, 2 * settings.request_timeout_s + 1.0)
    fleet = Fleet(served, Control(f"{FOLDER}/control"), drain_s)
    router = Router(fleet)
    log.detach()
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    try:
        guard = access.read(settings, os.environ)
        listener = Listener(settings, loop, guard)
        tls = None if settings.uds else access.tls(settings)
        sockets = listening(settings)
    except access.AccessError as error:
        log.write("error", str(error))
        return 1
    except OSError as error:
        log.write("error", f"no socket to listen on: {error}")
        return 1

    is_hurried = False

    def end(number: int) -> None:
        nonlocal is_hurried
        if router.is_draining or number == signal.SIGINT:
            is_hurried = True
            listener.abort()
            told.set()
            return
        router.is_draining = listener.is_draining = True
        loop.call_later(settings.lame_duck_s, told.set)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end, number)
    await listener.listen(lambda: Connection(router, listener), sockets, tls)
    names = ", ".join(f"{one.name} {one.version}" for one in fleet.members)
    log.write("info", f"{names}: listening on {places(sockets)}")
    gc.freeze()
    drain_s = max(1.0, settings.grace_s - settings.lame_duck_s - 1.0)
    calls = loop.create_task(speak_grpc(router, settings, guard, told, drain_s))
    await told.wait()
    await listener.close(0.0 if is_hurried else drain_s)
    if is_hurried:
        calls.cancel()
    with suppress(asyncio.CancelledError):
        await calls
    return 0


async def speak_grpc(
    router: Router, settings: Settings, guard: access.Access | None, stop: asyncio.Event, drain_s: float
) -> None:
    """Answer gRPC, too, where that is asked for."""
    if not settings.grpc_port:
        return
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # gRPC's C writes lines of its own form into the log
    try:
        loop = asyncio.get_running_loop()
        rpc = await loop.run_in_executor(None, importlib.import_module, "lading_runtime.router.rpc")
    except ImportError as error:
        log.write("warning", f"no gRPC: {error}")
        return
    await rpc.serve(router, settings, guard, stop, drain_s)


if __name__ == "__main__":
    LOOP = uvloop.new_event_loop()
    sys.exit(LOOP.run_until_complete(serve()))
