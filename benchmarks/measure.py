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


_START = """
import os, sys, time
os.set_inheritable(int(sys.argv[1]), False)
began = time.monotonic()
child = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(child, 0)
told = (time.monotonic() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss)
os.write(int(sys.argv[1]), " ".join(map(str, told)).encode())
sys.exit(os.waitstatus_to_exitcode(status) & 255)
"""


@dataclass(frozen=True, slots=True)
class Run:
    """One finished command: wall and CPU seconds (its children's too), peak memory of its largest process."""

    wall_s: float
    cpu_s: float
    peak_bytes: int


def run(
    command: Sequence[str | Path], *, env: Mapping[str, str] | None = None, log: Path | None = None
) -> Run:
    """Run a command to its end; leave with its output when it fails.

    A process of its own starts it: what this one holds at the fork would count into the command's peak.
    """
    out = log.open("ab") if log else subprocess.DEVNULL
    read, write = os.pipe()
    words = [sys.executable, "-IS", "-c", _START, str(write), *(str(part) for part in command)]
    environ = {**os.environ, **(env or {})}
    done = subprocess.run(words, env=environ, stdout=out, stderr=out, pass_fds=[write], check=False)
    os.close(write)
    with os.fdopen(read) as pipe:
        told = pipe.read().split()
    if log:
        out.close()  # type: ignore[union-attr]
    if done.returncode:
        tail = log.read_text()[-3000:] if log else ""
        sys.exit(f"{' '.join(map(str, command))}: exit status {done.returncode}\n{tail}")
    return Run(float(told[0]), float(told[1]), int(told[2]) * 1024)


def spread(values: Sequence[float]) -> str:
    """Print median, and least to greatest: `1.52 (1.40–1.71)`."""
    return f"{statistics.median(values):.3g} ({min(values):.3g}–{max(values):.3g})"


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """Print how many times faster ours is: the median of theirs over ours, with the extremes."""
    middle = statistics.median(theirs) / statistics.median(ours)
    return f"{middle:.3g}× ({min(theirs) / max(ours):.3g}–{max(theirs) / min(ours):.3g})"
