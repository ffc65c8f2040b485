"""An original and its compiled form in, whether they answer alike and which is faster out."""

# models have no type here
# ruff: noqa: ANN401

from __future__ import annotations

import math
import platform
import sys
import time
import warnings
from array import array
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from lading_runtime import wire
from lading_runtime.compile.notes import Points
from lading_runtime.compile.probes import ODD, Probe, Prober, message, probes
from lading_runtime.compiled.form import Form, Refused
from lading_runtime.worker import inputs, results

LIMIT_S = 120.0
_SLACK = 1.5  # a server is mostly asked for one row, where the gain is tenfold
_WORKER_US = 100.0  # what a message to a worker and back costs, which a form does without


class Effort(NamedTuple):
    """How much is tried."""

    random_rows: int = 10_000
    edge_rows: int = 60_000
    """At most so many values at and beside thresholds."""
    odd_cells: int = len(ODD)
    """So many cells of types that a column does not have."""
    limit_s: float = LIMIT_S
    measured_s: float = 0.2
    """How long each of four timings takes."""
    slack: float = _SLACK
    """By which factor a form may be slower with 64 rows."""
    alone: float = 1.0
    """By which factor it may be slower with one."""


class Outcome(NamedTuple):
    """What a model made of a request."""

    kind: str
    """`answered`, `refused` or `failed`."""
    output: tuple[Any, ...] = ()
    """The content, and the tensor's name, datatype and shape."""
    data: bytes = b""
    message: str = ""


def ask_original(loaded: Any, probe: Probe) -> Outcome:
    """Ask the model as the worker does."""
    try:
        content, tensors = results.encode(loaded.predict(inputs.Request(*message(probe))))
    except inputs.RefusedError as error:
        return Outcome("refused", message=str(error))
    except Exception as error:  # noqa: BLE001 - whatever a user's model raises
        return Outcome("failed", message=str(error))
    if len(tensors) != 1:
        return Outcome("answered", (content, len(tensors)))
    entry, data = tensors[0]
    return Outcome("answered", (content, entry["name"], entry["datatype"], tuple(entry["shape"])), data)


def ask_form(form: Form, probe: Probe) -> Outcome:
    """Ask the compiled form as the front does."""
    try:
        header, data = form.answer(probe.content, probe.tensors, probe.columns)
    except Refused as error:
        return Outcome("refused", message=str(error))
    except Exception as error:  # noqa: BLE001 - a form that raises is not kept, but must not end the proof
        return Outcome("failed", message=repr(error))
    entry = header["outputs"][0]
    output = (header["parameters"]["content"], entry["name"], entry["datatype"], tuple(entry["shape"]))
    return Outcome("answered", output, data)


def prove(
    loaded: Any,
    form: Form,
    points: Points,
    examples: Sequence[Sequence[Any]] = (),
    *,
    effort: Effort = Effort(),  # noqa: B008 - it is never changed
    tolerance: float | None = None,
    settled: bool = False,
) -> dict[str, Any]:
    """Measure both, then compare them, stopping at the first difference; return the proof.

    What is slower is not compared: that takes the longest where the form does. With a tolerance, numbers may
    differ by it, absolutely and relatively. `reason` says why not, when not.
    Where it is `settled` that the form is kept, everything is tried and nothing measured: another processor
    may round otherwise, or be slow.
    """
    trial = _Trial(loaded, form, Prober(points, form.facts["names"]), tolerance)
    timed = Prober(points, form.facts["names"], seed=1)  # so that what is compared is the same when settled
    first = ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # casts overflow here on purpose
        if not settled and (slow := _measure(trial, timed, effort)):
            return trial.ended(slow)
        began = time.process_time()  # which other work on the machine does not lengthen
        for probe in probes(trial.prober, examples, effort.random_rows, effort.edge_rows, effort.odd_cells):
            if not settled and time.process_time() - began > effort.limit_s:
                return trial.ended(f"comparing took more than {effort.limit_s:g} s")
            trial.count(probe)
            first = first or trial.compare(probe)
            if first and not settled:
                return trial.ended(first)
        trial.proof["proved"] = not first
        trial.proof["identical"] = not first and trial.proof["max_difference"] == 0.0
        return {**trial.proof, "kept": True, "reason": first}


