"""The process that fetches a model in, what it says of itself, and at last its end, out."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable

from lading_runtime.front.member import Process, describe
from lading_runtime.front.reaper import Reaper
from lading_runtime.launch import Fetching


class Arrival(asyncio.Protocol):
    """A model on its way here."""

    def __init__(self, fetching: Fetching, reaper: Reaper, told: Callable[[str], None]) -> None:
        """`told` hears, for people, how far it is."""
        self.begun = asyncio.Event()
        """Set once it is plain that it has to come from elsewhere, or cannot be had yet."""
        self._told = told
        self._rest = b""
        self._ended = asyncio.Event()
        self._pipe = fetching.reports
        fetching.process.returncode = 0  # the reaper takes leave of it, not this object
        self._process = Process(fetching.process.pid, reaper, self._ended.set)
        self._transport: asyncio.ReadTransport | None = None

    async def wait(self) -> str:
        """Wait until it is here; return why it is not, or nothing."""
        pipe = os.fdopen(self._pipe, "rb", buffering=0)
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.connect_read_pipe(lambda: self, pipe)
        await self._ended.wait()
        status = self._process.status
        assert status is not None
        return "" if status == 0 else f"what fetches the model {describe(status)}"

    def data_received(self, data: bytes) -> None:
        """Take lines of JSON."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._told(str(json.loads(line)["state"]))
            self.begun.set()

    async def close(self) -> None:
        """End it; what it has is there for the next."""
        if self._process.status is None:
            await self._process.wait(0.0)
        if self._transport is not None:
            self._transport.close()
