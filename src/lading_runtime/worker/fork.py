"""A loaded model in, a worker for each socket that the front sends out: they share the model's memory.

A worker is forked twice, so that it becomes the front's own child: the front sees how it ends, and what has
loaded the model may die without it.
"""

from __future__ import annotations

import array
import gc
import os
import time
import traceback

_CMSG_BYTES = 64
# files that are read by whoever has them open without getting in each other's way
_HARMLESS = ("/dev/null", "/dev/urandom", "/dev/random")

# threads of libraries that end and begin them around a fork: jemalloc's, which Arrow and so pandas brings
_FORKABLE = ("jemalloc_bg_thd",)


def why_not(descriptor: int, mapped: str = "") -> str | None:
    """Say what makes it unsafe to fork this process; None where nothing does.

    A thread does not survive a fork, and locks that it holds stay locked. Of an open file or connection both
    would read and write by turns, but for `mapped`, of which memory is read; a GPU's is of no use to a child.
    """
    try:
        others = [name for name in _threads() if name not in _FORKABLE]
        if len(others) != 1:
            return f"it has started threads ({', '.join(sorted(set(others)))})"
        harmless = (*_HARMLESS, mapped)
        for number, target in _open():
            if number > 2 and number != descriptor and target not in harmless:
                return f"it has {target} open"
    except OSError as error:
        return str(error)
    return None


def count_open(file: str) -> int:
    """Return how many descriptors of a file this process has."""
    path = os.path.realpath(file)
    return sum(target == path for _, target in _open())


def _open() -> list[tuple[int, str]]:
    """Return this process's descriptors, and what they are of."""
    found = []
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - pathlib costs 3 ms
        try:
            found.append((int(name), os.readlink(f"/proc/self/fd/{name}")))  # noqa: PTH115
        except OSError:
            continue  # what listed the folder
    return found


def _threads() -> list[str]:
    """Return the names of this process's threads."""
    names = []
    for task in os.listdir("/proc/self/task"):  # noqa: PTH208
        with open(f"/proc/self/task/{task}/comm", encoding="utf-8", errors="replace") as stream:  # noqa: PTH123
            names.append(stream.read().strip())
    return names


def workers(descriptor: int, front: int) -> int:
    """Fork a worker per socket that comes in; return, in each of them, its socket. Ends with the front."""
    import _socket

    control = _socket.socket(fileno=descriptor)
    gc.collect()
    gc.freeze()
    while True:
        data, ancillary, _, _ = control.recvmsg(1, _CMSG_BYTES)
        if not data:
            os._exit(0)
        received = array.array("i")
        for _, _, numbers in ancillary:
            received.frombytes(numbers[: len(numbers) - len(numbers) % received.itemsize])
        try:
            if _fork_twice(front):
                control.close()
                return received[0]
        except OSError:
            traceback.print_exc()  # the socket closes, and the front tries again
        for one in received:
            os.close(one)


def _fork_twice(front: int) -> bool:
    """Tell whether this is the new worker, whose parent is the front."""
    middle = os.fork()
    if middle:
        os.waitpid(middle, 0)
        return False
    middle = os.getpid()
    try:
        if os.fork():
            os._exit(0)
    except OSError:
        traceback.print_exc()
        os._exit(1)
    while os.getppid() == middle:
        time.sleep(0.0002)
    if os.getppid() != front:
        os._exit(0)
    os.setsid()
    return True
