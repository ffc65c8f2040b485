"""Time `lading pack` beside `docker build` of MLflow's Dockerfile for the same model, in one run.

    python benchmarks/pack.py --mlflow VENV/bin/mlflow [--repeat 3] [--no-peer] [--work FOLDER]

Cold: every cache empty, the index reached. Changed: the same model class with other weights. Same: nothing
changed. `docker build` wall times are comparable; its CPU time is the daemon's and is not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import docker_peer
from measure import Run, ratio, run, spread

LADING = [sys.executable, "-m", "lading"]
TRAIN = """
import shutil, sys, warnings
warnings.simplefilter("ignore")
import mlflow
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
folder, seed = sys.argv[1], int(sys.argv[2])
X, y = load_iris(return_X_y=True, as_frame=True)
model = RandomForestClassifier(100, random_state=seed).fit(X, y)
signature = mlflow.models.infer_signature(X, model.predict(X))
shutil.rmtree(folder, ignore_errors=True)
mlflow.sklearn.save_model(
    model, folder, serialization_format="cloudpickle", input_example=X.head(5), signature=signature
)
"""
CASES = ("cold", "changed", "same")


def train(mlflow: Path, folder: Path, seed: int) -> None:
    """Save a forest as an MLflow model."""
    command = [mlflow.with_name("python"), "-c", TRAIN, folder, str(seed)]
    run(command, log=folder.with_suffix(".train.log"))


def ours(work: Path, models: tuple[Path, Path], repeat: int, *, verify: bool) -> dict[str, list[Run]]:
    """Time the three cases of lading, `repeat` times."""
    runs: dict[str, list[Run]] = {case: [] for case in CASES}
    target = work / "model"
    # the peer packs the model with its libraries
    flags = ["--no-compile", *([] if verify else ["--no-verify"])]
    for _ in range(repeat):
        env = {"LADING_HOME": str(work / "home"), "UV_CACHE_DIR": str(work / "uv")}
        for folder in env.values():
            shutil.rmtree(folder, ignore_errors=True)
        for case, source in zip(CASES, (models[0], models[1], models[1]), strict=True):
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(source, target)
            command = [*LADING, "pack", target, "-t", "iris:1", *flags]
            runs[case].append(run(command, env=env, log=work / "ours.log"))
    return runs


def peers(
    client: list[str], work: Path, mlflow: Path, models: tuple[Path, Path], repeat: int
) -> dict[str, list[Run]]:
    """Time the three cases of docker build, `repeat` times."""
    runs: dict[str, list[Run]] = {case: [] for case in CASES}
    for _ in range(repeat):
        for case, source in zip(CASES, (models[0], models[1], models[1]), strict=True):
            context = work / "context"
            # MLflow copies the model from a folder of the same name: keep it, so that the cache can hit
            shutil.rmtree(work / "peer-model", ignore_errors=True)
            shutil.copytree(source, work / "peer-model")
            docker_peer.write_context(mlflow, work / "peer-model", context)
            runs[case].append(docker_peer.build(client, context, cached=case != "cold"))
    return runs


def size_of_ours(work: Path) -> int:
    """Return what a registry stores of our image."""
    command = [*LADING, "show", "iris:1", "--json"]
    env = {**os.environ, "LADING_HOME": str(work / "home")}
    shown = json.loads(subprocess.run(command, check=True, capture_output=True, env=env).stdout)
    return int(shown["size_bytes"])


def report(title: str, mine: dict[str, list[Run]], theirs: dict[str, list[Run]] | None) -> None:
    """Print one table: seconds as median (least–greatest)."""
    print(f"\n{title}")
    print(f"{'case':<10}{'lading wall s':<24}{'lading CPU s':<24}{'docker build wall s':<26}{'ratio'}")
    for case in CASES:
        wall = [one.wall_s for one in mine[case]]
        cpu = [one.cpu_s for one in mine[case]]
        line = f"{case:<10}{spread(wall):<24}{spread(cpu):<24}"
        if theirs:
            other = [one.wall_s for one in theirs[case]]
            line += f"{spread(other):<26}{ratio(wall, other)}"
        print(line)


def main() -> None:
    """Run everything, print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--mlflow", type=Path, required=True, help="mlflow of an environment with scikit-learn"
    )
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--work", type=Path, help="folder for everything; default: a temporary one")
    options = parser.parse_args()
    work = options.work or Path(tempfile.mkdtemp(prefix="lading-pack-"))
    work.mkdir(parents=True, exist_ok=True)
    models = (work / "forest-0", work / "forest-1")
    for seed, folder in enumerate(models):
        train(options.mlflow, folder, seed)
    mine = ours(work, models, options.repeat, verify=False)
    size = size_of_ours(work)
    verified = ours(work, models, options.repeat, verify=True)
    theirs = None
    if not options.no_peer:
        with docker_peer.engine(work) as client:
            docker_peer.make_base(client, work)
            theirs = peers(client, work, options.mlflow, models, options.repeat)
            peer_size = docker_peer.compressed_bytes(client)
            print(f"image: lading {size / 1e6:.0f} MB, docker build {peer_size / 1e6:.0f} MB compressed")
    report("without verification", mine, theirs)
    report("with verification", verified, theirs)
    peak = max(one.peak_bytes for runs in mine.values() for one in runs)
    print(
        f"\npeak memory of lading: {peak / 1e6:.0f} MB; median of 'same': "
        f"{statistics.median(one.wall_s for one in mine['same']):.3f} s"
    )


if __name__ == "__main__":
    main()
