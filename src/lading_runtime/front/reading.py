"""What runs beside the front, and reads what is large for it (`aside.py`)."""

from __future__ import annotations

import gc
import socket
import traceback
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, cast

from lading_runtime.front import decode
from lading_runtime.front.aside import Pickler, Unpickler, receive, send
from lading_runtime.front.backend import Backend
from lading_runtime.front.messages import Refusal
from lading_runtime.front.metrics import Metrics
from lading_runtime.front.model import Model
from lading_runtime.worker.limit import resident_bytes

_IDLE_S = 300.0
# what has been read is given back, but not all of the memory that it took
_MOST_BYTES = 256 << 20
# of all that this container runs, what can be had again is to go first
_BADNESS = "500"


class _Facts:
    """A backend of which only is known what loading told."""

    def __init__(self, facts: Mapping[str, Any], load_s: float) -> None:
        self.facts = facts
        self.load_s = load_s


def main(number: int) -> None:
    """Answer one question after another."""
    with suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as stream:  # noqa: PTH123
        stream.write(_BADNESS)
    gc.disable()  # it would look through millions of lists again and again, for nothing
    with socket.socket(fileno=number) as sock, suppress(EOFError, OSError):
        text, buffers = receive(sock)
        bill, settings, facts, load_s = Unpickler(text, None, buffers).load()
        model = Model(bill, settings, cast("Backend", _Facts(facts, load_s)), Metrics())
        model.learn()
        decode.limit(depth=settings.depth_limit, rows=settings.row_limit)
        sock.settimeout(_IDLE_S)
        while resident_bytes() < _MOST_BYTES:
            _answer(sock, model)


def _answer(sock: socket.socket, model: Model) -> None:
    text, received = receive(sock)
    buffers = []
    while received:
        buffers.append(bytes(received.pop(0)))
    work = Unpickler(text, model, buffers).load()
    answer = Pickler(model, buffers)
    try:
        result = work()
    except Refusal as refusal:
        result = refusal
    except MemoryError:
        result = Refusal(413, "there is not enough memory to read this body")
    except Exception:  # noqa: BLE001 - a defect costs one request, and is told where it belongs
        result = RuntimeError(traceback.format_exc())
    answer.dump(result)
    send(sock, answer)
