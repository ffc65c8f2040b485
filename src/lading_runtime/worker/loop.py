"""Messages of the front in, predictions out, one after another, until the input ends."""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import functools
import gc
import importlib
import json
import os
import select
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from lading_runtime import wire
from lading_runtime.worker import (
    batch,
    console,
    failure,
    fork,
    inputs,
    limit,
    parts,
    results,
    side_by_side,
    tables,
)

_JOIN_BYTES = 1 << 16
_READ_BYTES = 1 << 14


class Loaded(Protocol):
    """What every loader's `load` returns."""

    facts: Mapping[str, Any]
    """`names` and `width` of the model's features, where it knows them."""

    def predict(self, request: inputs.Request) -> Any:
        """Answer one request."""
        ...


def run(descriptor: int, job_text: str) -> int:
    """Load the model and answer until the socket ends; return the exit status."""
    try:
        return _run(descriptor, job_text)
    except (BrokenPipeError, ConnectionResetError):
        return 0  # the front has gone while an answer was on its way


def _run(descriptor: int, job_text: str) -> int:
    os.set_inheritable(descriptor, False)  # noqa: FBT003 - the standard library's own
    job = json.loads(job_text)
    if job.get("mark"):
        console.mark(job["mark"])
    _die_with(int(job["parent"]))
    started = time.perf_counter()
    gc.disable()  # what is being loaded is not garbage, and looking for some in it takes long
    try:
        model = load(job)
    except Exception as error:  # noqa: BLE001 - whatever a user's model raises
        console.failure()
        write(descriptor, {"failed": failure.last_line(error)}, [])
        return 3
    facts = {**model.facts, "warm_s": warm(model), "load_s": time.perf_counter() - started}
    facts["pandas"] = inputs.has_pandas()
    unsafe = fork.why_not(descriptor, getattr(model, "mapped", "")) if job["share"] else ""
    facts["shares"] = unsafe is None
    facts["rss_bytes"] = limit.resident_bytes()
    if unsafe:
        sys.stderr.write(f"lading: info: the model is loaded by each worker for itself: {unsafe}\n")
    write(descriptor, {"loaded": facts}, [])
    if unsafe is None:
        descriptor = fork.workers(descriptor, int(job["parent"]))
        _die_with(int(job["parent"]))
    else:
        gc.freeze()  # nor is it later
    gc.enable()
    message = limit.apply(os.environ)
    if message:
        write(descriptor, {"failed": message}, [])
        return 3
    write(descriptor, {"ready": os.getpid()}, [])
    return _serve(model, descriptor)


def _serve(model: Loaded, descriptor: int) -> int:
    """Answer one message after another."""
    reader = Reader(descriptor)
    if getattr(model, "is_async", False):
        return side_by_side.serve(model, reader, functools.partial(write, descriptor))
    while True:
        message = reader.read()
        if message is None:
            return 0
        header, body = message
        if "inputs" not in header:  # about an answer that is out already
            continue
        if parts.is_asked(header):
            answered = parts.answer(model, header, body, reader, functools.partial(write, descriptor))
        elif "rows" in header:
            console.begin(",".join(header["ids"]))
            answered = batch.answer(model, header, body, answer)
        else:
            answered = answer(model, header, body)
        is_last = limit.is_reached()
        if is_last:
            answered[0]["leaving"] = True  # or the front would send another request
        write(descriptor, *answered)
        if is_last:
            return limit.STATUS


def warm(model: Loaded) -> float | None:
    """Let a model that can be tried without a request do so; return what a row of many takes."""
    trial = getattr(model, "warm", None)
    if trial is None:
        return None
    seconds: float | None = trial()
    return seconds


def load(job: Mapping[str, Any]) -> Loaded:
    """Load a model by the loader that the bill names: one of ours, or a dotted module of its environment."""
    name = str(job["loader"])
    if not all(part.isidentifier() for part in name.split(".")):
        message = f"got loader {name!r}, expected a module"
        raise ValueError(message)
    code = job.get("code") or {}
    if code.get("path"):
        sys.path.insert(0, str(code["path"]))
    loader = importlib.import_module(name if "." in name else f"lading_runtime.loaders.{name}")
    loaded: Loaded = loader.load(str(job["path"]), {**job["options"], "code": code})
    return loaded


def answer(
    model: Loaded, header: Mapping[str, Any], body: memoryview
) -> tuple[dict[str, Any], Sequence[bytes]]:
    """Answer one request; what the model raises becomes an error, with its traceback on stderr.

    A ValueError of an estimator is about its input, the client's to mend: `refused`. Anything else `failed`.
    """
    console.begin(header["id"])
    try:
        request = inputs.Request(header, body)
        is_file = request.content == tables.CONTENT
        content, tensors = tables.encode(request) if is_file else results.encode(model.predict(request))
    except Exception as error:  # noqa: BLE001 - whatever a user's model raises
        return {"id": header["id"], "error": failure.told(error)}, []
    entries = [entry for entry, _ in tensors]
    document = {"id": header["id"], "parameters": {"content": content}, "outputs": entries}
    return document, [data for _, data in tensors]


class Reader:
    """Messages of the front, whole; one that is small comes by one call of the kernel."""

    def __init__(self, descriptor: int) -> None:
        """Read from a socket of one's own."""
        self.descriptor = descriptor
        self._rest = b""

    def has_more(self) -> bool:
        """Tell whether a message has come, or the end."""
        return bool(self._rest) or bool(select.select([self.descriptor], [], [], 0)[0])

    def read(self) -> tuple[dict[str, Any], memoryview] | None:
        """Read one message; None where the input has ended. The tensors' bytes are writable.

        What is behind it is kept: that a reader goes on or leaves is told while a message is answered.
        """
        data = bytearray(max(_READ_BYTES, len(self._rest)))
        count = len(self._rest)
        if count:
            data[:count] = self._rest
            self._rest = b""
        else:
            count = os.readv(self.descriptor, [data])
        while 0 < count < wire.PREFIX.size:
            more = os.readv(self.descriptor, [memoryview(data)[count:]])
            count = more and count + more
        if not count:
            return None
        header_bytes, body_bytes = wire.lengths(data[: wire.PREFIX.size])
        start = wire.PREFIX.size + header_bytes
        end = start + body_bytes
        if end > len(data):
            whole = bytearray(end)
            whole[:count] = memoryview(data)[:count]
            data = whole
        view = memoryview(data)
        while count < end:
            more = os.readv(self.descriptor, [view[count:end]])
            if not more:
                return None
            count += more
        self._rest = bytes(view[end:count])
        return json.loads(data[wire.PREFIX.size : start]), view[start:end]


def write(descriptor: int, header: Mapping[str, Any], buffers: Sequence[bytes]) -> None:
    """Write one message; its header may name what is no Unicode, which the front could not read."""
    text = json.dumps(header, ensure_ascii=False).encode(errors="replace")
    pieces = wire.frame(text, buffers)
    if sum(map(len, pieces)) < _JOIN_BYTES:
        pieces = [b"".join(pieces)]
    for part in pieces:
        view = memoryview(part)
        while view:
            view = view[os.write(descriptor, view) :]


def _die_with(parent: int) -> None:
    """Ask the kernel to end this process when its parent dies, even amid a prediction that never ends."""
    try:
        import ctypes

        ctypes.CDLL(None).prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL
    except (ImportError, OSError, AttributeError):
        return
    if os.getppid() != parent:
        os._exit(0)
