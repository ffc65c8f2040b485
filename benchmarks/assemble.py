"""CPU seconds of wheels → layers: splicing, compressing again, `tar czf`, and the least there is to do.

    python benchmarks/assemble.py [--repeats 5] [FOLDER OF WHEELS]

Without a folder the wheels of scikit-learn, pandas and a server are downloaded (by pip). The limit is
reading, inflating and hashing alone: the wheel's bytes once, what they inflate to twice (the layer's diff ID,
and RECORD). "Without RECORD" leaves the last out, as an installer would that believes the wheel.
"""

from __future__ import annotations

import argparse
import hashlib
import resource
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from lading.core.digest import Digest
from lading.core.platform import Platform
from lading.layers import wheel
from lading.layers import zip as archive
from lading.layers.tar import LayerWriter

REQUIREMENTS = ("scikit-learn==1.9.1", "pandas==3.1.1", "uvicorn==0.54.0", "uvloop==0.23.0")
TARGET = wheel.Target("opt/lading/env", "3.11", Platform("linux", "amd64"))


class HashingSink:
    """A blob that is hashed, as every store does, and written nowhere."""

    def __init__(self) -> None:
        self.state = hashlib.sha256()
        self.size_bytes = 0

    def write(self, data: bytes | bytearray | memoryview, /) -> int:
        self.state.update(data)
        self.size_bytes += len(data)
        return len(data)

    def commit(self, expected: Digest | None = None) -> Digest:
        del expected
        return Digest("sha256", self.state.hexdigest())


def limit(wheels: list[Path], *, record: bool = True) -> int:
    """Read, inflate and hash; return the bytes read."""
    for path in wheels:
        tar, blob = hashlib.sha256(), hashlib.sha256()
        with path.open("rb") as file:
            for member in archive.members(file, path.name).values():
                contents = hashlib.sha256()
                for plain in archive.contents(file.fileno(), member):
                    tar.update(plain)
                    if record:
                        contents.update(plain)
            file.seek(0)
            while chunk := file.read(1 << 20):
                blob.update(chunk)
    return sum(path.stat().st_size for path in wheels)


def splice(wheels: list[Path]) -> int:
    """Do what lading does; return the bytes of the layers."""
    total_bytes = 0
    for path in wheels:
        sink = HashingSink()
        writer = LayerWriter(sink)
        wheel.write(path, writer, TARGET)
        total_bytes += writer.finish().size_bytes
    return total_bytes


def compress_again(wheels: list[Path]) -> int:
    """Write the same layers with every file compressed anew by zlib-ng -3."""
    total_bytes = 0
    for path in wheels:
        sink = HashingSink()
        writer = LayerWriter(sink)
        with path.open("rb") as file:
            for placed in sorted(wheel.plan(path, TARGET).files, key=lambda one: one.path.encode()):
                writer.chunks(placed.path, _contents(file.fileno(), placed), placed.size_bytes, placed.mode)
        total_bytes += writer.finish().size_bytes
    return total_bytes


def _contents(descriptor: int, placed: wheel.Placed) -> Iterator[bytes]:
    if isinstance(placed.source, bytes):
        return iter((placed.source,))
    return archive.contents(descriptor, placed.source)


def tar_czf(tree: Path) -> int:
    """Pack the installed tree as a Dockerfile's author would; return the bytes of the archive."""
    with tempfile.NamedTemporaryFile() as file:
        subprocess.run(["tar", "czf", file.name, "-C", str(tree), "."], check=True)
        return Path(file.name).stat().st_size


def install(wheels: list[Path], tree: Path) -> None:
    """Lay out what the wheels install, for `tar czf` to read."""
    for path in wheels:
        with tempfile.TemporaryFile() as file:
            sink = HashingSink()
            sink.write = file.write  # type: ignore[method-assign]
            writer = LayerWriter(sink)
            wheel.write(path, writer, TARGET)
            writer.finish()
            file.seek(0)
            with tarfile.open(fileobj=file) as layer:
                layer.extractall(tree, filter="tar")


def download(folder: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--only-binary=:all:",
        "--python-version=3.11",
    ]
    options = ["--platform=manylinux_2_28_x86_64", f"--dest={folder}"]
    subprocess.run([*command, *options, *REQUIREMENTS], check=True)


def cpu_s() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder, tree = options.folder or Path(scratch, "wheels"), Path(scratch, "tree")
        if options.folder is None:
            download(folder)
        wheels = sorted(folder.glob("*.whl"))
        install(wheels, tree)
        ways: dict[str, Callable[[], int]] = {
            "limit: read, inflate, hash": lambda: limit(wheels),
            "without RECORD": lambda: limit(wheels, record=False),
            "splice (lading)": lambda: splice(wheels),
            "zlib-ng -3": lambda: compress_again(wheels),
            "tar czf": lambda: tar_czf(tree),
        }
        measured: dict[str, list[float]] = {name: [] for name in ways}
        sizes = {name: way() for name, way in ways.items()}  # a first round to warm up
        for _ in range(options.repeats):
            for name, way in ways.items():
                before_s = cpu_s()
                way()
                measured[name].append(cpu_s() - before_s)
    report(len(wheels), measured, sizes)


def report(wheels: int, measured: dict[str, list[float]], sizes: dict[str, int]) -> None:
    medians = {name: statistics.median(times) for name, times in measured.items()}
    least = next(iter(medians.values()))
    print(f"{wheels} wheels, {len(next(iter(measured.values())))} alternating repeats, CPU seconds")
    print(f"{'':28}{'median':>8}{'spread':>15}{'/ limit':>9}{'MB':>8}")
    for name, median in medians.items():
        spread = f"{min(measured[name]):.2f}-{max(measured[name]):.2f}"
        print(f"{name:28}{median:8.2f}{spread:>15}{median / least:9.2f}{sizes[name] / 1e6:8.1f}")


if __name__ == "__main__":
    main()
