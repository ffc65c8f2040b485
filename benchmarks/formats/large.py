"""Inspect and scan files of 4 GB, of formats that can be so large; the aim is under 200 MB of memory.

python benchmarks/formats/large.py [--gigabytes 4]
"""

from __future__ import annotations

import argparse
import json
import pickle
import struct
import sys
import tempfile
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from measure import run

PREDICT = """\
class Model:
    def load(self, path):
        pass

    def predict(self, rows):
        return rows
"""


def of_safetensors(folder: Path, size_bytes: int) -> Path:
    """Weights beside a routine: a header, and nothing but noughts behind it."""
    count = size_bytes // 4
    header = json.dumps({"w": {"dtype": "F32", "shape": [count], "data_offsets": [0, count * 4]}}).encode()
    (folder / "serve.py").write_text(PREDICT)
    with (folder / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        file.truncate(8 + len(header) + count * 4)
    return folder


def of_npy(folder: Path, size_bytes: int) -> Path:
    """An array of noughts beside a routine."""
    (folder / "serve.py").write_text(PREDICT)
    header = repr({"descr": "<f8", "fortran_order": False, "shape": (size_bytes // 8,)}).encode()
    header += b" " * (117 - len(header)) + b"\n"
    with (folder / "array.npy").open("wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
        file.truncate(10 + len(header) + size_bytes // 8 * 8)
    return folder


def of_pickle(folder: Path, size_bytes: int) -> Path:
    """An array of noughts in a pickle, beside a routine: its bytes are one long string."""
    (folder / "serve.py").write_text(PREDICT)
    with (folder / "array.pkl").open("wb") as file:
        file.write(b"\x80\x04B" if size_bytes < 1 << 32 else b"\x80\x04\x8e")
        file.write(struct.pack("<I" if size_bytes < 1 << 32 else "<Q", size_bytes))
        file.seek(size_bytes, 1)
        file.write(b".")
    return folder


def of_torch(folder: Path, size_bytes: int) -> Path:
    """A checkpoint, beside a routine."""
    (folder / "serve.py").write_text(PREDICT)
    with zipfile.ZipFile(folder / "model.pth", "w") as archive:
        archive.writestr("model/data.pkl", pickle.dumps({}, protocol=2))
        with archive.open("model/data/0", "w", force_zip64=True) as stream:
            chunk = bytes(1 << 24)
            for _ in range(size_bytes // len(chunk)):
                stream.write(chunk)
    return folder


def main() -> None:
    """Make each, inspect and scan it, print what that took."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gigabytes", type=float, default=4)
    options = parser.parse_args()
    for make in (of_safetensors, of_npy, of_pickle, of_torch):
        with tempfile.TemporaryDirectory(prefix="lading-inspect-") as name:
            path = make(Path(name), int(options.gigabytes * 1e9))
            for what in ((), ("--scan",)):
                one = run([sys.executable, "-m", "lading", "inspect", path, *what], log=Path(name, "log"))
                way = "scan" if what else "inspect"
                times = f"{one.wall_s:6.2f} s wall {one.cpu_s:6.2f} s CPU {one.peak_bytes / 1e6:5.0f} MB peak"
                print(f"{make.__name__[3:]:<12} {way:<8} {times}", flush=True)


if __name__ == "__main__":
    main()
