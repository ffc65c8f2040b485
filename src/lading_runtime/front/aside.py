"""Work on what is large in, its result out: processes of the front's own, begun when they are needed.

    u64 length of the pickle | u64 number of buffers | u64 length of each | the pickle | the buffers

What is long and bytes is no part of a pickle, so that neither side copies it while it holds the interpreter.
What an answer has of its question's own bytes is named, not sent back. Both ends are the front: nothing that
a client sent is ever read as a pickle.
"""

# work is of any kind
# ruff: noqa: ANN401

from __future__ import annotations

import asyncio
import os
import pickle
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from time import perf_counter
from typing import Any
from weakref import WeakKeyDictionary

from lading_runtime import cores, launch
from lading_runtime.front.backend import FULL
from lading_runtime.front.messages import RETRY_AFTER, Refusal
from lading_runtime.front.model import Model
from lading_runtime.wire import Buffer

_MOST = 2
_PREFIX = struct.Struct("<QQ")
_LONG_BYTES = 64 << 10
_MODEL, _GIVEN, _BUFFER = "model", "given", "buffer"
_BYTES = (bytes, bytearray, memoryview)
_FOLDER = str(Path(__file__).parents[2])
_OVER = "the server is shutting down, and its time is over"
_MAIN = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from lading_runtime.front.reading import main; main(int(sys.argv[2]))"
)


class Pickler(pickle.Pickler):
    """Writes a message's pickle, and keeps out of it what the other side has or is sent beside it."""

    def __init__(self, model: Model, given: Sequence[Buffer] = ()) -> None:
        """`given` is what the other side has."""
        self.stream = BytesIO()
        super().__init__(self.stream, pickle.HIGHEST_PROTOCOL)
        self._model = model
        self._given = {id(one): at for at, one in enumerate(given)}
        self.buffers: list[Buffer] = []

    def persistent_id(self, value: Any) -> Any:
        """Name what is no part of the pickle."""
        if value is self._model:
            return _MODEL, 0
        if type(value) not in _BYTES:
            return None
        if id(value) in self._given:
            return _GIVEN, self._given[id(value)]
        if len(value) < _LONG_BYTES and type(value) is not memoryview:
            return None
        self.buffers.append(value)
        return _BUFFER, len(self.buffers) - 1


class Unpickler(pickle.Unpickler):
    """Reads a message's pickle."""

    def __init__(
        self, data: Buffer, model: Model | None, buffers: Sequence[Any], given: Sequence[Buffer] = ()
    ) -> None:
        """Take what the pickle names."""
        super().__init__(BytesIO(data))
        self._named = {_MODEL: [model], _GIVEN: given, _BUFFER: buffers}

    def persistent_load(self, name: tuple[str, int]) -> Any:
        """Return what is named."""
        kind, at = name
        return self._named[kind][at]


def send(sock: socket.socket, pickled: Pickler) -> None:
    """Write a message."""
    text = pickled.stream.getbuffer()
    sizes = struct.pack(f"<{len(pickled.buffers)}Q", *map(len, pickled.buffers))
    sock.sendall(b"".join([_PREFIX.pack(len(text), len(pickled.buffers)), sizes, text]))
    for one in pickled.buffers:
        sock.sendall(one)


def receive(sock: socket.socket) -> tuple[bytearray, list[bytearray]]:
    """Read a message; raise EOFError where there is none."""
    length, count = _PREFIX.unpack(_read(sock, _PREFIX.size))
    sizes = struct.unpack(f"<{count}Q", _read(sock, 8 * count))
    text = _read(sock, length)
    return text, [_read(sock, size) for size in sizes]


def _read(sock: socket.socket, size: int) -> bytearray:
    data = bytearray(size)
    view = memoryview(data)
    while view:
        count = sock.recv_into(view)
        if not count:
            raise EOFError
        view = view[count:]
    return data


