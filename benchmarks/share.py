"""Packages that share a stack: their bytes in the store and in a registry, against the sum of their sizes.

    python benchmarks/share.py [--packages 20] [--work FOLDER]

Trains scikit-learn models that differ in their weights, every fifth with a library of its own besides; packs
all into one new home and pushes all to a new `docker-registry`, whose folder is counted on the disk.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from measure import run
from transfer import Registry

LADING = [sys.executable, "-m", "lading"]
LIBRARIES = ("idna", "tabulate", "markdown", "tomli-w")
TRAIN = """
import sys, pathlib, joblib
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
X, y = load_digits(return_X_y=True)
folder, number = pathlib.Path(sys.argv[1]), int(sys.argv[2])
folder.mkdir(parents=True)
joblib.dump(RandomForestClassifier(20, random_state=number).fit(X, y), folder / "model.joblib")
"""


def make(work: Path, packages: int) -> list[int]:
    """Train, pack and push; return what each package takes."""
    env = {"LADING_HOME": str(work / "home"), "DOCKER_CONFIG": str(work)}
    log = work / "log"
    sizes = []
    for number in range(packages):
        folder = work / f"model-{number}"
        run([sys.executable, "-c", TRAIN, folder, str(number)], log=log)
        more = [] if number % 5 else ["-r", LIBRARIES[number // 5 % len(LIBRARIES)]]
        if more:
            more += ["-r", f"scikit-learn=={version('scikit-learn')}"]
        command = [
            *LADING,
            "pack",
            folder / "model.joblib",
            "-t",
            f"model-{number}:1",
            "--no-verify",
            "--no-compile",
            "--json",
        ]
        done = subprocess.run(
            [*map(str, command), *more], env={**os.environ, **env}, check=True, stdout=subprocess.PIPE
        )
        sizes.append(int(json.loads(done.stdout)["size_bytes"]))
    registry = Registry(work)
    try:
        for number in range(packages):
            target = f"{registry.host}/team/model-{number}:1"
            run([*LADING, "push", f"model-{number}:1", target], env=env, log=log)
    finally:
        registry.close()
    return sizes


def on_disk(folder: Path) -> int:
    """Add up the files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main() -> None:
    """Make everything in a new folder, print what it takes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--packages", type=int, default=20)
    parser.add_argument("--work", type=Path, help="an empty folder for everything; default: a temporary one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lading-share-", dir=options.work) as name:
        work = Path(name)
        sizes = make(work, options.packages)
        total = sum(sizes)
        print(f"{len(sizes)} packages of {min(sizes) / 1e6:.0f} to {max(sizes) / 1e6:.0f} MB")
        print(f"{'sum of their sizes':<22}{total / 1e6:>9.1f} MB")
        for title, folder in (("store", work / "home/store/blobs"), ("registry's folder", work / "registry")):
            taken = on_disk(folder)
            share = f"{taken / total:.1%} of the sum, {total / taken:.1f}× less"
            print(f"{title:<22}{taken / 1e6:>9.1f} MB  {share}")


if __name__ == "__main__":
    main()
