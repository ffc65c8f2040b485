"""Process ids in, what Linux says of each out, by the names that Prometheus' clients use."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping

from lading_runtime.front.metrics import Family, labels

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# fields of /proc/PID/stat behind the name, which may hold spaces: proc(5) counts from 3
_UTIME, _STIME, _THREADS, _START, _VIRTUAL, _RESIDENT = (field - 3 for field in (14, 15, 20, 22, 23, 24))


def families(processes: Mapping[str, int]) -> Iterator[Family]:
    """Return metrics of processes, name → id; one that has ended meanwhile is left out."""
    stats = {labels(process=name): stat for name, pid in processes.items() if (stat := _stat(pid))}
    pids = {labels(process=name): pid for name, pid in processes.items()}

    def family(name: str, kind: str, text: str, value: Callable[[list[int]], float]) -> Family:
        return Family(name, kind, text, {label: value(stat) for label, stat in stats.items()})

    yield family(
        "process_cpu_seconds_total",
        "counter",
        "Processor time that a process has used.",
        lambda stat: (stat[_UTIME] + stat[_STIME]) / _TICKS,
    )
    booted_s = _booted_s()
    yield family(
        "process_start_time_seconds",
        "gauge",
        "When a process has started, in seconds since 1970.",
        lambda stat: booted_s + stat[_START] / _TICKS,
    )
    text = "Memory that a process has in use."
    name = "process_resident_memory_bytes"
    yield family(name, "gauge", text, lambda stat: stat[_RESIDENT] * _PAGE_BYTES)
    text = "Address space of a process."
    yield family("process_virtual_memory_bytes", "gauge", text, lambda stat: stat[_VIRTUAL])
    yield family("process_threads", "gauge", "Threads of a process.", lambda stat: stat[_THREADS])
    opened = {label: count for label, pid in pids.items() if (count := _open_fds(pid)) is not None}
    yield Family("process_open_fds", "gauge", "Files that a process has open.", opened)


def _stat(pid: int) -> list[int] | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as stream:  # noqa: PTH123 - as often as it is scraped
            fields = stream.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return [int(one) if one.lstrip(b"-").isdigit() else 0 for one in fields]


def _open_fds(pid: int) -> int | None:
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208
    except OSError:
        return None  # ended, or another user's


def _booted_s() -> float:
    try:
        with open("/proc/stat", "rb") as stream:  # noqa: PTH123
            return next(float(line.split()[1]) for line in stream if line.startswith(b"btime"))
    except (OSError, StopIteration, ValueError):
        return 0.0
