"""Send images of 224×224×3 float32 to a model that takes their means, by HTTP and gRPC, beside MLServer.

    python benchmarks/serving/tensors.py [--repeats 3] [--requests 200] [--folder DIR]

One tritonclient asks, one request after another: binary tensors over HTTP, raw contents over gRPC, and JSON.
CPU is user and system time of all of a server's processes, per request.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException

sys.path.insert(0, str(Path(__file__).parents[1]))
from load import cpu_s

from measure import spread
from servers import PEERS, environment, free_port

IMAGE = np.random.default_rng(0).random((1, 224, 224, 3), dtype=np.float32)
ROUTINE = """\
import numpy as np

def predict(images: np.ndarray) -> np.ndarray:
    return images.mean(axis=(1, 2))
"""


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--folder", type=Path, default=Path.home() / ".cache" / "lading-benchmarks")
    asked = parser.parse_args()
    seen: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    refused: dict[tuple[str, str], str] = {}
    for _ in range(asked.repeats):
        for name, start in (("lading", _lading), ("mlserver", _mlserver)):
            http, grpc = free_port(), free_port()
            log = (asked.folder / f"tensors-{name}.log").open("wb")
            process = start(asked.folder, http, grpc, log.fileno())
            try:
                for way, ask in _ways(http, grpc).items():
                    try:
                        run = _drive(process.pid, ask, asked.requests)
                    except InferenceServerException as error:
                        refused[way, name] = str(error)[:80]
                    else:
                        seen[way, name].append(run)
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(30)
                log.close()
    print("| way | server | p50 ms | CPU ms per request |\n|---|---|---|---|")
    for (way, name), runs in sorted(seen.items()):
        p50, cpu = zip(*runs, strict=True)
        print(f"| {way} | {name} | {spread(p50)} | {spread(cpu)} |")
    for (way, name), why in sorted(refused.items()):
        print(f"| {way} | {name} | refused: {why} | |")


def _ways(http: int, grpc: int) -> dict[str, Callable[[], np.ndarray]]:
    """Return what asks, once both ports answer."""
    web = tritonclient.http.InferenceServerClient(f"127.0.0.1:{http}", network_timeout=60)
    call = tritonclient.grpc.InferenceServerClient(f"127.0.0.1:{grpc}")
    for client in (web, call):
        for _ in range(600):
            try:
                if client.is_model_ready("mean"):
                    break
            except Exception:  # noqa: BLE001 - whatever a client says of a server that does not listen yet
                time.sleep(0.1)

    def by_http(*, binary: bool) -> np.ndarray:
        one = tritonclient.http.InferInput("images", IMAGE.shape, "FP32")
        one.set_data_from_numpy(IMAGE, binary_data=binary)
        return _first(web.infer("mean", [one]))

    def by_grpc() -> np.ndarray:
        one = tritonclient.grpc.InferInput("images", list(IMAGE.shape), "FP32")
        one.set_data_from_numpy(IMAGE)
        return _first(call.infer("mean", [one]))

    return {
        "HTTP, binary": lambda: by_http(binary=True),
        "HTTP, JSON": lambda: by_http(binary=False),
        "gRPC": by_grpc,
    }


def _first(result: tritonclient.http.InferResult | tritonclient.grpc.InferResult) -> np.ndarray:
    """Return the only output, whatever it is called."""
    response = result.get_response()
    outputs = response["outputs"] if isinstance(response, dict) else response.outputs
    name = outputs[0]["name"] if isinstance(response, dict) else outputs[0].name
    return result.as_numpy(name)


def _drive(pid: int, ask: Callable[[], np.ndarray], requests: int) -> tuple[float, float]:
    for _ in range(5):
        found = ask()
    assert np.allclose(np.ravel(found), IMAGE.mean(axis=(1, 2)).ravel(), atol=1e-5)
    before, times = cpu_s(pid), []
    for _ in range(requests):
        began = time.perf_counter()
        ask()
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1e3, (cpu_s(pid) - before) / requests * 1e3


def _lading(folder: Path, http: int, grpc: int, log: int) -> subprocess.Popen[bytes]:
    place = folder / "specs" / "mean"
    place.mkdir(parents=True, exist_ok=True)
    (place / "score.py").write_text(ROUTINE)
    (place / "lading.yaml").write_text("code: score.py\nentry: score.py:predict\nrequirements: [numpy]\n")
    program = str(Path(sys.executable).parent / "lading")
    env = {**os.environ, "LADING_HOME": str(folder / "lading"), "LADING_WORKERS": "1"}
    pack = [program, "pack", place, "--tag", "mean:1", "--no-verify"]
    done = subprocess.run(pack, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    serve = [program, "serve", "mean:1", "--port", str(http), "--grpc-port", str(grpc)]
    return subprocess.Popen(serve, env=env, stdout=log, stderr=log)


def _mlserver(folder: Path, http: int, grpc: int, log: int) -> subprocess.Popen[bytes]:
    place = folder / "mlserver" / "mean"
    place.mkdir(parents=True, exist_ok=True)
    model = {"name": "mean", "implementation": "mlserver_mean.Mean"}
    (place / "model-settings.json").write_text(json.dumps(model))
    ports = {"http_port": http, "grpc_port": grpc, "metrics_port": free_port()}
    settings = {"parallel_workers": 0, "host": "127.0.0.1", "debug": False, **ports}
    (place / "settings.json").write_text(json.dumps(settings))
    env = {**os.environ, "PYTHONPATH": str(PEERS)}
    command = [environment(folder, "mlserver") / "mlserver", "start", place]
    return subprocess.Popen(command, env=env, stdout=log, stderr=log)


if __name__ == "__main__":
    main()
