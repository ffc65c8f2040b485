"""Variables, control groups and devices in; how many workers, threads, bytes and GPUs there may be out."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping

# our own first, then what platforms and other servers call it
_WORKERS = (
    "LADING_WORKERS",
    "WEB_CONCURRENCY",
    "SAGEMAKER_MODEL_SERVER_WORKERS",
    "MLFLOW_MODELS_WORKERS",
    "WORKER_COUNT",
)
_MOST = 256
_GROUPS = "/sys/fs/cgroup"
_GPU = re.compile(r"nvidia\d+")


def asked(environ: Mapping[str, str]) -> int | None:
    """Return how many workers the environment asks for; None where it leaves that to us."""
    for name in _WORKERS:
        text = environ.get(name, "").strip()
        if text.isdecimal() and 0 < int(text) <= _MOST:
            return int(text)
    return None


def senseless(environ: Mapping[str, str]) -> list[str]:
    """Say which variables are no number of workers, and so are passed over."""
    wanted = f"expected a number of workers, 1 to {_MOST}"
    found = [(name, environ.get(name, "").strip()) for name in _WORKERS]
    return [f"{name}={text!r}: {wanted}" for name, text in found if text and asked({name: text}) is None]


def threads(environ: Mapping[str, str], loader: str) -> int:
    """Return how many threads a worker's libraries may use: workers times threads are never more than cores.

    An estimator answers small requests: a pool of threads makes them up to forty times slower on a busy
    machine. What a routine runs is not known: fewer workers than cores leave it the rest.
    """
    workers = asked(environ)
    if workers is None or loader not in {"routine", "pyfunc"}:
        return 1
    return max(1, cores() // workers)


def cores() -> int:
    """Return the cores that this process may use, by its affinity and its groups' quota."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [_quota(*_words(folder, "cpu.max")) for folder in _folders("")]
    for controller in ("cpu", "cpu,cpuacct"):
        for folder in _folders(controller):
            words = _words(folder, "cpu.cfs_quota_us") + _words(folder, "cpu.cfs_period_us")
            quotas.append(_quota(*words))
    return max(1, math.ceil(min([allowed, *quotas])))


def free_bytes() -> int:
    """Return the memory that may still be used: what the machine has, or what the group's limit leaves."""
    free = [_available_bytes()]
    for controller, limit, used in (
        ("", "memory.max", "memory.current"),
        ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        for folder in _folders(controller):
            words = _words(folder, limit) + _words(folder, used)
            if len(words) == 2 and words[0].isdecimal():
                free.append(int(words[0]) - int(words[1]))
    return max(0, min(free))


def gpus(environ: Mapping[str, str], devices: str = "/dev") -> list[str]:
    """Return the GPUs that workers take in turn: those the environment names, or all that are there."""
    named = environ.get("CUDA_VISIBLE_DEVICES")
    try:
        there = [one for one in os.listdir(devices) if _GPU.fullmatch(one)]  # noqa: PTH208 - see bill.py
    except OSError:
        there = []
    if not there:
        return []
    if named is not None:
        return [one.strip() for one in named.split(",") if one.strip() not in {"", "-1"}]
    return sorted((one[len("nvidia") :] for one in there), key=int)


def _folders(controller: str) -> list[str]:
    """Return this process's groups under one controller (none: version 2), from its own to the root."""
    root = f"{_GROUPS}/{controller}".rstrip("/")
    path = ""
    for line in _lines("/proc/self/cgroup"):
        _, controllers, place = line.split(":", 2)
        if controllers == controller:
            path = place.strip("/")
    folders = [root]
    for part in filter(None, path.split("/")):
        folders.append(f"{folders[-1]}/{part}")
    return folders


def _quota(limit: str = "max", period: str = "100000") -> float:
    if not limit.isdecimal() or not period.isdecimal() or not int(period):
        return math.inf
    return int(limit) / int(period)


def _available_bytes() -> int:
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return 1 << 62


def _words(folder: str, name: str) -> list[str]:
    return " ".join(_lines(f"{folder}/{name}")).split()


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="ascii") as stream:  # noqa: PTH123 - see bill.py
            return stream.read().splitlines()
    except (OSError, ValueError):
        return []
