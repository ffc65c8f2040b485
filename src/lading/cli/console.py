"""Events and results go in, lines for people or JSON for programs come out.

Results go to stdout; progress, stage lines and warnings to stderr. Bars are drawn on a terminal alone, and
only for what takes longer than a second.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from lading import settings
from lading.core.ports import Event

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

SandboxKind = Literal["unshare", "bwrap", "podman", "docker"]
_PATIENCE_S = 1.0
_FRAME_S = 0.1
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
"""All but tab and the ends of lines."""


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class Common:
    """Options of every command."""

    json: Annotated[bool, Parameter(negative="", help="Print one JSON document on stdout.")] = False
    verbose: Annotated[
        bool, Parameter(alias="-v", negative="", help="Say more; show tracebacks of defects.")
    ] = False
    home: Annotated[
        Path | None, Parameter(help="Folder of the store and the caches, in place of $LADING_HOME.")
    ] = None

    def settings(self) -> settings.Settings:
        """Read the settings, the flag before the variable before the file."""
        return settings.load(home=self.home)


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class GroupCommon(Common):
    """Options of every command in a group, where -v is a version, as Azure's commands have it."""

    verbose: Annotated[bool, Parameter(negative="", help="Say more; show tracebacks of defects.")] = False


class Console:
    """Prints for one command. Its `event` is handed to the pipeline."""

    def __init__(self, common: Common) -> None:
        """Decide once how to print."""
        self.common = common
        self._draws = sys.stderr.isatty() and not common.json
        self._began: dict[str, float] = {}
        self._tasks: dict[str, TaskID] = {}
        self._drawn = 0.0
        self._progress: Progress | None = None

    def event(self, event: Event) -> None:
        """Draw progress, print a step when verbose, always print a warning."""
        if event.kind == "progress":
            self._advance(event)
        elif event.kind == "stage":
            self.stage(event.stage, event.text)
        elif event.kind == "warning":
            self.line(f"  {event.stage:<9} warning: {event.text}")
        elif self.common.verbose:
            self.line(f"  {event.stage:<9} {event.text}")

    def stage(self, name: str, text: str) -> None:
        """Print the one line that sums up a stage."""
        self.close()
        if not self.common.json:
            self.line(f"  {name:<9} {text}")

    def line(self, text: str) -> None:
        """Print a line for people, above any bar."""
        text = tame(text)
        if self._progress:
            self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            print(text, file=sys.stderr, flush=True)

    def result(self, text: str, document: Any) -> None:  # noqa: ANN401 - any JSON value
        """Print the result: text for people, or the document with `--json`."""
        self.close()
        print(json.dumps(document, indent=2, default=str) if self.common.json else tame(text), flush=True)

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]], document: Any) -> None:  # noqa: ANN401
        """Print aligned columns, or the document with `--json`."""
        widths = [max(len(row[n]) for row in (header, *rows)) for n in range(len(header))]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in (header, *rows)
        ]
        self.result("\n".join(lines), document)

    def close(self) -> None:
        """Take the bars away."""
        if self._progress:
            self._progress.stop()
        self._progress = None
        self._tasks.clear()
        self._began.clear()

    def _advance(self, event: Event) -> None:
        """Draw a bar once a stage has lasted a while, ten times a second at most."""
        now = time.monotonic()
        began = self._began.setdefault(event.stage, now)
        if not self._draws or now - began < _PATIENCE_S or now - self._drawn < _FRAME_S:
            return
        self._drawn = now
        if self._progress is None:
            self._progress = _bars()
            self._progress.start()
        if event.stage not in self._tasks:
            self._tasks[event.stage] = self._progress.add_task(event.stage, total=None, amount="")
        if event.total and event.done >= event.total:
            self._progress.remove_task(self._tasks.pop(event.stage))
            return
        amount = _amount(event)
        is_digest = event.text.startswith("sha256:")
        self._progress.update(
            self._tasks[event.stage],
            completed=event.done,
            total=event.total,
            # twelve digits of a digest, so that the bar has room
            amount=f"{amount} {event.text.removeprefix('sha256:')[:12] if is_digest else event.text}"[:60],
        )


def tame(text: str) -> str:
    r"""Write out what would command a terminal: texts of others are printed too.

    >>> tame("a\x1b[2Jb\n")
    'a\\x1b[2Jb\n'
    """
    return _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


def _bars() -> Progress:
    from rich.console import Console as Terminal
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("  {task.description:<9}"),
        BarColumn(),
        TextColumn("{task.fields[amount]}", markup=False),
        TimeRemainingColumn(),
        console=Terminal(stderr=True),
        transient=True,
    )


def _amount(event: Event) -> str:
    if event.unit == "bytes":
        total = f" of {size(event.total)}" if event.total else ""
        return f"{size(event.done)}{total}"
    total = f" of {event.total}" if event.total else ""
    return f"{event.done}{total} {event.unit}"


def size(size_bytes: int) -> str:
    """Print a size as people read it, in powers of ten: `74 MB`."""
    value = float(size_bytes)
    for unit in ("B", "kB", "MB"):
        if value < 999.5:
            return f"{value:.0f} {unit}" if value >= 10 or unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"
