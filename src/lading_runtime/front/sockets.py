"""Settings in, sockets that listen out."""

from __future__ import annotations

import errno
import os
import resource
import socket
import stat
from collections.abc import Sequence
from contextlib import suppress

from lading_runtime import log
from lading_runtime.front.settings import AZURE_PORT, DEFAULT_PORT, Settings

BACKLOG = 2048
# what a server has open besides: its own, its workers', its logs', and connections that are being refused
_OTHER_FILES = 256


def listening(settings: Settings) -> list[socket.socket]:
    """Listen on a Unix socket, or on every port that can be had; raise OSError if that is none."""
    return [_unix(settings.uds)] if settings.uds else _tcp(settings)


def room(limit: int) -> int:
    """Return how many connections may be open, at most `limit`: each is a file, and a process has so many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = limit + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        more = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (more, hard))
            soft = more
    return limit if soft == resource.RLIM_INFINITY else max(1, min(limit, soft - _OTHER_FILES))


def places(sockets: Sequence[socket.socket]) -> str:
    """Say where they listen: `127.0.0.1:8080`, `[::1]:8080` or a path."""
    found = []
    for one in sockets:
        name = one.getsockname()
        found.append(str(name) if one.family == socket.AF_UNIX else address(*name[:2]))
    return ", ".join(found)


def address(host: str, port: int) -> str:
    """Write a host and a port as they are typed."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _unix(path: str) -> socket.socket:
    """Listen on a Unix socket that any user of this machine's kernel may connect to, as a port would be."""
    clear(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    os.chmod(path, 0o666)  # noqa: PTH101, S103 - see above
    listener.listen(BACKLOG)
    return listener


def clear(path: str) -> None:
    """Take away a socket that was left by a server that was killed."""
    with suppress(FileNotFoundError):
        if stat.S_ISSOCK(os.stat(path).st_mode):  # noqa: PTH116
            os.unlink(path)  # noqa: PTH108


def _tcp(settings: Settings) -> list[socket.socket]:
    """Listen on every port that can be had; raise OSError if that is none."""
    sockets: list[socket.socket] = []
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    for port in settings.ports:
        # the protocol is named, or asyncio would leave out TCP_NODELAY: 40 ms per answer
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            listener.bind((settings.host, port))
            listener.listen(BACKLOG)
        except OSError as error:
            listener.close()
            # nobody asked for these by name, if there are others
            if port not in {DEFAULT_PORT, AZURE_PORT} or len(settings.ports) == 1:
                for one in sockets:
                    one.close()
                raise
            log.write("warning", f"port {port}: {error.strerror}")
            continue
        sockets.append(listener)
    if not sockets:
        raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
    return sockets
