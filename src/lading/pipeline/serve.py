"""A package in the store goes in; it answers requests on this machine until it is told to stop."""

from __future__ import annotations

import socket
from typing import IO

from lading.core.errors import Issue, SpecError
from lading.pipeline import shelf
from lading.pipeline.context import Context
from lading.pipeline.run import command, temporary_folder

_STOP_S = 30.0


def serve(context: Context, text: str, *, host: str, port: int, sandbox: str | None, log: IO[bytes]) -> int:
    """Run a package in a sandbox with this machine's network; return its exit status.

    What server and worker write goes to `log` as it comes. Raises SpecError where the port is taken.
    """
    package = shelf.find(context, text)
    _refuse_taken(host, port)
    argv, env = command(package.image)
    opened = context.sandbox(package.image.layers, sandbox)
    with temporary_folder() as tmp:
        own = {"LADING_HOST": host, "LADING_PORT": str(port)}
        running = opened.start(argv, env={**env, **own}, tmp=tmp, network=True)
        running.follow(log)
        try:
            return running.wait()
        except KeyboardInterrupt:
            return running.stop(_STOP_S)
        finally:
            running.stop(0)


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
