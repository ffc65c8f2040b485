"""A package in the store goes in; it answers requests on this machine until it is told to stop."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import IO

from lading.core.errors import Issue, SpecError
from lading.pipeline import shelf
from lading.pipeline.context import Context
from lading.pipeline.run import command, temporary_folder

_STOP_S = 30.0
# what a user may set for a server (docs/server.md), but where it listens and what it serves
SERVER_SETTINGS = (
    "LADING_BIND_AFTER_S",
    "LADING_BODY_LIMIT_BYTES",
    "LADING_GRACE_S",
    "LADING_KEEP_ALIVE_S",
    "LADING_LAME_DUCK_S",
    "LADING_LOAD_TIMEOUT_S",
    "LADING_LOG_LEVEL",
    "LADING_QUEUE_LENGTH",
    "LADING_REQUEST_TIMEOUT_S",
    "LADING_STRICT_MODEL_NAME",
)


def serve(context: Context, text: str, *, host: str, port: int, sandbox: str | None, log: IO[bytes]) -> int:
    """Run a package in a sandbox with this machine's network; return its exit status.

    The server's settings are this machine's `LADING_*` variables. What server and worker write goes to `log`
    as it comes. Raises SpecError where the port is taken.
    """
    package = shelf.find(context, text)
    _refuse_taken(host, port)
    argv, env = command(package.image)
    opened = context.sandbox(package.image.layers, sandbox)
    with temporary_folder() as tmp:
        own = {**server_settings(os.environ), "LADING_HOST": host, "LADING_PORT": str(port)}
        running = opened.start(argv, env={**env, **own}, tmp=tmp, network=True)
        running.follow(log)
        try:
            return running.wait()
        except KeyboardInterrupt:
            return running.stop(_STOP_S)
        finally:
            running.stop(0)


def server_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Pick the server's settings out of this machine's variables; nothing else of them gets in."""
    return {name: environ[name] for name in SERVER_SETTINGS if name in environ}


def _refuse_taken(host: str, port: int) -> None:
    """Find out before the model is loaded whether the port can be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind((host, port))
    except (OSError, OverflowError) as error:
        what = f"cannot listen on {host}:{port}: {getattr(error, 'strerror', None) or error}"
        raise SpecError(Issue("serve", what, "choose another with --port")) from error
