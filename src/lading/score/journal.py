"""Rows of mini batches in; an output file, and a journal beside it that tells what of it counts, out.

The journal is JSON lines: the plan first, then, for each mini batch, where its rows end, or why it failed.
Rows are on disk before the line that vouches for them, so what is behind the last line's end never counts.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from lading.core.errors import Issue, SpecError


class Journal:
    """Writes an output file; a context manager. Without `appends` the journal is all that it writes."""

    def __init__(self, output: Path, plan: str, *, appends: bool, restart: bool = False) -> None:
        """Read what an earlier run of this plan has done; raise SpecError where the output is another's."""
        self.output = output
        self.path = output.with_name(f"{output.name}.progress.jsonl")
        self.failed: dict[int, str] = {}
        """Why mini batches failed, by number."""
        self.done: dict[int, str] = {}
        """The digests of the mini batches whose rows are there, by number."""
        self._appends = appends
        self._end = 0
        self._kept = 0
        lines = [] if restart else self._lines()
        if lines and lines[0].get("plan") != plan:
            what = "was begun with another package, other files, or mini batches of another size"
            raise SpecError(Issue(str(output), what, "finish that, name another --output, or --restart"))
        if not lines and not restart and appends and output.exists() and output.stat().st_size:
            raise SpecError(Issue(str(output), "is there already", "name another --output, or --restart"))
        for line in lines[1:]:
            self._recall(line)
        if output.is_file() and appends and output.stat().st_size < self._end:
            what = f"has {output.stat().st_size} bytes, expected {self._end}: it was changed"
            raise SpecError(Issue(str(output), what, "begin again with --restart"))
        self._plan = plan
        self._rows: IO[bytes] | None = None
        self._notes: IO[bytes] | None = None

    def _lines(self) -> list[dict[str, Any]]:
        """Read the journal; a last line that was cut off never was."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return []
        found = []
        for line in data.splitlines(keepends=True):
            try:
                found.append(json.loads(line))
            except ValueError:
                break
            self._kept += len(line)
        return found

    def _recall(self, line: dict[str, Any]) -> None:
        number = line["batch"]
        if "error" in line:
            self.failed[number] = line["error"]
            return
        self.failed.pop(number, None)
        self.done[number] = line["digest"]
        self._end = line["end"]

    def __enter__(self) -> None:
        """Open both files, and cut off what no line vouches for."""
        self.output.parent.mkdir(parents=True, exist_ok=True)
        if self._appends:
            self._rows = self.output.open("r+b" if self.output.exists() else "w+b")
            self._rows.truncate(self._end)
            self._rows.seek(self._end)
        self._notes = self.path.open("r+b" if self.path.exists() else "w+b")
        self._notes.truncate(self._kept)
        self._notes.seek(self._kept)
        if not self._kept:
            self._note({"plan": self._plan})

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close; a run that has nothing left to do needs no journal."""
        for one in (self._rows, self._notes):
            if one:
                one.close()
        if kind is None and not self.failed:
            self.path.unlink(missing_ok=True)

    def write(self, number: int, digest: str, rows: Sequence[Any]) -> None:
        """Append the rows of a mini batch of this digest: lists of cells as CSV, texts as they are."""
        if self._rows:
            self._rows.write(text(rows).encode())
            _sync(self._rows)
            self._end = self._rows.tell()
        self.failed.pop(number, None)
        self.done[number] = digest
        self._note({"batch": number, "digest": digest, "end": self._end})

    def fail(self, number: int, why: str) -> None:
        """Remember why a mini batch has no rows."""
        self.failed[number] = why
        self._note({"batch": number, "error": why})

    def _note(self, line: dict[str, Any]) -> None:
        assert self._notes
        self._notes.write(json.dumps(line).encode() + b"\n")
        _sync(self._notes)


def text(rows: Sequence[Any]) -> str:
    """Write rows as lines: of cells as CSV, without a header (Azure ML's `append_row`)."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for row in rows:
        if isinstance(row, list):
            writer.writerow([_cell(one) for one in row])
        else:
            out.write(str(row).rstrip("\n") + "\n")
    return out.getvalue()


def _cell(value: object) -> object:
    return json.dumps(value) if isinstance(value, list | dict) else value


def _sync(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())
