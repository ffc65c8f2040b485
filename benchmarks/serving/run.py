"""Serve the same models by lading and by its peers, alternating in one run; say what a request costs each.

    python benchmarks/serving/run.py [--models lr,rf,xgb,mlp] [--servers lading,mlserver,…]
        [--loads 1,8,64,1000r] [--repeats 3] [--seconds 5] [--folder DIR]

Needs wrk. Each server has one worker, one thread, and its own way of batching; each is started, asked until
it answers, warmed, and put under each load in turn. `1000r` is one request of 1,000 rows at a time; the other
loads are connections that send one row each. CPU is user and system time of all of a server's processes.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from load import Load, cpu_s, drive, memory_mb

from measure import spread
from servers import NAMES, Server, find, free_port

ROWS = {
    "lr": [5.1, 3.5, 1.4, 0.2],
    "rf": [5.1, 3.5, 1.4, 0.2],
    "xgb": [round(0.37 * (index + 1), 2) for index in range(30)],
    "mlp": [round(0.37 * (index + 1), 2) for index in range(30)],
}
START_S = 90
Seen = dict[tuple[str, str], list[Load]]


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default="lr,rf,xgb,mlp")
    parser.add_argument("--servers", default=",".join(NAMES))
    parser.add_argument("--loads", default="1,8,64,1000r")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path.home() / ".cache" / "lading-benchmarks")
    asked = parser.parse_args()
    for model in asked.models.split(","):
        servers = [find(name, model, asked.folder) for name in asked.servers.split(",")]
        seen: Seen = defaultdict(list)
        starts: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
        for _ in range(asked.repeats):
            for server in servers:
                _once(server, model, asked, seen, starts)
        _report(model, asked, seen, starts)


def _once(server: Server, model: str, asked: argparse.Namespace, seen: Seen, starts: dict) -> None:  # type: ignore[type-arg]
    port = free_port()
    url = f"http://127.0.0.1:{port}{server.path}"
    one = json.dumps(server.body([ROWS[model]])).encode()
    many = json.dumps(server.body([ROWS[model]] * 1000)).encode()
    log = asked.folder / f"{server.name}-{model}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            server.command(port),
            env={**os.environ, **server.env(port)},
            cwd=server.cwd,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        starts[server.name].append((*_await(process, url, one, log), 0.0))
        for load in asked.loads.split(","):
            body, connections = (many, 1) if load.endswith("r") else (one, int(load))
            drive(process.pid, url, body, connections, 1)
            seen[server.name, load].append(drive(process.pid, url, body, connections, asked.seconds))
        wall_s, spent_s, _ = starts[server.name][-1]
        starts[server.name][-1] = (wall_s, spent_s, memory_mb(process.pid))
    finally:
        _end(process)


def _await(process: subprocess.Popen[bytes], url: str, body: bytes, log: Path) -> tuple[float, float]:
    """Ask until there is a prediction; return wall and CPU seconds."""
    began = time.monotonic()
    request = urllib.request.Request(url, body, {"content-type": "application/json"})
    while True:
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                answer.read()
                return time.monotonic() - began, cpu_s(process.pid)
        except (OSError, urllib.error.URLError) as error:
            if process.poll() is not None or time.monotonic() - began > START_S:
                sys.exit(f"{url}: {error}\n{log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.02)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(15)
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _report(model: str, asked: argparse.Namespace, seen: Seen, starts: dict) -> None:  # type: ignore[type-arg]
    names = asked.servers.split(",")
    print(f"\n{model}: medians of {asked.repeats}, least and greatest for CPU\n", flush=True)
    print("| server | load | answers/s | p50 ms | p99 ms | errors | CPU µs per answer |\n|" + "---|" * 7)
    for load in asked.loads.split(","):
        for name in names:
            loads = seen[name, load]
            middle = [
                statistics.median(getattr(one, key) for one in loads)
                for key in ("requests_per_s", "p50_ms", "p99_ms")
            ]
            cells = (
                f"{middle[0]:,.0f}",
                f"{middle[1]:.2f}",
                f"{middle[2]:.2f}",
                str(sum(one.errors for one in loads)),
            )
            print(f"| {name} | {load} | {' | '.join(cells)} | {spread([one.cpu_us for one in loads])} |")
    print("\n| server | start to first prediction, wall s | CPU s | MB after the loads |\n|---|---|---|---|")
    for name in names:
        print(
            f"| {name} | "
            + " | ".join(spread(list(column)) for column in zip(*starts[name], strict=True))
            + " |"
        )


if __name__ == "__main__":
    main()
