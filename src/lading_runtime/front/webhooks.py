"""A prediction's states in, requests to the client's webhook out: in order, the last one until it is taken.

A client names the URL, so that what this machine can reach, its clients can have asked. Only http and https
are spoken, no redirect is followed, and nothing of an answer is handed on. Proxies are the environment's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import monotonic

import msgspec

from lading_runtime import log

EVENTS = ("start", "output", "logs", "completed")
_TIMEOUT_S = 10.0
# output and logs are told at most this often, as Cog does; a state that is overtaken is not told
_INTERVAL_S = 0.5
_TRIES = 12
_FIRST_DELAY_S = 0.1
_MAX_DELAY_S = 30.0
_AGAIN = {429, 500, 502, 503, 504}


def check(url: object) -> str:
    """Return a URL; raise ValueError for what is none, or of another scheme than http and https."""
    from urllib.parse import urlsplit  # some milliseconds, of every start

    if isinstance(url, str) and url.isascii() and url.isprintable() and " " not in url:
        parts = urlsplit(url)
        # a port that is none raises ValueError
        if parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0:
            return url
    message = "expected a URL that begins with http:// or https://"
    raise ValueError(message)


class Webhook:
    """What tells one URL of one prediction."""

    def __init__(self, url: str, events: Sequence[str] = EVENTS) -> None:
        """Take a URL that `check` has let pass."""
        self._url = url
        self._host = url.split("/")[2].rpartition("@")[2]
        self._events = frozenset(events)
        self._waiting: list[tuple[str, bytes]] = []
        self._task: asyncio.Task[None] | None = None
        self._told_s = 0.0

    def tell(self, event: str, document: object) -> None:
        """Tell of an event, if it is asked for; does not wait."""
        if event not in self._events:
            return
        if self._waiting and self._waiting[-1][0] == event == "output":
            self._waiting.pop()
        self._waiting.append((event, msgspec.json.encode(document)))
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        while self._waiting:
            if self._waiting[0][0] == "output":
                await asyncio.sleep(self._told_s + _INTERVAL_S - monotonic())
                self._told_s = monotonic()
            event, body = self._waiting.pop(0)
            await self._send(body, _TRIES if event == "completed" else 1)

    async def _send(self, body: bytes, tries: int) -> None:
        status: object = None
        for number in range(tries):
            if number:
                await asyncio.sleep(min(_FIRST_DELAY_S * 2**number, _MAX_DELAY_S))
            try:
                status = await asyncio.to_thread(_post, self._url, body)
            except (OSError, ValueError) as error:
                status = type(error).__name__
            else:
                if status not in _AGAIN:
                    break
        if status is None or not isinstance(status, int) or status >= 400:
            log.write("warning", f"the webhook at {self._host} did not take a prediction: {status}")


def _post(url: str, body: bytes) -> int:
    """Send JSON and return the status; raise OSError where there is none."""
    from http.client import HTTPException
    from urllib import request

    opener = request.OpenerDirector()
    # neither files nor redirects: what is not here is not spoken
    for handler in (request.ProxyHandler(), request.HTTPHandler(), request.HTTPSHandler()):
        opener.add_handler(handler)
    headers = {"content-type": "application/json", "user-agent": "lading"}
    asked = request.Request(url, body, headers, method="POST")  # noqa: S310 - `check` has let it pass
    try:
        with opener.open(asked, timeout=_TIMEOUT_S) as answer:
            return int(answer.status)
    except HTTPException as error:
        raise OSError(str(error)) from error
