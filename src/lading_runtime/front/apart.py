"""Work on a body or an answer in, its result out; what is large is worked on by another process."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from lading_runtime.front.decode import LARGE_BYTES
from lading_runtime.front.model import Model

_T = TypeVar("_T")


async def apart(model: Model, size_bytes: int, work: Callable[[], _T]) -> _T:
    """Do what a body or an answer asks for, beside the loop where it is large.

    A thread would not do: reading JSON holds the interpreter until all of it is read. `work` is a
    `functools.partial` of a module's function, and what it gives is made of tuples and plain values.
    """
    if size_bytes <= LARGE_BYTES:
        return work()
    from lading_runtime.front import aside  # of every start, though few requests need it

    result: _T = await aside.of(model).do(work)
    return result


def close(model: Model) -> None:
    """End the processes that there are, amid what they do."""
    import sys

    aside = sys.modules.get("lading_runtime.front.aside")
    if aside is not None:
        aside.of(model).close()
