"""Settings and gRPC's handlers in; a server that answers calls until it is told to stop."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import grpc

from lading_runtime import log
from lading_runtime.front.messages import Refusal
from lading_runtime.front.settings import Settings
from lading_runtime.front.sockets import address, clear

_CALLS_MAX = 4096
_LAST_WORDS_S = 0.5
# HTTP's status → gRPC's, which are few
_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    404: grpc.StatusCode.NOT_FOUND,
    408: grpc.StatusCode.DEADLINE_EXCEEDED,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    429: grpc.StatusCode.UNAVAILABLE,
    501: grpc.StatusCode.UNIMPLEMENTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}

Context = Any


def code(refusal: Refusal) -> grpc.StatusCode:
    """Return what a refusal is called in gRPC."""
    is_clients = 400 <= refusal.status < 500
    return _CODES.get(
        refusal.status, grpc.StatusCode.INVALID_ARGUMENT if is_clients else grpc.StatusCode.INTERNAL
    )


def headers(context: Context) -> dict[bytes, bytes]:
    """Return a call's metadata as HTTP's headers are, which it is sent as."""
    metadata = context.invocation_metadata() or ()
    return {key.encode(): value if isinstance(value, bytes) else value.encode() for key, value in metadata}


async def speak(
    settings: Settings,
    handlers: Sequence[Any],
    stop: asyncio.Event,
    drain_s: float,
    ending: Callable[[], None],
) -> None:
    """Answer calls until `stop` is set, then what is in flight, for at most `drain_s`.

    It is done as well as can be: without the port there is a warning, and HTTP goes on. `ending` is told
    when the end begins.
    """
    where = settings.grpc_uds or f"port {settings.grpc_port}"
    server = grpc.aio.server(options=_options(settings.body_limit_bytes), maximum_concurrent_rpcs=_CALLS_MAX)
    server.add_generic_rpc_handlers(handlers)
    try:
        _listen(server, settings)
        await server.start()
    except OSError as error:
        log.write("warning", f"no gRPC on {where}: {error.strerror or error}")
        return
    except RuntimeError as error:  # somebody else was quicker, or a certificate has gone
        log.write("warning", f"no gRPC on {where}: {error}")
        return
    log.write("info", f"gRPC listens on {settings.grpc_uds or address(settings.host, settings.grpc_port)}")
    try:
        await stop.wait()
        ending()
        await server.stop(drain_s + _LAST_WORDS_S)  # what is not answered by then has been refused
    except asyncio.CancelledError:
        await server.stop(0)
        raise


def _listen(server: grpc.aio.Server, settings: Settings) -> None:
    """Listen as HTTP does: with TLS where it has a certificate, and asking for the client's where it asks."""
    if settings.grpc_uds:
        clear(settings.grpc_uds)
        server.add_insecure_port(f"unix:{settings.grpc_uds}")
        os.chmod(settings.grpc_uds, 0o666)  # noqa: PTH101, S103 - as a port would be: see sockets.py
        return
    _probe(settings.host, settings.grpc_port)
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    where = f"{host}:{settings.grpc_port}"
    if not settings.tls_certificate:
        server.add_insecure_port(where)
        return
    chain = Path(settings.tls_certificate).read_bytes()
    key = Path(settings.tls_key or settings.tls_certificate).read_bytes()
    authority = Path(settings.tls_client_ca).read_bytes() if settings.tls_client_ca else None
    credentials = grpc.ssl_server_credentials([(key, chain)], authority, authority is not None)
    server.add_secure_port(where, credentials)


def _options(limit_bytes: int) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", limit_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.so_reuseport", 0),
        # a client that has vanished is noticed, and one that asks whether we are there may do so
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
        ("grpc.keepalive_permit_without_calls", 1),
    ]


def _probe(host: str, port: int) -> None:
    """Raise OSError, which says why, where a port cannot be had: grpc itself does not tell."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
