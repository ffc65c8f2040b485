"""What `--slim` leaves out of real wheels: MB and files by library and kind; do all modules still import?

    python benchmarks/formats/slim.py [--wheels FOLDER] [--imports] [LIBRARY ...]
    python benchmarks/formats/slim.py --formats xgboost,onnx [--work FOLDER]

The wheels, with all that they need, are downloaded by pip, for the Python that this runs on. With `--imports`
they are laid out whole and slim, and each module of the libraries that imports there has to import here.
With `--formats` models of these are trained, as `table.py` does, and packed whole and slim: the answers of
their libraries that both packages gave again, and MB of the images.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import table

from lading.core.platform import Platform
from lading.layers import wheel
from lading.layers.tar import LayerWriter
from lading.store import MemoryStore

LIBRARIES = (
    *(
        "numpy",
        "pandas",
        "scipy",
        "scikit-learn",
        "xgboost-cpu",
        "lightgbm",
        "catboost",
        "pyarrow",
        "statsmodels",
    ),
    *("matplotlib", "onnxruntime", "torch", "tensorflow-cpu", "spacy", "transformers"),
)
PYTHON = f"3.{sys.version_info.minor}"
TARGET = wheel.Target("env", PYTHON, Platform("linux", "amd64"))
SITE = TARGET.site_packages
_IMPORT = """
import importlib, json, os, sys, warnings
warnings.simplefilter("ignore")
names, path = json.load(open(sys.argv[1])), sys.argv[2]
sys.stdout = sys.stderr = open(os.devnull, "w")
with open(path, "a", buffering=1) as out:
    for name in names:
        out.write(f"begin {name}\\n")
        try:
            importlib.import_module(name)
        except BaseException as error:
            out.write(f"failed {name} {type(error).__name__}: {error}".replace("\\n", " ") + "\\n")
        else:
            out.write(f"imported {name}\\n")
os._exit(0)
"""


def download(libraries: Sequence[str], folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:", f"--dest={folder}"]
    subprocess.run([*command, *libraries], check=True, stderr=subprocess.DEVNULL)


def project(path: Path) -> str:
    return re.sub(r"[-_.]+", "-", path.name.partition("-")[0]).lower()


def tell(path: Path) -> list[str]:
    """Print a row: what the wheel installs whole and slim, and what of which kind is left out."""
    slim = wheel.plan(path, replace(TARGET, slim=True))
    kinds: dict[str, list[wheel.Placed]] = defaultdict(list)
    for kind, placed in slim.slimmed:
        kinds[kind].append(placed)
    whole = wheel.plan(path, TARGET)
    packed = path.stat().st_size - sum(one.packed_bytes for found in kinds.values() for one in found)
    told = (f"{kind} {mb(one.size_bytes for one in found)}" for kind, found in sorted(kinds.items()))
    return [
        f"{project(path)} {path.name.split('-')[1]}",
        f"{mb(one.size_bytes for one in whole.files)} → {mb(one.size_bytes for one in slim.files)}",
        f"{mb([path.stat().st_size])} → {mb([packed])}",
        f"{len(whole.files):,} → {len(slim.files):,}",
        ", ".join(told) or "nothing",
    ]


def mb(sizes: Iterable[int]) -> str:
    return f"{sum(sizes) / 1e6:.1f}"


def lay_out(wheels: Iterable[Path], tree: Path, target: wheel.Target) -> None:
    """Lay wheels out as layers do; what two hold is the first's."""
    for path in wheels:
        store = MemoryStore()
        with store.create() as blob:
            writer = LayerWriter(blob)
            wheel.write(path, writer, target)
            digest = writer.finish().digest
        with store.open(digest) as stream, tarfile.open(fileobj=io.BytesIO(stream.read())) as layer:
            layer.extractall(tree, filter="tar")


def modules(path: Path) -> Iterator[str]:
    """Name the modules of a wheel that is laid out slim, importable ones by their names at least."""
    for placed in wheel.plan(path, replace(TARGET, slim=True)).files:
        name = placed.path.removeprefix(f"{SITE}/")
        if not name.endswith((".py", ".so")) or name.startswith(("..", "env/")) or ".libs/" in name:
            continue
        parts = name.partition(".")[0].split("/")
        if all(part.isidentifier() for part in parts):
            yield ".".join(parts[:-1] if parts[-1] in {"__init__", "__main__"} else parts)


