"""Messages of the front in, predictions out, one after another, until the input ends."""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from lading_runtime import wire
from lading_runtime.worker import console, inputs, results

_JOIN_BYTES = 1 << 16


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
    if job.get("marked"):
        console.mark()
    _die_with(int(job["parent"]))
    started = time.perf_counter()
    gc.disable()  # what is being loaded is not garbage, and looking for some in it takes long
    try:
        model = load(job)
    except Exception as error:  # noqa: BLE001 - whatever a user's model raises
        console.failure()
        write(descriptor, {"failed": _last_line(error)}, [])
        return 3
    gc.freeze()  # nor is it later
    gc.enable()
    facts = {**model.facts, "load_s": time.perf_counter() - started}
    write(descriptor, {"loaded": facts}, [])
    while True:
        message = read(descriptor)
        if message is None:
            return 0
        write(descriptor, *answer(model, *message))


def load(job: Mapping[str, Any]) -> Loaded:
    """Load a model by the loader that the bill names."""
    name = str(job["loader"])
    if not name.isidentifier():
        message = f"got loader {name!r}, expected a module of lading_runtime.loaders"
        raise ValueError(message)
    code = job.get("code") or {}
    if code.get("path"):
        sys.path.insert(0, str(code["path"]))
    loader = importlib.import_module(f"lading_runtime.loaders.{name}")
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
        content, tensors = results.encode(model.predict(request))
    except inputs.RefusedError as error:
        return {"id": header["id"], "error": {"kind": "refused", "message": str(error)}}, []
    except Exception as error:  # noqa: BLE001 - whatever a user's model raises
        console.failure()
        return {"id": header["id"], "error": {"kind": "failed", "message": _last_line(error)}}, []
    entries = [entry for entry, _ in tensors]
    document = {"id": header["id"], "parameters": {"content": content}, "outputs": entries}
    return document, [data for _, data in tensors]


def read(descriptor: int) -> tuple[dict[str, Any], memoryview] | None:
    """Read one message; None where the input has ended. The tensors' bytes are writable."""
    prefix = _read_exactly(descriptor, wire.PREFIX.size)
    if prefix is None:
        return None
    header_bytes, body_bytes = wire.lengths(prefix)
    header = _read_exactly(descriptor, header_bytes)
    body = _read_exactly(descriptor, body_bytes)
    if header is None or body is None:
        return None
    return json.loads(header), memoryview(body)


def write(descriptor: int, header: Mapping[str, Any], buffers: Sequence[bytes]) -> None:
    """Write one message; its header may name what is no Unicode, which the front could not read."""
    text = json.dumps(header, ensure_ascii=False).encode(errors="replace")
    parts = wire.frame(text, buffers)
    if sum(map(len, parts)) < _JOIN_BYTES:
        parts = [b"".join(parts)]
    for part in parts:
        view = memoryview(part)
        while view:
            view = view[os.write(descriptor, view) :]


def _read_exactly(descriptor: int, size_bytes: int) -> bytearray | None:
    data = bytearray(size_bytes)
    view = memoryview(data)
    while view:
        count = os.readv(descriptor, [view])
        if not count:
            return None
        view = view[count:]
    return data


def _last_line(error: BaseException) -> str:
    return "".join(traceback.format_exception_only(type(error), error)).strip()[-2000:]


def _die_with(parent: int) -> None:
    """Ask the kernel to end this process when its parent dies, even amid a prediction that never ends."""
    try:
        import ctypes

        ctypes.CDLL(None).prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL
    except (ImportError, OSError, AttributeError):
        return
    if os.getppid() != parent:
        os._exit(0)
