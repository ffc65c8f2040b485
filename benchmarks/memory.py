"""Pack a model file of 8 GB (sparse) and print the peak memory of `lading pack`; the aim is under 300 MB.

python benchmarks/memory.py [--gigabytes 8]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from measure import run

SCORE = "def run(data):\n    return data\n"


def main() -> None:
    """Make the model, pack it, print what it took."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gigabytes", type=float, default=8)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lading-memory-") as name:
        folder = Path(name) / "model"
        folder.mkdir()
        (folder / "score.py").write_text(SCORE)
        with (folder / "weights.bin").open("wb") as file:
            file.truncate(int(options.gigabytes * 1e9))
        command = [sys.executable, "-m", "lading", "pack", folder, "-t", "big:1", "--no-verify"]
        for case in ("cold", "again"):
            one = run(command, env={"LADING_HOME": f"{name}/home"}, log=Path(name) / "log")
            times = f"{one.wall_s:7.1f} s wall {one.cpu_s:7.1f} s CPU"
            print(f"{case:<6} {times} {one.peak_bytes / 1e6:6.0f} MB peak")


if __name__ == "__main__":
    main()
