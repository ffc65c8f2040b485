"""Ask a served package as fast as it answers while its workers are killed; count what went wrong.

    python benchmarks/serving/soak.py [--minutes 30] [--every 10] [--connections 16] [--workers 2]

A forest is packed and served in a sandbox. Every request is one whose answer is known; an answer is right,
wrong, an error (500, 503, 504) or lost (the connection ended without one). Memory is the proportional set
size of all of the server's processes, the largest of each minute. Status 1 where one was wrong or lost.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from pathlib import Path

import joblib
import numpy as np
from load import family, memory_mb
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier

from servers import free_port


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--every", type=float, default=10, help="seconds between two kills")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        _soak(Path(name), asked)


def _soak(folder: Path, asked: argparse.Namespace) -> None:
    data, species = load_iris(return_X_y=True)
    model = RandomForestClassifier(100, random_state=0).fit(data, species)
    joblib.dump(model, folder / "forest.joblib")
    (folder / "lading.yaml").write_text("model: forest.joblib\ncompile: off\n")
    rows = np.round(np.random.default_rng(0).uniform(0, 8, (500, 4)), 2)
    known = list(zip(rows.tolist(), model.predict(rows).tolist(), strict=True))
    program = str(Path(sys.executable).parent / "lading")
    env = {**os.environ, "LADING_WORKERS": str(asked.workers), "LADING_LOG_LEVEL": "error"}
    subprocess.run([program, "pack", folder, "--tag", "soak:1", "--no-verify"], check=True, env=env)
    port = free_port()
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [program, "serve", "soak:1", "--port", str(port)], env=env, stdout=log, stderr=log
        )
    try:
        _await(port, server)
        counts, kills, peaks = _load(server.pid, port, known, asked)
        ended = server.poll()
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)
    if ended is not None:
        print(f"the server ended with status {ended}:\n{(folder / 'log').read_text()[-2000:]}")
    wrong = counts["wrong"] + counts["lost"]
    print(f"{sum(counts.values())} requests in {asked.minutes:g} min: {dict(counts)}; {kills} workers killed")
    print("MB by minute:", " ".join(f"{one:.0f}" for one in peaks))
    sys.exit(1 if wrong else 0)


def _await(port: int, server: subprocess.Popen[bytes]) -> None:
    while True:
        assert server.poll() is None, "the server has ended"
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/health/ready", timeout=5) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.1)


def _load(
    pid: int, port: int, known: list[tuple[list[float], int]], asked: argparse.Namespace
) -> tuple[Counter[str], int, list[float]]:
    """Ask over several connections until the time is over; return what came, kills, and MB by minute."""
    counts: Counter[str] = Counter()
    turn = threading.Lock()
    end_s = time.monotonic() + asked.minutes * 60
    clients = [
        threading.Thread(target=_ask, args=(port, known, seed, end_s, counts), kwargs={"turn": turn})
        for seed in range(asked.connections)
    ]
    for client in clients:
        client.start()
    kills, peaks = 0, []
    begun_s = last_s = time.monotonic()
    while time.monotonic() < end_s:
        time.sleep(1)
        minute = int((time.monotonic() - begun_s) // 60)
        peaks += [0.0] * (minute + 1 - len(peaks))
        peaks[minute] = max(peaks[minute], memory_mb(pid))
        if time.monotonic() - last_s >= asked.every:
            last_s = time.monotonic()
            kills += _kill(pid)
    for client in clients:
        client.join()
    return counts, kills, peaks


def _ask(
    port: int,
    known: list[tuple[list[float], int]],
    seed: int,
    end_s: float,
    counts: Counter[str],
    *,
    turn: threading.Lock,
) -> None:
    choose = random.Random(seed)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    while time.monotonic() < end_s:
        chosen = choose.choices(known, k=choose.choice((1, 1, 1, 2, 5)))
        body = json.dumps({"instances": [row for row, _ in chosen]})
        try:
            connection.request("POST", "/invocations", body, {"content-type": "application/json"})
            response = connection.getresponse()
            answer = json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError):
            what = "lost"
            connection.close()
        else:
            if response.status == 200:
                what = "right" if answer["predictions"] == [label for _, label in chosen] else "wrong"
            else:
                what = str(response.status) if "error" in answer else "wrong"
        with turn:
            counts[what] += 1


def _kill(pid: int) -> int:
    """Kill one of the processes that predict."""
    workers = []
    for process in family(pid):
        try:
            words = Path(f"/proc/{process}/cmdline").read_bytes()
        except OSError:
            continue
        if b"worker/boot.py" in words and not Path(f"/proc/{process}/task/{process}/children").read_text():
            workers.append(process)
    if not workers:
        return 0
    os.kill(random.choice(workers), signal.SIGKILL)
    return 1


if __name__ == "__main__":
    main()
