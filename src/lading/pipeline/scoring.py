"""A package and files go in; an output of what it predicts for them comes out, scored in the sandbox."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from lading import score as scoring
from lading import verify
from lading.core.errors import Issue, SpecError, VerifyError
from lading.core.platform import Platform
from lading.core.ports import Running
from lading.core.server import NATIVE
from lading.pipeline import delivery, shelf
from lading.pipeline.context import Context, keeping
from lading.pipeline.running import on_socket, temporary_folder, user
from lading.servers.azureml_batch import NAME as BATCH
from lading.servers.azureml_batch import OUTPUT
from lading.verify.client import Answer, Client, NoAnswerError
from lading.verify.compare import predictions

_OK = 200
_START_S, _HEALTH_S, _STOP_S, _POLL_S = 600.0, 10.0, 10.0, 0.02
_AFTER_S = 1.0
"""How long what has closed its connection may take to end."""
_WORDS = 2000
_PARQUET = {".parquet", ".pqt"}
_CONTENT_TYPES = {
    ".csv": "text/csv",
    ".json": "application/json",
    **dict.fromkeys(_PARQUET, "application/vnd.apache.parquet"),
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """How files are to be scored, in the words of Azure ML's batch deployments."""

    data: tuple[Path, ...]
    output: Path
    mini_batch_size: int = 10
    appends: bool = True
    """`append_row`: rows go to the output; else `summary_only`: the script writes what it wants kept."""
    error_threshold: int = scoring.ANY_NUMBER
    retries: int = 3
    timeout_s: float = 30.0
    environment: Mapping[str, str] = field(default_factory=dict)
    restart: bool = False
    platform: Platform | None = None
    sandbox: str | None = None


@keeping
def score(context: Context, text: str, wanted: Wanted, *, log: IO[bytes] | None = None) -> scoring.Tally:
    """Score files with a package, in mini batches; what an earlier run of the same has done is kept.

    Raises SpecError for what cannot be scored, VerifyError where the package does not start, or more files
    fail than are allowed to.
    """
    package = shelf.find(context, text, wanted.platform)
    name = package.bill.server.name
    if name not in {BATCH, NATIVE}:
        fix = f"pack it with `server: {BATCH}`, or with lading's own"
        raise SpecError(Issue(repr(text), f"its server, {name!r}, answers requests one by one", fix))
    if name == NATIVE and not wanted.appends:
        raise SpecError(
            Issue("--append", "got 'summary', which is for batch scoring scripts", "leave it out")
        )
    placed = scoring.place(wanted.data)
    if name == NATIVE and any(one.suffix.lower() in _PARQUET for one in placed.files.values()):
        package = shelf.original(context, package)  # a compiled form has no library that reads it
    batches = scoring.mini_batches(placed.files, wanted.mini_batch_size)
    plan = scoring.plan(batches, package.image.descriptor.digest, wanted.appends)
    journal = scoring.Journal(wanted.output, plan, appends=wanted.appends, restart=wanted.restart)
    keep = wanted.output.parent if wanted.appends else wanted.output
    with temporary_folder() as world, journal:
        lent = scoring.lend(placed, world / "data")
        package_here = _Started(context, package, wanted, lent, world, log)
        scorer = _Native(package_here, placed.files) if name == NATIVE else _Batch(package_here, keep)
        try:
            return scoring.run(
                batches,
                scorer,
                journal,
                retries=wanted.retries,
                error_threshold=wanted.error_threshold,
                events=context.events,
            )
        finally:
            package_here.stop()