def imported(names: Sequence[str], site: Path, folder: Path) -> dict[str, str]:
    """Import modules in a process that is started again where one ends it; return what came of each."""
    log = folder / "log"
    log.unlink(missing_ok=True)
    left, outcome = list(names), dict[str, str]()
    while left:
        (folder / "names").write_text(json.dumps(left))
        env = {**os.environ, "PYTHONPATH": str(site), "HF_HUB_OFFLINE": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
        command = [sys._base_executable, "-c", _IMPORT, folder / "names", log]  # type: ignore[attr-defined] # noqa: SLF001
        with suppress(subprocess.TimeoutExpired):
            subprocess.run(command, env=env, cwd=folder, timeout=900, check=False, stdin=subprocess.DEVNULL)
        for line in log.read_text().splitlines():
            what, name, *why = line.split(" ", 2)
            outcome[name] = "it ends the process" if what == "begin" else " ".join([what, *why])
        left = [one for one in left if one not in outcome]
    return outcome


def compare(wheels: Sequence[Path], libraries: Sequence[str], folder: Path) -> bool:
    """Import all that imports in the whole environment in the slim one, too."""
    sites = {}
    for kind in ("whole", "slim"):
        lay_out(wheels, folder / kind, replace(TARGET, slim=kind == "slim"))
        sites[kind] = folder / kind / SITE
    is_same = True
    for path in wheels:
        if project(path) not in libraries:
            continue
        names = sorted(set(modules(path)))
        whole, slim = (imported(names, sites[kind], folder) for kind in ("whole", "slim"))
        lost = [name for name, how in whole.items() if how == "imported" and slim[name] != "imported"]
        is_same &= not lost
        count = sum(how == "imported" for how in whole.values())
        print(
            f"{project(path)}: {count:,} of {len(names):,} modules import, {len(lost)} of them not without",
            flush=True,
        )
        for name in lost:
            print(f"  {name}: {slim[name]}", flush=True)
    return is_same


def pack(names: Sequence[str], work: Path) -> bool:
    """Pack a model of each format whole and slim; the slim one has to give all recorded answers again."""
    print("| format | answers whole | answers slim | image MB | left out, MB |\n|---|---|---|---|---|")
    is_same = True
    for name in names:
        row = table.Row(name, work, 1)
        model = row.folder / "model" / "own"
        if not model.exists():
            table.train(row)
            table.inspect(row)
        whole = row.lading("pack", model, "-t", row.tag("whole"), "--no-compile")
        slim = row.lading("pack", model, "-t", row.tag("slim"), "--no-compile", "--slim")
        told = [f"{one['report']['matched']} of {one['report']['predictions']}" for one in (whole, slim)]
        sizes = " → ".join(mb([one["size_bytes"]]) for one in (whole, slim))
        print(
            f"| {name} | {' | '.join(told)} | {sizes} | {mb(one['size_bytes'] for one in slim['slim'])} |",
            flush=True,
        )
        is_same &= slim["report"]["matched"] == whole["report"]["matched"] > 0
    return is_same


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("libraries", nargs="*", default=LIBRARIES)
    parser.add_argument("--wheels", type=Path, help="where they lie, or are downloaded to")
    parser.add_argument("--imports", action="store_true")
    parser.add_argument("--formats", default="", help="names of formats, with commas between")
    parser.add_argument("--work", type=Path, help="where models, environments and packages are kept")
    options = parser.parse_args()
    if options.formats:
        work = options.work or Path(tempfile.mkdtemp())
        sys.exit(not pack(options.formats.split(","), work.absolute()))
    libraries = {re.sub(r"[-_.]+", "-", one).lower() for one in options.libraries}
    with tempfile.TemporaryDirectory() as name:
        folder = options.wheels or Path(name) / "wheels"
        folder.mkdir(exist_ok=True)
        if not libraries <= {project(path) for path in folder.glob("*.whl")}:
            download(options.libraries, folder)
        wheels = sorted(folder.glob("*.whl"))
        print("| library | MB installed | MB in the image | files | left out, MB |\n|---|---|---|---|---|")
        for path in wheels:
            if project(path) in libraries:
                print("| " + " | ".join(tell(path)) + " |", flush=True)
        if options.imports and not compare(wheels, sorted(libraries), Path(name)):
            sys.exit(1)


if __name__ == "__main__":
    main()
