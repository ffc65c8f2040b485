"""A sandbox, a bill and recorded examples in, a Report out. The caller decides what follows from it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lading.core.bill import Bill
from lading.core.digest import Digest
from lading.core.patience import Patience
from lading.core.ports import Event, Events, Running, Sandbox, ignore
from lading.core.report import Check, Report
from lading.core.server import Server
from lading.core.spec import Example
from lading.core.words import last_words
from lading.verify import probe
from lading.verify.client import Answer, Client, NoAnswerError
from lading.verify.compare import Difference, differences, predictions, rows
from lading.verify.conform import misfits
from lading.verify.unrecorded import checks as unrecorded

SOCKET = "lading.sock"
_POLL_S, _POLL_LONGEST_S = 0.005, 0.1
_HEALTH_S = 10.0
_STOP_S = 10.0
_OUTPUT_CHARACTERS = 8000
_REPEATS, _REPEAT_S = 10, 0.1
_EMULATED_PATIENCE = 10
_PATIENT = {"LADING_LOAD_TIMEOUT_S": "6000", "LADING_REQUEST_TIMEOUT_S": "600", "LADING_BIND_AFTER_S": "200"}
_READY = 200
_UNNAMED = "example"
OF_SIGNATURE = "predictions have the signature's shape and types"
SIGNATURE = "signature"
"""The check whose detail is a warning: the signature's outputs are those of another method."""


@dataclass(slots=True)
class _Replay:
    """What the examples showed so far."""

    answers: list[Any]
    """What was predicted for each example, None where there was no answer."""
    rows: int = 0
    matched: int = 0
    problems: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    """What differs from a signature that was written down of another method."""
    latencies_s: list[float] = field(default_factory=list)


def check(
    sandbox: Sandbox,
    *,
    bill: Bill,
    examples: Sequence[Example],
    image: Digest,
    server: Server,
    argv: Sequence[str],
    tmp: Path,
    env: Mapping[str, str] | None = None,
    timeout_s: float = 600.0,
    request_timeout_s: float = 60.0,
    events: Events = ignore,
    answers: list[Any] | None = None,
    drift: Sequence[str] = (),
    mounts: Mapping[str, Path] | None = None,
) -> Report:
    """Start a package's own entry point without a network and replay every recorded example.

    `argv` and `env` are the image's own, made to listen on the Unix socket SOCKET in /tmp; `server` says how
    an example is asked there. `tmp` is an empty folder; each process gets a part of it as /tmp. `timeout_s`
    bounds the start, `request_timeout_s` each request; emulated, a package has ten times as long, and its
    figures say nothing. `mounts` are what it may read besides. `answers` is given the predictions for each
    example, None where there were none. `drift` says where the environment is another than the one the model
    was saved in.
    Raises VerifyError only where nothing could be run at all; whatever the package does is in the report.
    """
    patience = _EMULATED_PATIENCE if sandbox.emulated else 1
    timeout_s, request_timeout_s = timeout_s * patience, request_timeout_s * patience
    (served := tmp / "server").mkdir()
    (probed := tmp / "probe").mkdir()
    variables = dict(env or {}) | (_PATIENT if sandbox.emulated else {})
    running = sandbox.start(argv, env=variables, tmp=served, mounts=mounts)
    started_s = time.monotonic()
    try:
        replay = _Replay([] if answers is None else answers)
        asker = _Asker(Client(served, SOCKET), server, bill, request_timeout_s, replay)
        with probe.looking(sandbox, bill, probed, variables) as seen:
            waiting = Patience(events, "verify", "the server and its model to be ready", timeout_s)
            ready = _wait_until_ready(running, asker, waiting, started_s + timeout_s, _HEALTH_S * patience)
            ready_s = time.monotonic() - started_s
        checks = [*seen, ready]
        if ready.passed:
            checks += _predictions(asker, examples, events) or unrecorded(bill, drift, asker.unasked, running)
        peak_bytes = running.peak_memory_bytes()
    finally:
        stopped_s = time.monotonic()
        running.stop(_STOP_S)
    return Report(
        image=str(image),
        sandbox=sandbox.name,
        checks=tuple(checks),
        predictions=replay.rows,
        matched=replay.matched,
        ready_s=round(ready_s, 3) if ready.passed else 0.0,
        peak_memory_bytes=0 if sandbox.emulated else peak_bytes,
        latency_ms=0.0 if sandbox.emulated else _median_ms(replay.latencies_s),
        figures={"stop_s": round(time.monotonic() - stopped_s, 3)},
        output=running.output()[-_OUTPUT_CHARACTERS:],
    )


def same(got: Sequence[Any], expected: Sequence[Any], tolerance: float) -> Iterator[Check]:
    """Hold the answers of a compiled form against those of its model; nothing where there are none."""
    if not expected:
        return
    problems = [
        f"example {number}: {one}"
        for number, (ours, theirs) in enumerate(zip(got, expected, strict=False), 1)
        for one in differences(ours, theirs, tolerance)
    ]
    exact = f"within {tolerance:g}" if tolerance else "equal"
    detail = probe.first(problems) if problems else f"answers to {len(expected)} examples are {exact}"
    passed = not problems and len(got) == len(expected)
    yield Check("same as the model", passed, detail)


def _median_ms(latencies_s: Sequence[float]) -> float:
    return round(statistics.median(latencies_s or [0.0]) * 1000, 3)


