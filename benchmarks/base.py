"""Time `lading pack` on an image that is pulled, beside `docker build` from the same image, alternating.

    python benchmarks/base.py [--repeat 3] [--verify] [--work FOLDER]

The image is a stand-in for `python:…-slim`, in a registry on loopback. Cold: every cache empty, the image
pulled. Changed: other weights. Same: nothing changed. The Dockerfile is the shortest that serves the purpose:
FROM, pip install of the same versions, COPY. `docker build` wall times are comparable; its CPU time is the
daemon's and is not counted. Needs root, dockerd, docker, docker-registry and mmdebstrap.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import docker_peer
from measure import Run, ratio, run, spread
from transfer import Registry

LADING = [sys.executable, "-m", "lading"]
CASES = ("cold", "changed", "same")
LIBRARIES = ("scikit-learn", "numpy", "joblib")


def train(folder: Path, seed: int) -> Path:
    """Save a classifier with another seed's weights."""
    import joblib
    from sklearn.datasets import load_iris
    from sklearn.ensemble import RandomForestClassifier

    X, y = load_iris(return_X_y=True)  # noqa: N806 - the field's own names
    folder.mkdir(parents=True, exist_ok=True)
    joblib.dump(RandomForestClassifier(100, random_state=seed).fit(X, y), folder / "model.joblib")
    return folder


def ours(work: Path, model: Path, image: str, case: str, *, verify: bool) -> Run:
    """Pack a model; cold in a home and with a cache of uv's that are empty."""
    env = {"LADING_HOME": str(work / "home"), "UV_CACHE_DIR": str(work / "uv")}
    if case == "cold":
        for folder in env.values():
            shutil.rmtree(folder, ignore_errors=True)
    command = [*LADING, "pack", model / "model.joblib", "-t", "iris:1", "--no-compile", "--base", image]
    return run([*command, *([] if verify else ["--no-verify"])], env=env, log=work / "ours.log")


def peer(client: list[str], work: Path, model: Path, image: str, case: str) -> Run:
    """Build from a Dockerfile; cold without the image and without the builder's cache."""
    context = work / "context"
    shutil.rmtree(context, ignore_errors=True)
    shutil.copytree(model, context)
    pinned = " ".join(f"{one}=={version(one)}" for one in LIBRARIES)
    text = f"FROM {image}\nRUN pip install --no-cache-dir {pinned}\nCOPY model.joblib /model/\n"
    (context / "Dockerfile").write_text(text)
    if case == "cold":
        subprocess.run([*client, "system", "prune", "--all", "--force"], check=True, capture_output=True)
        subprocess.run([*client, "rmi", "--force", image, "peer"], check=False, capture_output=True)
    return docker_peer.build(client, context, cached=case != "cold")


def report(mine: dict[str, list[Run]], theirs: dict[str, list[Run]]) -> None:
    """Print one table: seconds as median (least–greatest)."""
    print(f"{'case':<10}{'lading wall s':<24}{'lading CPU s':<24}{'docker build wall s':<26}{'ratio'}")
    for case in CASES:
        wall = [one.wall_s for one in mine[case]]
        other = [one.wall_s for one in theirs[case]]
        cpu = spread([one.cpu_s for one in mine[case]])
        print(f"{case:<10}{spread(wall):<24}{cpu:<24}{spread(other):<26}{ratio(wall, other)}")


def main() -> None:
    """Run everything, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--verify", action="store_true", help="verify each package of lading's")
    parser.add_argument("--work", type=Path, help="folder for everything; default: a temporary one")
    options = parser.parse_args()
    work = options.work or Path(tempfile.mkdtemp(prefix="lading-base-"))
    work.mkdir(parents=True, exist_ok=True)
    models = [train(work / f"model-{seed}", seed) for seed in range(2)]
    mine: dict[str, list[Run]] = {case: [] for case in CASES}
    theirs: dict[str, list[Run]] = {case: [] for case in CASES}
    registry = Registry(work)
    try:
        with docker_peer.engine(work) as client:
            docker_peer.make_base(client, work)
            image = f"{registry.host}/python:slim"
            for command in (["tag", docker_peer.BASE, image], ["push", image]):
                subprocess.run([*client, *command], check=True, stdout=subprocess.DEVNULL)
            for _ in range(options.repeat):
                for case, model in zip(CASES, (models[0], models[1], models[1]), strict=True):
                    mine[case].append(ours(work, model, image, case, verify=options.verify))
                    theirs[case].append(peer(client, work, model, image, case))
    finally:
        registry.close()
    report(mine, theirs)


if __name__ == "__main__":
    main()
