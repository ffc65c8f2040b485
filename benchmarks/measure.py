"""Commands go in, their times and memory come out, as the operating system accounts them."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# what is installed has byte code: a checkout is not to compile itself anew in every command
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@dataclass(frozen=True, slots=True)
class Run:
    """One finished command: wall and CPU seconds (its children's too), peak memory of its largest process."""

    wall_s: float
    cpu_s: float
    peak_bytes: int


def run(
    command: Sequence[str | Path], *, env: Mapping[str, str] | None = None, log: Path | None = None
) -> Run:
    """Run a command to its end; leave with its output when it fails."""
    import time

    out = log.open("ab") if log else subprocess.DEVNULL
    began = time.monotonic()
    process = subprocess.Popen(
        [str(part) for part in command], env={**os.environ, **(env or {})}, stdout=out, stderr=out
    )
    _, status, usage = os.wait4(process.pid, 0)
    wall_s = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if log:
        out.close()  # type: ignore[union-attr]
    if process.returncode:
        tail = log.read_text()[-3000:] if log else ""
        sys.exit(f"{' '.join(map(str, command))}: exit status {process.returncode}\n{tail}")
    return Run(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def spread(values: Sequence[float]) -> str:
    """Print median, and least to greatest: `1.52 (1.40–1.71)`."""
    return f"{statistics.median(values):.3g} ({min(values):.3g}–{max(values):.3g})"


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """Print how many times faster ours is: the median of theirs over ours, with the extremes."""
    middle = statistics.median(theirs) / statistics.median(ours)
    return f"{middle:.3g}× ({min(theirs) / max(ours):.3g}–{max(theirs) / min(ours):.3g})"
