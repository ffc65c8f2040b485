"""Scan the same files by lading, picklescan and modelscan, in turn; print seconds and memory side by side.

python benchmarks/formats/scan.py [--repeats 5] [--megabytes 200]

The files: a forest by pickle and by joblib (of many objects), a large array by pickle, joblib and npz, a
checkpoint of PyTorch's layout with large tensors. The peers get an environment of their own, by uv.
"""

from __future__ import annotations

import argparse
import io
import pickle
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from measure import Run, ratio, run, spread

PEERS = ("picklescan==1.0.5", "modelscan==0.8.8")


def make(folder: Path, megabytes: int) -> None:
    """Write the files; in a process of its own, for the memory of a parent counts as its children's."""
    import joblib
    import numpy as np
    from sklearn.datasets import make_classification
    from sklearn.ensemble import RandomForestClassifier

    rows, target = make_classification(2000, 20, random_state=0)
    forest = RandomForestClassifier(200, random_state=0).fit(rows, target)
    array = np.random.default_rng(0).random(megabytes * 125_000)
    with (folder / "forest.pkl").open("wb") as stream:
        pickle.dump(forest, stream)
    joblib.dump(forest, folder / "forest.joblib")
    with (folder / "words.pkl").open("wb") as stream:
        pickle.dump({f"word{number}": number for number in range(300_000)}, stream)
    with (folder / "array.pkl").open("wb") as stream:
        pickle.dump(array, stream, protocol=5)
    joblib.dump(array, folder / "array.joblib")
    np.savez(folder / "array.npz", array=array)
    with zipfile.ZipFile(folder / "state.pth", "w") as archive:
        state = io.BytesIO()
        pickle.dump({"weight": array[:10].tolist()}, state, protocol=2)
        archive.writestr("state/data.pkl", state.getvalue())
        archive.writestr("state/data/0", array.tobytes())


def environment(folder: Path) -> Path:
    """Install the peers; return their bin folder."""
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder], check=True)
    command = [
        uv,
        "pip",
        "install",
        "--quiet",
        "--python",
        folder / "bin" / "python",
        *PEERS,
        "setuptools<81",
    ]
    subprocess.run(command, check=True)
    return folder / "bin"


def tolerant(command: list[str | Path]) -> Run:
    """Run a scanner, whose exit status says what it found."""
    shell = ["sh", "-c", '"$@" || true', "sh", *command]
    return run(shell)


def main() -> None:
    """Make the files, scan them in turn, print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        make(options.make, options.megabytes)
        return
    with tempfile.TemporaryDirectory(prefix="lading-scan-") as name:
        (folder := Path(name) / "files").mkdir()
        peers = environment(Path(name) / "peers")
        maker = [sys.executable, __file__, "--make", folder, "--megabytes", str(options.megabytes)]
        subprocess.run(maker, check=True)
        for file in sorted(folder.iterdir()):
            ways: dict[str, list[str | Path]] = {
                "lading": [sys.executable, "-m", "lading", "inspect", file, "--scan"],
                "picklescan": [peers / "picklescan", "--path", file],
                "modelscan": [peers / "modelscan", "scan", "--path", file],
            }
            runs: dict[str, list[Run]] = {way: [] for way in ways}
            for _ in range(options.repeats):
                for way, command in ways.items():
                    runs[way].append(tolerant(command))
            ours = [one.cpu_s for one in runs["lading"]]
            print(f"{file.name}, {file.stat().st_size / 1e6:.1f} MB")
            for way, found in runs.items():
                cpu = [one.cpu_s for one in found]
                peak = max(one.peak_bytes for one in found) / 1e6
                faster = "" if way == "lading" else f"   lading is {ratio(ours, cpu)} faster"
                print(f"  {way:<11} {spread(cpu):>22} CPU-s {peak:6.0f} MB{faster}", flush=True)


if __name__ == "__main__":
    main()
