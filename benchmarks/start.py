"""Time a start, from exec to the first correct prediction, beside a bare `python -c "load; predict"`.

    python benchmarks/start.py [--repeat 5]

Both run in the same sandbox, on the same image, alternately. CPU seconds count every process; the server's
include the sandbox's own start (some 20 ms).
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import joblib
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier

from lading import settings
from lading.core.ports import Running, Sandbox
from lading.pipeline import packing, plan, shelf
from lading.pipeline.context import Context
from lading.pipeline.running import command, temporary_folder
from lading.pipeline.shelf import Package
from lading.sandbox.running import _family
from lading.verify.client import Client, NoAnswerError
from measure import spread

TICKS = os.sysconf("SC_CLK_TCK")
BARE = """
import os, joblib, numpy
model = joblib.load("/opt/lading/model/model.joblib")
assert model.predict(numpy.array([[5.1, 3.5, 1.4, 0.2]])).tolist() == [0]
print(sum(os.times()[:4]))
"""


def pack(context: Context, folder: Path) -> Package:
    """Train a forest, pack it, and return the package."""
    data, target = load_iris(return_X_y=True)
    joblib.dump(RandomForestClassifier(100, random_state=0).fit(data, target), folder / "model.joblib")
    spec = replace(plan.plan(folder / "model.joblib"), compile="off")
    packing.pack(context, spec, names=("start:1",), verify=False)
    return shelf.find(context, "start:1")


def bare(sandbox: Sandbox, env: dict[str, str]) -> tuple[float, float]:
    """Return wall and CPU seconds of loading and predicting, and nothing else."""
    with temporary_folder() as tmp:
        began = time.monotonic()
        running = sandbox.start(["/opt/lading/env/bin/python", "-I", "-c", BARE], env=env, tmp=tmp)
        running.wait(60)
        return time.monotonic() - began, float(running.output().split()[-1])


def serve(sandbox: Sandbox, argv: list[str], env: dict[str, str]) -> tuple[float, float]:
    """Return wall and CPU seconds until the server has answered its first request."""
    body = json.dumps({"inputs": [[5.1, 3.5, 1.4, 0.2]]}).encode()
    with temporary_folder() as tmp:
        began = time.monotonic()
        running = sandbox.start(argv, env={**env, "LADING_UDS": "/tmp/s.sock"}, tmp=tmp)
        try:
            client = Client(tmp, "s.sock")
            while True:
                try:
                    answer = client.post("/invocations", body, 30)
                    break
                except NoAnswerError:
                    time.sleep(0.005)
            assert json.loads(answer.body)["predictions"] == [0], answer
            return time.monotonic() - began, _cpu_s(running)
        finally:
            running.stop()


def _cpu_s(running: Running) -> float:
    """Sum user and system time of every process in the sandbox."""
    total = 0
    for process in _family(running._watcher.pid):  # type: ignore[attr-defined]  # noqa: SLF001
        fields = Path(f"/proc/{process}/stat").read_bytes().rpartition(b")")[2].split()
        total += sum(map(int, fields[11:15]))
    return total / TICKS


def main() -> None:
    """Alternate the two, print both."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    home = Path(os.environ.get("LADING_HOME") or tempfile.mkdtemp(prefix="lading-start-"))
    context = Context(settings.load(home=home))
    package = pack(context, Path(tempfile.mkdtemp(prefix="lading-start-")))
    sandbox = context.sandbox(package.image.layers)
    argv, env = command(package.image)
    serve(sandbox, argv, env)  # warm the page cache for both
    ours, theirs = [], []
    for _ in range(options.repeat):
        theirs.append(bare(sandbox, env))
        ours.append(serve(sandbox, argv, env))
    print(f"{'':<28}{'wall s':<24}CPU s")
    for name, runs in (("bare load and predict", theirs), ("serve, first prediction", ours)):
        print(f"{name:<28}{spread([wall for wall, _ in runs]):<24}{spread([cpu for _, cpu in runs])}")
    extra = [mine[1] - other[1] for mine, other in zip(ours, theirs, strict=True)]
    print(f"{'the server costs':<28}{'':<24}{spread(extra)}")


if __name__ == "__main__":
    main()
