"""A deployment: its instances, how many requests each may have at a time, and who waits for a turn."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any, cast

from lading_runtime.endpoint.instance import Instance, UnreachedError
from lading_runtime.front.messages import RETRY_AFTER, Refusal, Response
from lading_runtime.router.link import LostError
from lading_runtime.router.upstream import head

_LOOK_S = 0.05
_HEADER = "azureml-model-deployment"


class Deployment:
    """Instances that answer alike."""

    def __init__(self, name: str, drained: Callable[[str], None]) -> None:
        """Have no instance yet; `drained` hears of each that was taken away and is asked nothing any more."""
        self.name = name
        self.instances: list[Instance] = []
        self.scoring = "/score"
        self._timeout_s = 5.0
        self._concurrency = 1
        self._count = 1
        self._waiting: deque[asyncio.Future[Instance]] = deque()
        self._leaving: list[Instance] = []
        self._drained = drained
        self._timer: asyncio.TimerHandle | None = None

    def apply(self, facts: Mapping[str, Any]) -> None:
        """Be what the facts say; instances that stay keep their connections, others are drained."""
        self._timeout_s = float(facts["timeout_s"])
        self._concurrency = int(facts["concurrency"])
        self._count = int(facts["instance_count"])
        self.scoring = str(facts["scoring"])
        known = {one.id: one for one in self.instances}
        named = {str(one["id"]): one for one in facts["instances"]}
        self.instances = [known[name] if name in known else Instance(one) for name, one in named.items()]
        self._leaving += [one for name, one in known.items() if name not in named]
        self._look()
        self._wake()

    async def answer(self, method: str, url: bytes, headers: Mapping[bytes, bytes], body: bytes) -> Response:
        """Have a request answered within the time, the wait for a turn included; raise a Refusal."""
        request = head("GET" if method == "HEAD" else method, url, headers, len(body))
        try:
            response = await asyncio.wait_for(
                self._answer(request, body, is_safe=method in {"GET", "HEAD", "OPTIONS"}), self._timeout_s
            )
        except asyncio.TimeoutError:
            if not self.instances:
                what = f"no instance of deployment {self.name!r} is ready"
                raise Refusal(503, what, headers={**RETRY_AFTER, _HEADER: self.name}) from None
            what = f"deployment {self.name!r} did not answer within {self._timeout_s * 1000:g} ms"
            raise Refusal(408, what, headers={_HEADER: self.name}) from None
        more = {**(response.headers or {}), _HEADER: self.name}
        if 200 <= response.status < 300:
            return response._replace(headers=more)
        # as Azure ML tells the model's failures from its own
        more["ms-azureml-model-error-statuscode"] = str(response.status)
        more["ms-azureml-model-error-reason"] = "model_error"
        return response._replace(status=424, headers=more)

    async def _answer(self, request: bytes, body: bytes, *, is_safe: bool) -> Response:
        again = False
        while True:
            instance = await self._turn(again=again)
            response = None
            try:
                response = await instance.score(request, body, is_safe=is_safe)
            except UnreachedError:
                again = True  # another is asked, or this one in a moment
                continue
            except LostError:
                what = f"the instance of deployment {self.name!r} ended while it answered this"
                raise Refusal(502, what, code="BAD_GATEWAY", headers={_HEADER: self.name}) from None
            finally:
                if response is None or response.stream is None:
                    self._leave(instance)
            if response.stream is None:
                return response
            stream = cast("AsyncGenerator[bytes, None]", response.stream)  # a link makes no other
            return response._replace(stream=self._counted(instance, stream))

    async def _counted(
        self, instance: Instance, stream: AsyncGenerator[bytes, None]
    ) -> AsyncGenerator[bytes, None]:
        try:
            async with aclosing(stream) as pieces:
                async for piece in pieces:
                    yield piece
        finally:
            self._leave(instance)

    async def _turn(self, *, again: bool) -> Instance:
        """Wait for an instance that is free; refuse, as Azure ML does, what is twice as many as they take."""
        instance = None if self._waiting and not again else self._take()
        if instance is not None:
            return instance
        if len(self._waiting) >= self._concurrency * max(self._count, 1) and not again:
            what = f"deployment {self.name!r} has {len(self._waiting)} requests waiting already"
            headers = {**RETRY_AFTER, _HEADER: self.name}
            raise Refusal(429, what, code="TOO_MANY_REQUESTS", headers=headers)
        turn: asyncio.Future[Instance] = asyncio.get_running_loop().create_future()
        if again:
            self._waiting.appendleft(turn)
        else:
            self._waiting.append(turn)
        self._look_again()
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave(turn.result())  # the turn is another's
            raise
        finally:
            if turn in self._waiting:
                self._waiting.remove(turn)

    def _take(self) -> Instance | None:
        """Take the least busy instance; of equals the one that was asked the longest ago."""
        able = [one for one in self.instances if one.in_flight < self._concurrency and not one.rests]
        if not able:
            return None
        instance = min(able, key=lambda one: one.in_flight)
        self.instances.remove(instance)
        self.instances.append(instance)
        instance.enter()
        return instance

    def _leave(self, instance: Instance) -> None:
        instance.leave()
        if self._leaving:
            self._look()
        self._wake()

    def _wake(self) -> None:
        """Give those that wait their turns, as far as there are any."""
        while self._waiting:
            if self._waiting[0].done():
                self._waiting.popleft()
                continue
            instance = self._take()
            if instance is None:
                return
            self._waiting.popleft().set_result(instance)

    def _look(self) -> None:
        """Let those go that are asked nothing any more."""
        for one in [one for one in self._leaving if not one.in_flight]:
            self._leaving.remove(one)
            one.forget()
            self._drained(one.id)

    def _look_again(self) -> None:
        """Look whether an instance that rests is back, as long as somebody waits."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_LOOK_S, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._wake()
        if self._waiting:
            self._look_again()
