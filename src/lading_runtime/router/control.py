"""Orders to whoever started this server: to start another package's, or to end one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from lading_runtime.front.messages import Refusal

_LIMIT_BYTES = 1 << 20


class Control:
    """The socket of `lading serve`, which can start and end sandboxes; a line of JSON each way."""

    def __init__(self, path: str) -> None:
        """Talk over a Unix socket."""
        self._path = path

    async def load(self, reference: str) -> Mapping[str, str]:
        """Have a package served, and return what `Upstream` has to know of it, once it is ready."""
        return await self._ask({"do": "load", "reference": reference})

    async def unload(self, socket: str) -> None:
        """Have a server ended that nothing is asked of any more."""
        await self._ask({"do": "unload", "socket": socket})

    async def _ask(self, order: Mapping[str, Any]) -> Mapping[str, str]:
        try:
            reader, writer = await asyncio.open_unix_connection(self._path, limit=_LIMIT_BYTES)
        except OSError as error:
            raise Refusal(500, f"packages cannot be started any more: {error.strerror}") from None
        try:
            writer.write(json.dumps(order).encode() + b"\n")
            line = await reader.readline()
        finally:
            writer.close()
        answer = json.loads(line or b'{"error": "packages cannot be started any more", "status": 500}')
        if "error" in answer:
            raise Refusal(int(answer["status"]), str(answer["error"]))
        return answer  # type: ignore[no-any-return]
