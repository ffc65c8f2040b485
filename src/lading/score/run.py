"""Mini batches and a scorer in; an output, and a tally of it, out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from lading.core.errors import Issue, SpecError, VerifyError
from lading.core.ports import Event, Events, ignore
from lading.score.batches import MiniBatch
from lading.score.journal import Journal

ANY_NUMBER = -1
"""An error threshold that lets every file fail (Azure ML's `error_threshold`)."""


class FailedError(Exception):
    """A mini batch was not scored; it may be tried again."""


@dataclass(frozen=True, slots=True)
class Rows:
    """What a scorer returned for a mini batch: lists of cells, or lines."""

    rows: Sequence[Any]
    count: int
    """How many elements were returned: each stands for one file or row that was scored."""


class Scorer(Protocol):
    """Scores the files of one mini batch."""

    def score(self, paths: Sequence[str]) -> Rows:
        """Return its rows; raise FailedError."""
        ...


@dataclass(slots=True)
class Tally:
    """What a run did."""

    files: int
    rows: int = 0
    mini_batches: int = 0
    resumed: int = 0
    """Mini batches that an earlier run had done."""
    failed_files: int = 0
    failures: list[dict[str, Any]] = field(default_factory=list)
    """Mini batches that failed for good: their files, and why."""

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


def run(
    batches: Sequence[MiniBatch],
    scorer: Scorer,
    journal: Journal,
    *,
    retries: int,
    error_threshold: int,
    events: Events = ignore,
) -> Tally:
    """Score what the journal does not have yet, in order; raise VerifyError once too many files have failed.

    What fails is tried `retries` times more. More failed files than `error_threshold` end the run, which can
    be gone on with; ANY_NUMBER never does. Raises SpecError where files have changed since they were scored.
    """
    changed = [one for one in batches if journal.done.get(one.number, one.digest) != one.digest]
    if changed:
        what = "has changed since it was scored"
        raise SpecError(*(Issue(_named(one), what, "begin again with --restart") for one in changed))
    tally = Tally(files=sum(len(one.paths) for one in batches), mini_batches=len(batches))
    seen = 0
    for batch in batches:
        seen += len(batch.paths)
        if batch.number in journal.done:
            tally.resumed += 1
            continue
        try:
            found = _tried(batch, scorer, retries, events)
        except FailedError as error:
            why = str(error)
            journal.fail(batch.number, why)
            tally.failed_files += len(batch.paths)
            tally.failures.append({"files": list(batch.paths), "error": why})
            events(Event("score", "warning", f"{_named(batch)}: {why.strip().splitlines()[-1]}"))
        else:
            journal.write(batch.number, batch.digest, found.rows)
            tally.rows += found.count
            # each element that is returned stands for a file, or for a row of one
            if missing := max(0, len(batch.paths) - found.count):
                tally.failed_files += missing
                what = f"{_named(batch)}: {found.count} elements returned for {len(batch.paths)} files"
                events(Event("score", "warning", what))
        events(Event("score", "progress", "", seen, tally.files, "files"))
        if error_threshold != ANY_NUMBER and tally.failed_files > error_threshold:
            raise _too_many(tally, journal, error_threshold)
    return tally


def _tried(batch: MiniBatch, scorer: Scorer, retries: int, events: Events) -> Rows:
    for left in range(retries, -1, -1):
        try:
            return scorer.score(batch.paths)
        except FailedError as error:
            if not left:
                raise
            last = str(error).strip().splitlines()[-1]
            events(Event("score", "step", f"{_named(batch)}: {last}; tried again"))
    raise AssertionError("a negative number of retries")


def _named(batch: MiniBatch) -> str:
    first = batch.paths[0].rpartition("/")[2]
    more = f" and {len(batch.paths) - 1} more" if len(batch.paths) > 1 else ""
    return f"mini batch {batch.number} ({first}{more})"


def _too_many(tally: Tally, journal: Journal, threshold: int) -> VerifyError:
    what = f"{tally.failed_files} files failed, expected {threshold} at most"
    fix = f"the rows before it are in {journal.output}: mend what failed and run the same again"
    issues = [Issue("score", what, fix)]
    issues += [
        Issue(", ".join(one["files"][:3]), one["error"].strip()[-2000:]) for one in tally.failures[-1:]
    ]
    return VerifyError(*issues)