class _Child:
    """One process, which does one thing after another."""

    def __init__(self, model: Model, timeout_s: float) -> None:
        self.schema = model.schema
        self.is_fresh = True
        self._model = model
        self._socket, theirs = socket.socketpair()
        self._socket.settimeout(timeout_s)
        with theirs:
            number = theirs.fileno()
            self._process = subprocess.Popen(
                (sys.executable, "-I", "-c", _MAIN, _FOLDER, str(number)),
                env=launch.public(os.environ),
                stdin=subprocess.DEVNULL,
                pass_fds=(number,),
                start_new_session=True,  # a terminal's Ctrl-C is the front's to hear
            )
        first = Pickler(model)
        first.dump((model.bill, model.settings, dict(model.backend.facts), model.backend.load_s))
        try:
            send(self._socket, first)
        except OSError:
            self.close()
            raise

    def ask(self, work: Callable[[], Any]) -> Any:
        """Return what came of it; raise OSError or EOFError where the process ends amid it."""
        question = Pickler(self._model)
        question.dump(work)
        send(self._socket, question)
        text, buffers = receive(self._socket)
        self.is_fresh = False
        return Unpickler(text, self._model, buffers, question.buffers).load()

    def close(self) -> None:
        """End it."""
        self._socket.close()
        self._process.kill()
        self._process.wait()  # the reaper may have been quicker, which is no matter


class Aside:
    """The processes that work for one model, each asked by a thread of its own."""

    def __init__(self, model: Model) -> None:
        """Begin with none."""
        self._model = model
        self._threads = ThreadPoolExecutor(min(_MOST, cores.cores()))
        self._own = threading.local()
        self._children: set[_Child] = set()
        self._waiting = 0
        self._is_over = False

    async def do(self, work: Callable[[], Any]) -> Any:
        """Have it done; raise a Refusal where it is refused, or cannot be done."""
        if self._waiting >= self._model.settings.queue_length:
            raise Refusal(503, FULL, headers=RETRY_AFTER, reason="queue_full")
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            result = await loop.run_in_executor(self._threads, self._do, work, perf_counter())
        except (asyncio.CancelledError, RuntimeError):
            if self._is_over:  # it had not begun
                raise Refusal(503, _OVER, headers=RETRY_AFTER, reason="shutting_down") from None
            raise
        finally:
            self._waiting -= 1
        if isinstance(result, BaseException):
            raise result
        return result

    def close(self) -> None:
        """End all of them."""
        self._is_over = True
        self._threads.shutdown(wait=False, cancel_futures=True)
        for one in list(self._children):
            one.close()

    def _do(self, work: Callable[[], Any], asked: float) -> Any:
        """Ask this thread's process; one that was idle may have left, and another is asked then."""
        limit_s = self._model.settings.request_timeout_s
        if perf_counter() - asked > limit_s:
            waited = f"the request waited {limit_s:g} s for its body to be read"
            raise Refusal(503, waited, headers=RETRY_AFTER, reason="queue_timeout")
        while True:
            child = self._child(limit_s)
            was_fresh = child.is_fresh
            try:
                return child.ask(work)
            except TimeoutError:
                self._drop(child)
                raise Refusal(413, f"the body took longer than {limit_s:g} s to read") from None
            except (OSError, EOFError):
                self._drop(child)
                if self._is_over:
                    raise Refusal(503, _OVER, headers=RETRY_AFTER, reason="shutting_down") from None
                if was_fresh:
                    what = "the process that read this request's body has ended (out of memory?)"
                    raise Refusal(500, what, reason="reader_ended") from None

    def _child(self, timeout_s: float) -> _Child:
        child: _Child | None = getattr(self._own, "child", None)
        if child is not None and child.schema is not self._model.schema:
            self._drop(child)  # it does not know what has been learnt of the model since
            child = None
        if child is None:
            child = self._own.child = _Child(self._model, timeout_s)
            self._children.add(child)
        return child

    def _drop(self, child: _Child) -> None:
        self._own.child = None
        self._children.discard(child)
        child.close()


_of_models: WeakKeyDictionary[Model, Aside] = WeakKeyDictionary()


def of(model: Model) -> Aside:
    """Return who works for a model."""
    found = _of_models.get(model)
    if found is None:
        found = _of_models[model] = Aside(model)
    return found
