"""A call's bytes in; the answer's, of one package's server, out."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc

from lading_runtime.front.messages import Refusal
from lading_runtime.router.upstream import Upstream

# a server speaks gRPC a moment after it is ready
_CONNECT_S = 10.0
_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.use_local_subchannel_pool", 1),
    # a server that has ended is back in a second or so
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
]
_NAMED = "x-request-id"
# about one connection alone, or written anew
_OWN = ("grpc-", "user-agent")


class Channel:
    """A connection to one server, which comes back by itself when that is started anew."""

    def __init__(self, path: str) -> None:
        """Begin to connect."""
        # it would be asked what the machine's proxy is, and what is called `unix:` there
        self._channel = grpc.aio.insecure_channel(
            f"unix:{path}", options=[*_OPTIONS, ("grpc.default_authority", "model")]
        )
        self._methods: dict[str, Any] = {}

    @property
    def is_connected(self) -> bool:
        """Tell whether a call would be sent at once; begin to connect where not."""
        state = self._channel.get_state(try_to_connect=True)
        return bool(state == grpc.ChannelConnectivity.READY)

    async def connected(self) -> None:
        """Wait until it is connected; raise TimeoutError."""
        await asyncio.wait_for(self._channel.channel_ready(), _CONNECT_S)

    def ask(self, method: str, data: bytes, metadata: Any, timeout_s: float | None) -> Any:  # noqa: ANN401 - grpc has no types
        """Begin a call."""
        call = self._methods.get(method)
        if call is None:
            call = self._methods[method] = self._channel.unary_unary(method)
        return call(data, metadata=metadata, timeout=timeout_s)

    async def close(self) -> None:
        """Close, whatever is on its way."""
        await self._channel.close()


async def connect(upstream: Upstream) -> Channel:
    """Return the channel to a package's server; wait for one that is ready and has not spoken gRPC yet."""
    channel: Channel | None = upstream.channel
    if channel is None:
        if not upstream.grpc_socket:
            raise Refusal(501, f"the server of {upstream.reference!r} was started without gRPC")
        channel = upstream.channel = Channel(upstream.grpc_socket)
    if channel.is_connected:
        return channel
    if not await upstream.is_ready():
        raise _unreachable(upstream)
    try:
        await channel.connected()
    except asyncio.TimeoutError:
        raise Refusal(503, f"the server of {upstream.reference!r} does not answer gRPC") from None
    return channel


async def call(upstream: Upstream, method: str, data: bytes, context: Any) -> bytes:  # noqa: ANN401 - as above
    """Hand a call on, with its metadata and deadline; what answers it is answered, whatever it is."""
    upstream.enter()
    try:
        channel = await connect(upstream)
        metadata = [one for one in context.invocation_metadata() or () if not one[0].startswith(_OWN)]
        asked = channel.ask(method, data, metadata, context.time_remaining())
        try:
            answer: bytes = await asked
        except grpc.aio.AioRpcError as error:
            trailing = error.trailing_metadata() or ()
            if error.code() == grpc.StatusCode.UNAVAILABLE and _NAMED not in dict(trailing):
                raise _unreachable(upstream) from None
            await context.abort(error.code(), error.details() or "", tuple(trailing))
            raise
        context.set_trailing_metadata(tuple(await asked.trailing_metadata() or ()))
        return answer
    finally:
        upstream.leave()


def _unreachable(upstream: Upstream) -> Refusal:
    return Refusal(503, f"the server of {upstream.reference!r} cannot be reached")
