"""Predictions in, records of a sample of them out, by a thread: no request waits for it or fails by it."""

# JSON values may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import threading
import time
from array import array
from calendar import timegm
from collections.abc import Callable, Mapping, Sequence
from queue import Empty, SimpleQueue
from random import random
from typing import Any, NamedTuple, Protocol
from urllib.parse import parse_qsl

import msgspec

from lading_runtime import log, wire
from lading_runtime.front import decode
from lading_runtime.front.channel import Answer
from lading_runtime.front.encode import FILE, Input
from lading_runtime.front.messages import Refusal
from lading_runtime.front.metrics import Family, labels
from lading_runtime.front.model import Model
from lading_runtime.front.parquet import Column
from lading_runtime.front.redact import Redactor
from lading_runtime.front.sink import JsonLines, Parquet, Stdout
from lading_runtime.front.trace import Seen

RECORD_LIMIT_BYTES = 1 << 20
"""Inputs or outputs that are larger are left out of their record."""
_MOST_RECORDS = 10_000
_MOST_BYTES = 64 << 20
_PAUSE_S = 0.1
_TICK_S = 60.0
_QUIET_S = 60.0
_LAST_S = 2.0
_TEXTS = ("request_id", "trace_id", "model", "version", "digest", "route")
_JSON = ("inputs", "params", "outputs")
COLUMNS = (
    Column("time", "time"),
    *(Column(name, "text") for name in _TEXTS),
    Column("status", "int32"),
    *(Column(name, "double") for name in ("duration_s", "queue_s", "model_s")),
    *(Column(name, "text") for name in _JSON),
    Column("error", "text"),
)


Read = Callable[[Any], Any]


class Sink(Protocol):
    """Where records go."""

    def write(self, data: bytes) -> None:
        """Write whole lines; raise OSError."""
        ...

    def tick(self) -> None:
        """Put by what is old enough; raise OSError."""
        ...

    def close(self) -> None:
        """Put by what there is; raise OSError."""
        ...


class _Taken(NamedTuple):
    """What is known of a prediction on the request's path; what is made of it is the thread's work."""

    at: float
    seen: Seen | None
    wanted: Input
    answer: Answer | None
    refusal: Refusal | None
    took_s: float
    size_bytes: int