def _wait_until_ready(
    running: Running, asker: _Asker, waiting: Patience, deadline_s: float, health_s: float
) -> Check:
    """Ask for readiness until it is given, the server ends, or the time is over."""
    route = asker.bill.server.routes.get("readiness", "/v2/health/ready")
    pause_s, last = _POLL_S, "no time was left to ask"
    while (left_s := deadline_s - time.monotonic()) > 0:
        try:
            answer = asker.client.get(route, min(left_s, health_s))
        except NoAnswerError as error:
            last = str(error)
        else:
            if answer.status == _READY and asker.server.is_ready(answer.body):
                return Check("ready", passed=True, detail=f"{route} answers 200")
            last = f"{route} answers {answer.status}: {_text(answer)}"
        if (status := running.poll()) is not None:
            detail = f"the server ended with {status} before it was ready: {last_words(running.output())}"
            return Check("ready", passed=False, detail=detail)
        waiting.tell(last)
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.2, _POLL_LONGEST_S)
    detail = f"not ready in time: {last}; its last words: {last_words(running.output())}"
    return Check("ready", passed=False, detail=detail)


@dataclass(frozen=True, slots=True)
class _Asker:
    """Asks a server for predictions, and keeps how long each answer took."""

    client: Client
    server: Server
    bill: Bill
    timeout_s: float
    replay: _Replay

    @property
    def unasked(self) -> _Asker | None:
        """Itself, None where a server may be asked nothing but what an author gives."""
        return self if self.server.is_asked_examples else None

    def ask(self, example: Example) -> object:
        """Return the predictions for an example; raise NoAnswerError for anything else."""
        asked = self.server.ask(example.inputs, self.bill)
        begun_s = time.perf_counter()
        answer = self.client.post(asked.path, asked.body, self.timeout_s, asked.content_type)
        self.replay.latencies_s.append(time.perf_counter() - begun_s)
        if answer.status != _READY:
            raise NoAnswerError(f"{asked.path} answers {answer.status}: {_text(answer)}")
        try:
            return predictions(self.server.outputs(answer.body, self.bill))
        except (ValueError, RecursionError) as error:
            raise NoAnswerError(f"{asked.path} answers no JSON: {_text(answer)}") from error


def _replay(asker: _Asker, examples: Sequence[Example], events: Events) -> None:
    """Send each example once and hold the answer against what was recorded, or against the signature."""
    bill, replay = asker.bill, asker.replay
    for number, example in enumerate(examples):
        expected_rows = bill.examples[number].rows if number < len(bill.examples) else 1
        recorded = predictions(example.outputs)
        count = expected_rows if example.outputs is None else len(rows(recorded))
        replay.rows += count
        name = example.name if example.name != _UNNAMED else f"{_UNNAMED} {number}"
        try:
            got = asker.ask(example)
        except NoAnswerError as error:
            replay.problems.append(f"{name}: {error}")
            replay.answers.append(None)
            continue
        replay.answers.append(got)
        if example.outputs is None:
            found = misfits(got, bill.model.signature, expected_rows)
            if found and _method(bill) != "predict" and len(rows(got)) == expected_rows:
                replay.doubts.append(f"{name}: {found[0]}")
                found = []
        else:
            found = differences(got, recorded, example.tolerance)
        replay.matched += 0 if _is_whole(found) else count - len(found)
        replay.problems += [f"{name}: {one}" for one in found]
        events(Event("verify", "progress", "replay", number + 1, len(examples), "requests"))


def _method(bill: Bill) -> str:
    return str(bill.model.loader_options.get("method") or "predict")


def _doubt(replay: _Replay, bill: Bill) -> str:
    """Say that a signature is of another method than the one that answers, of `predict` mostly."""
    method = _method(bill)
    return (
        f"{method!r} answers otherwise than the signature's outputs say, which clients are told: "
        f"{probe.first(replay.doubts)}; mend it by saving the model with "
        f"signature=infer_signature(inputs, model.{method}(inputs))"
    )


def _repeat(asker: _Asker, examples: Sequence[Example]) -> None:
    """Ask again, for a tenth of a second at most, so that the median says something."""
    replay = asker.replay
    until_s = time.monotonic() + _REPEAT_S
    while not replay.problems and examples and len(replay.latencies_s) < _REPEATS:
        if time.monotonic() >= until_s:
            return
        try:
            asker.ask(examples[0])
        except NoAnswerError as error:
            replay.problems.append(f"asked once more: {error}")


def _predictions(asker: _Asker, examples: Sequence[Example], events: Events) -> list[Check]:
    """Replay the examples and judge; nothing where there are none."""
    replay = asker.replay
    _replay(asker, examples, events)
    _repeat(asker, examples)
    if not examples:
        return []
    recorded = any(example.outputs is not None for example in examples)
    what = "recorded predictions match" if recorded else OF_SIGNATURE
    if replay.doubts:
        what = "predictions have as many rows as were sent"
    detail = f"{replay.matched} of {replay.rows} {what}"
    if replay.problems:
        detail += f": {probe.first(replay.problems)}"
    checks = [Check("predictions", not replay.problems, detail)]
    if replay.doubts:
        checks.append(Check(SIGNATURE, passed=True, detail=_doubt(replay, asker.bill)))
    return checks


def _is_whole(found: Sequence[Difference]) -> bool:
    """Tell whether the answers differ as a whole, so that no row can be counted."""
    return any(one.row is None for one in found)


def _text(answer: Answer) -> str:
    return answer.body[:500].decode(errors="replace")
