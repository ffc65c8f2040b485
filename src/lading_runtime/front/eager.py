"""A coroutine in, its result out at once where it need not wait, else a task that goes on with it."""

# what coroutines send and throw may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Generator
from contextvars import copy_context
from typing import Any, TypeVar

T = TypeVar("T")
_HAS_EAGER_TASKS = sys.version_info >= (3, 12)


def begin(
    loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, T], finish: Callable[[T], None]
) -> asyncio.Task[T] | None:
    """Run a coroutine that never raises; call `finish` with its result, now or when it is there.

    Return its task, where it has to wait; a task that is cancelled does not finish. Before Python 3.12, a
    coroutine begins outside of a task: `asyncio.timeout` cannot be the first thing that it waits in.
    """
    if _HAS_EAGER_TASKS:
        task = asyncio.Task(coroutine, loop=loop, eager_start=True)  # type: ignore[call-arg, unused-ignore]
        if task.done():
            finish(task.result())
            return None
    else:
        context = copy_context()
        try:
            awaited = context.run(coroutine.send, None)
        except StopIteration as stop:
            finish(stop.value)
            return None
        task = context.run(loop.create_task, _Rest(coroutine, awaited))
    task.add_done_callback(lambda done: None if done.cancelled() else finish(done.result()))
    return task


class _Rest(Coroutine[Any, Any, T]):
    """What is left of a coroutine that waits for something already."""

    def __init__(self, coroutine: Coroutine[Any, Any, T], awaited: Any) -> None:
        self._coroutine = coroutine
        self._awaited = awaited
        self._is_started = False

    def send(self, value: Any) -> Any:
        if self._is_started:
            return self._coroutine.send(value)
        self._is_started = True
        return self._awaited

    def throw(self, *error: Any) -> Any:
        if not self._is_started:  # it is cancelled before its task knew what to cancel
            self._is_started = True
            if self._awaited is not None:
                self._awaited.cancel()
        return self._coroutine.throw(*error)

    def close(self) -> None:
        self._coroutine.close()

    def __await__(self) -> Generator[Any, None, T]:
        return (yield from self._coroutine.__await__())