class InferenceLog:
    """Takes predictions, and writes a sample of them from a thread of its own."""

    def __init__(self, sink: Sink, facts: Mapping[str, str], sample: float, redactor: Redactor) -> None:
        """Start the thread; `facts` are the model's name, version and digest."""
        self.written = 0
        self.dropped = {"queue_full": 0, "write_failed": 0, "not_recordable": 0}
        self._sink = sink
        self._facts = facts
        self._sample = sample
        self._redactor = redactor
        self._waiting: SimpleQueue[_Taken | None] = SimpleQueue()
        self._waiting_bytes = 0
        self._taken_bytes = 0
        self._warned_at = -_QUIET_S
        self._thread = threading.Thread(target=self._run, daemon=True, name="inference log")
        self._thread.start()

    def record(
        self, seen: Seen | None, wanted: Input, answer: Answer | None, refusal: Refusal | None, took_s: float
    ) -> None:
        """Take one prediction, if it is in the sample and there is room."""
        if self._sample < 1.0 and random() >= self._sample:  # noqa: S311 - no secret
            return
        size = sum([len(data) for _, data in wanted.tensors]) + (0 if answer is None else len(answer.body))
        if (
            self._waiting.qsize() >= _MOST_RECORDS
            or self._waiting_bytes - self._taken_bytes + size > _MOST_BYTES
        ):
            self.dropped["queue_full"] += 1
            return
        self._waiting_bytes += size
        self._waiting.put(_Taken(time.time(), seen, wanted, answer, refusal, took_s, size))

    def family(self) -> Family:
        """Return what metrics say of it."""
        dropped = {labels(outcome=reason): count for reason, count in self.dropped.items()}
        values = {labels(outcome="written"): self.written, **dropped}
        text = "Predictions of the sample, by what became of their record."
        return Family("lading_inference_log_records_total", "counter", text, values)

    def close(self) -> None:
        """Write what waits, within a short time."""
        self._waiting.put(None)
        self._thread.join(_LAST_S)

    def _run(self) -> None:
        is_open = True
        while is_open:
            taken = self._next()
            is_open = None not in taken
            records = [one for one in taken if one is not None]
            self._write(records)
            if is_open:
                time.sleep(_PAUSE_S)  # what comes meanwhile is written at once
        try:
            self._sink.close()
        except Exception as error:  # noqa: BLE001 - the last of a thread
            self._warn(error)

    def _next(self) -> list[_Taken | None]:
        """Wait for a record, and take what has come with it; return at times without any."""
        taken: list[_Taken | None] = []
        try:
            taken.append(self._waiting.get(timeout=_TICK_S))
            while taken[-1] is not None:
                taken.append(self._waiting.get_nowait())
        except Empty:
            pass
        return taken

    def _write(self, taken: Sequence[_Taken]) -> None:
        lines: list[bytes] = []
        for one in taken:
            self._taken_bytes += one.size_bytes
            try:
                lines.append(self._line(one))
            except Exception as error:  # noqa: BLE001 - whatever a value is, the next is recorded
                self.dropped["not_recordable"] += 1
                self._warn(error)
        try:
            if lines:
                self._sink.write(b"".join(lines))
                self.written += len(lines)
                lines = []
            self._sink.tick()
        except Exception as error:  # noqa: BLE001 - the thread is the only one there is
            self.dropped["write_failed"] += len(lines)
            self._warn(error)

    def _line(self, taken: _Taken) -> bytes:
        answer, refusal, seen = taken.answer, taken.refusal, taken.seen
        read = _read_all if self._redactor.is_on else _read
        record = {
            "time": log.timestamp(taken.at),
            "request_id": "" if seen is None else seen.request_id,
            "trace_id": "" if seen is None else seen.trace_id,
            **self._facts,
            "route": "" if seen is None else seen.route,
            "status": 200 if refusal is None else refusal.status,
            "duration_s": round(taken.took_s, 6),
            "queue_s": round(answer.queue_s, 6) if answer is not None else 0.0,
            "model_s": round(answer.model_s, 6) if answer is not None else 0.0,
            "inputs": _values(taken.wanted.content, taken.wanted.tensors, taken.wanted.columns, read),
            "params": _params(taken.wanted.params),
            "outputs": None if answer is None or refusal is not None else _outputs(answer, read),
            "error": "" if refusal is None else self._redactor.text(refusal.reason, refusal.message),
        }
        return msgspec.json.encode(self._redactor.record(record)) + b"\n"

    def _warn(self, error: Exception) -> None:
        """Say that records are lost, but not with each of them."""
        now = time.monotonic()
        if now - self._warned_at >= _QUIET_S:
            self._warned_at = now
            why = getattr(error, "strerror", None) or (str(error) if isinstance(error, OSError) else "")
            log.write("warning", f"the inference log loses records: {why or type(error).__name__}")


def start(model: Model) -> InferenceLog | None:
    """Open the log that the settings ask for; where it cannot be had, say so and serve without."""
    settings = model.settings
    path = settings.inference_log
    limits = settings.inference_log_max_bytes, settings.inference_log_files
    try:
        if path == "-":
            sink: Sink = Stdout()
        elif path.endswith(".parquet"):
            sink = Parquet(path, *limits, COLUMNS, to_row)
        else:
            sink = JsonLines(path, *limits)
    except OSError as error:
        problem = f"LADING_INFERENCE_LOG={path}: {error.strerror or error}"
        log.write(
            "error", f"{problem}: predictions are not recorded; a package can write to /tmp and to volumes"
        )
        return None
    facts = {"model": model.bill.name, "version": model.bill.version, "digest": model.digest}
    return InferenceLog(sink, facts, settings.inference_log_sample, Redactor(settings.inference_log_redact))


