"""An async routine in; requests answered side by side, each in a task, until the input ends."""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import AsyncGeneratorType
from typing import Any

from lading_runtime import wire
from lading_runtime.worker import console, failure, inputs, limit, parts


def serve(model: Any, reader: Any, write: parts.Write) -> int:
    """Answer until the socket ends; return the exit status."""
    loop = model.runner.own_loop()
    server = _Server(model, reader, write, loop)
    loop.add_reader(reader.descriptor, server.read)
    loop.run_forever()
    if server.broken is not None:
        raise server.broken
    return server.status


class _Server:
    """What is being answered, by lane."""

    def __init__(self, model: Any, reader: Any, write: parts.Write, loop: Any) -> None:
        import asyncio

        self.status = 0
        self.broken: BaseException | None = None
        self._cancelled = asyncio.CancelledError
        self._event = asyncio.Event
        self._model = model
        self._reader = reader
        self._write = write
        self._loop = loop
        self._tasks: dict[int, Any] = {}
        self._credit: dict[int, int] = {}
        self._granted: dict[int, Any] = {}

    def read(self) -> None:
        """Take what has come: requests, and what is said of those that are being answered."""
        try:
            while self._reader.has_more():
                message = self._reader.read()
                if message is None:
                    self._loop.stop()
                    return
                self._take(*message)
        except OSError as error:
            self.broken = error
            self._loop.stop()

    def _take(self, header: Mapping[str, Any], body: memoryview) -> None:
        lane = int(header.get("lane", 0))
        if "inputs" in header:
            self._credit[lane] = wire.WINDOW
            self._tasks[lane] = self._loop.create_task(self._answer(lane, header, body))
        elif lane in self._tasks and header.get("cancel"):
            self._tasks[lane].cancel()
            self._write({"lane": lane, "heard": True}, [])
        elif lane in self._tasks:
            self._credit[lane] += int(header.get("credit", 0))
            if lane in self._granted:
                self._granted[lane].set()

    async def _answer(self, lane: int, header: Mapping[str, Any], body: memoryview) -> None:
        console.begin(header["id"], is_alone=False)
        document: tuple[Mapping[str, Any], list[Any]]
        try:
            result = self._model.begin(inputs.Request(header, body))
            if inspect.iscoroutine(result):
                result = await result
            if isinstance(result, AsyncGeneratorType):
                document = await self._give(lane, result, is_stream=parts.is_asked(header))
            elif parts.is_asked(header):
                self._write(*parts.part(result, {"more": True, "lane": lane}))
                document = ({"end": True}, [])
            else:
                document = parts.part(result, {})
        except self._cancelled:
            document = ({"error": {"kind": "failed", "message": "nobody waits for it any more"}}, [])
        except Exception as error:  # noqa: BLE001 - whatever a user's model raises
            document = ({"error": failure.told(error)}, [])
        del self._tasks[lane], self._credit[lane]
        self._granted.pop(lane, None)
        last = {**document[0], "lane": lane, "id": header["id"]}
        if limit.is_reached():
            self.status = limit.STATUS
            last["leaving"] = True  # or the front would send another request
        try:
            self._write(last, document[1])
        except OSError as error:
            self.broken = error
            self._loop.stop()
        if self.status and not self._tasks:
            self._loop.stop()

    async def _give(self, lane: int, pieces: Any, *, is_stream: bool) -> tuple[dict[str, Any], list[Any]]:
        """Write what a generator gives, or gather it; it is closed in either case."""
        gathered = []
        try:
            async for piece in pieces:
                if not is_stream:
                    gathered.append(piece)
                    continue
                self._write(*parts.part(piece, {"more": True, "lane": lane}))
                self._credit[lane] -= 1
                while not self._credit[lane]:
                    self._granted[lane] = self._event()
                    await self._granted[lane].wait()
        finally:
            await pieces.aclose()
        return ({"end": True}, []) if is_stream else parts.part(gathered, {})
