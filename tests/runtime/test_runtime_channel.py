"""The front's end of a worker's socket."""

import asyncio
import socket

import uvloop

from lading_runtime.front.channel import Channel


def test_what_is_sent_to_a_worker_that_has_gone_is_dropped():
    """A reader may take parts of a stream that its worker did not live to see taken."""

    async def go():
        ours, theirs = socket.socketpair()
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        _, channel = await loop.create_unix_connection(lambda: Channel(lambda _: None, ended.set), sock=ours)
        theirs.close()
        await asyncio.wait_for(ended.wait(), 5)
        await asyncio.sleep(0.05)
        channel.send([b"credit"])
        channel.close()

    uvloop.run(go())