class _Trial:
    """One comparison, and what is known so far."""

    def __init__(self, loaded: Any, form: Form, prober: Prober, tolerance: float | None) -> None:
        self.loaded = loaded
        self.form = form
        self.prober = prober
        self.tolerance = tolerance
        self.proof: dict[str, Any] = {
            "proved": False,
            "identical": False,
            "kept": False,
            "reason": "",
            "probes": 0,
            "requests": 0,
            "thresholds": prober.thresholds,
            "max_difference": 0.0,
            "python": platform.python_version(),
            "machine": platform.machine(),
            "libraries": {
                name: str(getattr(sys.modules[name], "__version__", ""))
                for name in (
                    "numpy",
                    "sklearn",
                    "xgboost",
                    "lightgbm",
                    "pandas",
                    "onnx",
                    "onnxruntime",
                    "skl2onnx",
                )
                if name in sys.modules
            },
        }

    def ended(self, reason: str) -> dict[str, Any]:
        """Return the proof: kept, unless there is a reason why not."""
        self.proof["reason"] = reason
        self.proof["kept"] = not reason
        return self.proof

    def count(self, probe: Probe) -> None:
        """Count a request, which is told even where it is no longer compared."""
        self.proof["requests"] += 1
        self.proof["probes"] += max(1, len(probe.rows))

    def compare(self, probe: Probe) -> str:
        """Return how two answers differ, nothing where they do not."""
        original, compiled = ask_original(self.loaded, probe), ask_form(self.form, probe)
        if original.kind != compiled.kind:
            return (
                f"the original {original.kind} what the compiled form {compiled.kind}: "
                f"{_show(probe)}: {(original.message or compiled.message)[:300]}"
            )
        if original.output != compiled.output:
            return f"outputs {original.output} became {compiled.output}"
        if original.data == compiled.data:
            return ""
        largest = _difference(original, compiled, is_exact=not self.tolerance)
        if self.tolerance and largest <= self.tolerance:
            self.proof["max_difference"] = max(self.proof["max_difference"], largest)
            return ""
        for row in _rows_that_differ(original, compiled):
            # of words it is infinite, which JSON has not
            self.proof["max_difference"] = max(self.proof["max_difference"], min(largest, sys.float_info.max))
            much = f" by {largest:g}" if largest <= sys.float_info.max else ""
            return f"answers differ{much} among {len(probe.rows)} rows: {_show(probe, row)}"
        return ""


def _rows_that_differ(original: Outcome, compiled: Outcome) -> list[int]:
    first, second = _values(original), _values(compiled)
    shape = original.output[3]
    width = shape[1] if len(shape) > 1 else 1
    return sorted(
        {
            index // width
            for index, (one, other) in enumerate(zip(first, second))  # noqa: B905 - of one shape
            if one != other and not (one != one and other != other)  # noqa: PLR0124 - NaN
        }
    )


def _values(outcome: Outcome) -> Sequence[Any]:
    """Read an answer's cells; floats by their bits, so that zeros of two signs differ."""
    datatype = outcome.output[2]
    code = wire.ARRAY_CODES.get(datatype)
    if code is None:
        return outcome.data.decode().strip("[]").split(", ")
    cells = array(code)
    cells.frombytes(outcome.data)
    if code in "fd":
        return [one or str(one) for one in cells]
    return cells


def _difference(original: Outcome, compiled: Outcome, *, is_exact: bool) -> float:
    """Return the largest gap; whether what overflows is infinite or NaN is by the order of adding alone."""
    code = wire.ARRAY_CODES.get(original.output[2])
    if code not in {"f", "d"}:
        return float("inf")
    first, second = array(code), array(code)
    first.frombytes(original.data)
    second.frombytes(compiled.data)
    gaps = [
        abs(one - other) / max(1.0, abs(one))
        for one, other in zip(first, second)  # noqa: B905 - of one shape
        if one != other
        and not (one != one and other != other)  # noqa: PLR0124 - NaN
        and (is_exact or one - one == 0.0 or other - other == 0.0)
    ]
    return max((gap if gap == gap else float("inf") for gap in gaps), default=0.0)  # noqa: PLR0124


def _measure(trial: _Trial, prober: Prober, effort: Effort) -> str:
    """Time both with 1, 64 and 1,000 rows; return where the form is too slow, if it is with 1 or with 64."""
    for rows, slack in ((1, effort.alone), (64, effort.slack), (1_000, math.inf)):
        # other rows each time: a processor remembers the way through a tree
        several = [prober.table(prober.random(rows)) for _ in range(16 if rows < 1_000 else 1)]
        original = round(
            _cpu_us(lambda probe: ask_original(trial.loaded, probe), several, effort.measured_s), 2
        )
        compiled = round(_cpu_us(lambda probe: ask_form(trial.form, probe), several, effort.measured_s), 2)
        suffix = "" if rows == 1 else f"_{rows}_rows"
        trial.proof[f"original_us{suffix}"], trial.proof[f"compiled_us{suffix}"] = original, compiled
        if compiled > (slack * original if rows == 1 else slack * (original + _WORKER_US)):
            return f"slower with {rows} rows: {compiled} µs, the original {original} µs"
    return ""


def _cpu_us(ask: Callable[[Probe], Outcome], several: Sequence[Probe], measured_s: float) -> float:
    """Return the CPU microseconds of a call: the least of a few rounds, for noise only ever adds."""
    ask(several[0])
    best, spent = float("inf"), 0.0
    while spent < measured_s:
        began = time.process_time()
        for probe in several:
            ask(probe)
        took = time.process_time() - began
        spent += took + 1e-4
        best = min(best, took / len(several))
    return best * 1e6


def _show(probe: Probe, row: int = 0) -> str:
    if row < len(probe.rows):
        return f"row {list(probe.rows[row])!r}"[:300]
    entry = probe.tensors[0][0]
    return f"{probe.content} of {entry['datatype']} {entry['shape']}"