def to_row(record: dict[str, Any]) -> dict[str, Any]:
    """Make a row of Parquet of a record; raise KeyError where it is none."""
    texts = {name: msgspec.json.encode(record[name]).decode() for name in _JSON}
    return {**record, **texts, "time": _microseconds(record["time"])}


def _microseconds(text: str) -> int:
    """Read what `log.timestamp` printed."""
    return timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")) * 1_000_000 + int(text[20:26])


def _params(params: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Return parameters, those of the request's target by their names too."""
    if not params or wire.QUERY not in params:
        return params
    query = dict(parse_qsl(str(params[wire.QUERY]), keep_blank_values=True))
    return {**query, **{name: value for name, value in params.items() if name != wire.QUERY}}


def _outputs(answer: Answer, read: Read) -> Any:
    parameters = answer.header.get("parameters") or {}
    tensors = list(wire.split(answer.header.get("outputs", ()), answer.body))
    return _values(parameters.get("content", "json"), tensors, None, read)


def _values(  # noqa: PLR0911 - a line per form
    content: str, tensors: Sequence[Any], columns: Sequence[str] | None, read: Read
) -> Any:
    """Return values as JSON has them: of a frame and of named tensors name → list, else nested lists."""
    size = sum(len(data) for _, data in tensors)
    if size > RECORD_LIMIT_BYTES:
        return {"omitted_bytes": size}
    if content == FILE:
        return {"omitted_bytes": size, "reason": "a file"}
    if content == "media":
        return _body(read, tensors[0][1])
    if content == "form":
        return {entry["name"]: _body(read, data) for entry, data in tensors}
    if columns is not None and len(tensors) == 1:
        rows = _nested(read, *tensors[0])
        return {name: [row[index] for row in rows] for index, name in enumerate(columns)}
    if content in {"frame", "tensors", "arguments"}:
        return {entry["name"]: _nested(read, entry, data) for entry, data in tensors}
    return _nested(read, *tensors[0]) if tensors else None


def _read(data: bytes | memoryview) -> Any:
    """Read JSON, NaN among it; what is none is kept as it was sent."""
    try:
        return msgspec.json.decode(data)
    except msgspec.DecodeError:
        pass
    try:
        return decode.parse_json(bytes(data))
    except Refusal:
        return bytes(data).decode("utf-8", "replace")


def _read_all(data: bytes | memoryview) -> Any:
    """Read whatever the model may have read as JSON; of the rest nobody can tell what is to be hidden."""
    try:
        return decode.parse_json(bytes(data))
    except Refusal:
        return {"omitted_bytes": len(data), "reason": "not readable as JSON"}


def _body(read: Read, data: bytes | memoryview) -> Any:
    """Read a body, or a part of one, of any media type; what is no text is left out."""
    try:
        bytes(data).decode()
    except UnicodeDecodeError:
        return {"omitted_bytes": len(data)}
    return read(data)


def _nested(read: Read, entry: Mapping[str, Any], data: bytes | memoryview) -> Any:
    datatype = entry["datatype"]
    if datatype == wire.JSON:
        is_opaque = entry["parameters"].get("type") == "octets"
        return {"omitted_bytes": len(data)} if is_opaque else read(data)
    code = wire.ARRAY_CODES.get(datatype)
    if code is None:
        return {"datatype": datatype, "omitted_bytes": len(data)}
    packed = array(code)
    packed.frombytes(data)
    values: Any = [bool(one) for one in packed] if datatype == "BOOL" else packed.tolist()
    shape = entry["shape"]
    if not shape:
        return values[0]
    for size in reversed(shape[1:]):
        values = [values[at : at + size] for at in range(0, len(values), size)] if size else []
    return values
