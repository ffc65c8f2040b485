"""`python -m lading_runtime.endpoint FD`: routes what comes on a listening socket, until it is told to end.

What it is to be comes as lines of JSON on its standard input, whole each time; that input's end is its own,
so that it never outlives who started it. On its standard output it says, a line of JSON each, which of them
it has heard (`applied`) and which instances are asked nothing any more (`drained`).
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any

import uvloop

from lading_runtime import log
from lading_runtime.endpoint.app import Endpoint, Keys
from lading_runtime.front import settings as settings_room
from lading_runtime.front.listener import Listener
from lading_runtime.front.protocol import Connection
from lading_runtime.front.sockets import room

_DRAIN_S = 30.0


async def serve(listening: socket.socket) -> None:
    """Serve until SIGTERM, or the end of standard input."""
    settings = settings_room.read(
        {name: value for name, value in os.environ.items() if name.startswith("LADING_")}
    )
    settings = settings._replace(connection_limit=room(settings.connection_limit))
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    keys = Keys()
    app = Endpoint(keys, lambda instance: say({"drained": instance}))
    listener = Listener(settings, loop, keys)
    log.detach()
    is_heard = False

    def hear(facts: Any) -> None:  # noqa: ANN401 - JSON
        nonlocal is_heard
        if facts is None:
            told.set()
            return
        app.apply(facts)
        say({"applied": facts["generation"]})
        if not is_heard:  # nobody is answered before it is known what with
            is_heard = True
            loop.create_task(listener.listen(lambda: Connection(app, listener), [listening]))  # noqa: RUF006

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    threading.Thread(
        target=read, args=(lambda one: loop.call_soon_threadsafe(hear, one),), daemon=True
    ).start()
    gc.freeze()
    await told.wait()
    await listener.close(_DRAIN_S)


def read(hear: Callable[[Any], object]) -> None:
    """Hand on each line of standard input; None is its end."""
    for line in sys.stdin.buffer:
        hear(json.loads(line))
    hear(None)


def say(document: dict[str, Any]) -> None:
    """Write a line."""
    try:
        os.write(1, json.dumps(document).encode() + b"\n")
    except OSError:  # whoever listened is gone, and with it our standard input
        return


if __name__ == "__main__":
    LOOP = uvloop.new_event_loop()
    LOOP.run_until_complete(serve(socket.socket(fileno=int(sys.argv[1]))))
