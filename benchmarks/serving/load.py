"""A running server in; what a load of requests cost it out: wrk's view, and the operating system's."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
_SCRIPT = """
wrk.method = "POST"
wrk.body = io.open(os.getenv("BODY"), "rb"):read("*a")
wrk.headers["content-type"] = "application/json"
function done(summary, latency, requests)
  local e = summary.errors
  local form = '{"requests": %d, "duration_us": %d, "p50_us": %d, "p99_us": %d, "refused": %d, "errors": %d}'
  io.stderr:write(string.format(form .. '\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    e.status, e.connect + e.read + e.write + e.status + e.timeout))
end
"""


@dataclass(frozen=True)
class Load:
    """What one load showed. CPU is the server's, all its processes together; refusals are no answers."""

    requests_per_s: float
    p50_ms: float
    p99_ms: float
    errors: int
    cpu_us: float


def drive(pid: int, url: str, body: bytes, concurrency: int, duration_s: int) -> Load:
    """Send a body again and again over so many connections; return what that cost the processes below pid."""
    with tempfile.TemporaryDirectory() as name:
        script, text = Path(name) / "post.lua", Path(name) / "body"
        script.write_text(_SCRIPT)
        text.write_bytes(body)
        command = [
            "wrk",
            "-t1",
            f"-c{concurrency}",
            f"-d{duration_s}s",
            "--timeout",
            "30s",
            "-s",
            script,
            url,
        ]
        before = cpu_s(pid)
        done = subprocess.run(
            command, env={**os.environ, "BODY": str(text)}, capture_output=True, text=True, check=True
        )
        spent = cpu_s(pid) - before
    seen = json.loads(done.stderr.strip().splitlines()[-1])
    answered = seen["requests"] - seen["refused"]
    return Load(
        answered / (seen["duration_us"] / 1e6),
        seen["p50_us"] / 1e3,
        seen["p99_us"] / 1e3,
        seen["errors"],
        spent / max(answered, 1) * 1e6,
    )


def family(pid: int) -> Iterator[int]:
    """List a process and all below it."""
    yield pid
    for task in _tasks(pid):
        try:
            children = (task / "children").read_text().split()
        except OSError:
            continue
        for child in children:
            yield from family(int(child))


def cpu_s(pid: int) -> float:
    """Sum user and system time of a process and all below it, the ended ones that were waited for too."""
    total = 0
    for process in family(pid):
        try:
            fields = Path(f"/proc/{process}/stat").read_bytes().rpartition(b")")[2].split()
        except OSError:
            continue
        total += sum(map(int, fields[11:15]))
    return total / TICKS


def memory_mb(pid: int) -> float:
    """Sum the proportional set sizes, in 10⁶ bytes: pages that are shared count once."""
    total = 0
    for process in family(pid):
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total * 1024 / 1e6


def _tasks(pid: int) -> list[Path]:
    try:
        return list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return []