@dataclass(slots=True)
class _Started:
    """A package in a sandbox without a network, started when it is first asked, and anew once it has gone."""

    context: Context
    package: shelf.Package
    wanted: Wanted
    placed: scoring.Placed
    world: Path
    log: IO[bytes] | None
    _running: Running | None = None
    _count: int = 0

    @property
    def tmp(self) -> Path:
        """Return the folder that is /tmp in the sandbox that runs, or ran last."""
        return self.world / str(self._count)

    def post(self, path: str, body: bytes, content_type: str = "application/json") -> Answer:
        """Ask it, within the time of a mini batch; what does not answer is ended. Raise FailedError."""
        running = self._running or self._start()
        try:
            return Client(self.tmp, verify.SOCKET).post(path, body, self.wanted.timeout_s, content_type)
        except NoAnswerError as error:
            status = None
            with contextlib.suppress(TimeoutError):
                status = running.wait(_AFTER_S)
            ended = "" if status is None else f"; the package ended with {status}"
            self.stop()
            raise scoring.FailedError(f"{running.output()[-_WORDS:]}\n{error}{ended}") from error

    def _start(self) -> Running:
        image, bill = self.package.image, self.package.bill
        self._count += 1
        self.tmp.mkdir()
        argv, env = on_socket(image, bill, f"/tmp/{verify.SOCKET}")  # noqa: S108 - in the sandbox
        opened = self.context.sandbox(
            image.layers, self.wanted.sandbox, platform=image.platform, user=user(image)
        )
        lent = delivery.lend(self.context, bill)
        running = opened.start(
            argv,
            env={**env, **self.wanted.environment, **lent.env},
            tmp=self.tmp,
            mounts={**self.placed.mounts, **lent.mounts},
        )
        self._running = running
        if self.log:
            running.follow(self.log)
        client, route = Client(self.tmp, verify.SOCKET), bill.server.routes["readiness"]
        until_s = time.monotonic() + _START_S
        while time.monotonic() < until_s and running.poll() is None:
            with contextlib.suppress(NoAnswerError):
                if client.get(route, _HEALTH_S).status == _OK:
                    return running
            time.sleep(_POLL_S)
        status = running.poll()
        why = "is not ready in time" if status is None else f"ended with {status} before it was ready"
        self.stop()
        raise VerifyError(Issue(bill.name, f"the package {why}:\n{running.output()[-_WORDS:]}"))

    def stop(self) -> None:
        """End it."""
        if self._running:
            self._running.stop(_STOP_S)
        self._running = None


@dataclass(frozen=True, slots=True)
class _Batch:
    """Scores by a batch scoring script; what it writes to its output folder goes to `keep`."""

    package: _Started
    keep: Path

    def score(self, paths: Sequence[str]) -> scoring.Rows:
        """Have `run` called with the paths; raise FailedError."""
        body = json.dumps({"mini_batch": list(paths)}).encode()
        answer = self.package.post("/score", body)
        document = _read(answer)
        written = self.package.tmp / Path(OUTPUT).name
        if answer.status != _OK:
            shutil.rmtree(written, ignore_errors=True)
            raise scoring.FailedError(str(document.get("message", document)))
        self._take(written)
        return scoring.Rows(document["rows"], int(document["count"]))

    def _take(self, written: Path) -> None:
        """Move files out of the sandbox's folder: regular ones alone, for strangers write there."""
        if written.is_symlink() or not written.is_dir():
            return
        for path in sorted(written.rglob("*")):
            if path.is_file() and not path.is_symlink() and path.resolve().is_relative_to(written.resolve()):
                target = self.keep / path.relative_to(written)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target, follow_symlinks=False)
        shutil.rmtree(written, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class _Native:
    """Scores by lading's own server, a file a request: a row is its number, its prediction and its file."""

    package: _Started
    files: Mapping[str, Path]

    def score(self, paths: Sequence[str]) -> scoring.Rows:
        """Send each file to `/invocations`; raise FailedError."""
        rows: list[Any] = []
        for path in paths:
            here = self.files[path]
            kind = _CONTENT_TYPES.get(here.suffix.lower())
            if kind is None:
                expected = ", ".join(sorted(_CONTENT_TYPES))
                raise scoring.FailedError(f"{here.name}: got {here.suffix!r}, expected {expected}")
            answer = self.package.post("/invocations", here.read_bytes(), kind)
            if answer.status != _OK:
                raise scoring.FailedError(f"{here.name}: {answer.body[:_WORDS].decode(errors='replace')}")
            found = predictions(_read(answer))
            for number, one in enumerate(found if isinstance(found, list) else [found]):
                cells = (
                    list(one.values()) if isinstance(one, dict) else one if isinstance(one, list) else [one]
                )
                rows.append([number, *cells, here.name])
        return scoring.Rows(rows, max(len(rows), len(paths)))


def _read(answer: Answer) -> Any:  # noqa: ANN401 - any JSON value
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError) as error:
        raise scoring.FailedError(f"got no JSON: {answer.body[:200]!r}") from error
