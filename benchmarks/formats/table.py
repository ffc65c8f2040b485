"""Make the table of figures in docs/formats.md: one row per format, beside the image that MLflow describes.

    python benchmarks/formats/table.py [--formats xgboost,onnx] [--repeat 5] [--work FOLDER] [--write]

Each row trains a real model in an environment of its own, inspects it, packs it (`own`: as its library
saved it; `full`: as MLflow saved it, with `loader: mlflow`), has the recorded answers verified, and times
starts: from exec to the first answer, of `lading serve` and of the entry point of the image that `mlflow
models generate-dockerfile` describes, in turn. Results stay in FOLDER/results, so that a run that was cut
goes on; `--again` measures anew. `--write` puts the rows that have results into the docs' tables.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import figures
import starting

sys.path.insert(0, str(Path(__file__).parents[1]))
from measure import run

HERE = Path(__file__).parent
LADING = (sys.executable, "-m", "lading")
UV = Path(sys.executable).with_name("uv")
LARGE_BYTES = 3 << 30
MLFLOW = "mlflow==3.17.2"
LIGHT: tuple[str, ...] = (
    "xgboost-cpu",
    "lightgbm",
    "catboost",
    "onnx",
    "onnxruntime",
    "skl2onnx",
    "skops",
    "statsmodels",
)
LIGHT += ("spacy==3.8.18", "prophet==1.5.0", "pandas<3")
TORCH = ("torch==2.13.0", "safetensors", "transformers", "sentence-transformers", "pandas<3")
TENSORFLOW = ("tensorflow-cpu==2.21.0", "keras==3.15.1")
# what each format's model is trained with, beside MLflow, which brings scikit-learn
ROWS: dict[str, tuple[str, ...]] = {
    "python": LIGHT,
    "mlflow": LIGHT,
    "xgboost": LIGHT,
    "lightgbm": LIGHT,
    "catboost": LIGHT,
    "onnx": LIGHT,
    "sentence_transformers": TORCH,
    "transformers": TORCH,
    "torchscript": TORCH,
    "torch_export": TORCH,
    "torch": TORCH,
    "savedmodel": TENSORFLOW,
    "keras": TENSORFLOW,
    "pmml": LIGHT,
    "prophet": LIGHT,
    "spacy": LIGHT,
    "safetensors": TORCH,
    "skops": LIGHT,
    "statsmodels": LIGHT,
    "sklearn": LIGHT,
}


class FailedError(Exception):
    """What a part of a row failed by: the last that its command said."""


@dataclass(frozen=True)
class Row:
    """Where a format's model, packages and results are."""

    name: str
    work: Path
    repeat: int
    peer: bool = True

    @property
    def folder(self) -> Path:
        """The model, as `models.py` left it, and the environments."""
        return self.work / self.name

    @property
    def env(self) -> dict[str, str]:
        """What commands run under."""
        return {**os.environ, "LADING_HOME": str(self.work / "home")}

    def tag(self, way: str) -> str:
        """Name a package."""
        return f"{self.name.replace('_', '-')}-{way}:1"

    def call(self, command: Sequence[str | Path], **more: str) -> str:
        """Run a command, return its output; raise FailedError."""
        done = subprocess.run(
            [str(one) for one in command],
            env={**self.env, **more},
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise FailedError("\n".join([*done.stdout.splitlines()[-10:], *done.stderr.splitlines()[-25:]]))
        return done.stdout

    def lading(self, *arguments: str | Path) -> Any:  # noqa: ANN401 - what the command prints
        """Run a command of lading's; return its JSON."""
        return json.loads(self.call([*LADING, *arguments, "--json"]))


def environment(row: Row, *requirements: str | Path) -> Path:
    """Make an environment, once for rows that need the same; return where its programs lie."""
    texts = [one.read_text() if isinstance(one, Path) else one for one in requirements]
    folder = row.work / "environments" / hashlib.sha256("\0".join(texts).encode()).hexdigest()[:12]
    if not (folder / "done").exists():
        row.call([UV, "venv", "--quiet", "--clear", "--python", sys.executable, folder])
        command: list[str | Path] = [UV, "pip", "install", "--quiet", *_wheels()]
        for one in requirements:
            command += ["-r", one] if isinstance(one, Path) else [one]
        row.call(command, VIRTUAL_ENV=str(folder))
        (folder / "done").touch()
    return folder / "bin"


def _wheels() -> list[str]:
    """Say where PyTorch's builds for CPUs are: where pip is told to look, else at PyTorch's own index."""
    links = os.environ.get("PIP_FIND_LINKS", "").split()
    return [f"--find-links={one}" for one in links] or ["--torch-backend=cpu"]


def train(row: Row) -> dict[str, Any]:
    """Train, save, and allow by name what has to be allowed."""
    shutil.rmtree(row.folder, ignore_errors=True)
    row.folder.mkdir(parents=True)
    programs = environment(row, MLFLOW, *ROWS[row.name])
    heavy = ROWS[row.name] == TORCH and not os.environ.get("PIP_FIND_LINKS")
    settings = json.dumps({"accelerator": "cpu"} if heavy else {})
    (row.folder / "model").mkdir()
    # what a library writes, and warns of, beside the model does not matter
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "KERAS_BACKEND": "tensorflow"}
    command = [programs / "python", HERE / "models.py", row.name, row.folder / "model"]
    row.call([*command, *([] if row.peer else ["own"])], SETTINGS=settings, **quiet)
    return {}


def inspect(row: Row) -> dict[str, Any]:
    """Look at the model; risks are then allowed by name."""
    own = row.folder / "model" / "own"
    runs = [run([*LADING, "inspect", own, "--json"], env=row.env, log=row.folder / "log") for _ in range(3)]
    told = row.lading("inspect", own)
    for way in ("own", "full"):
        spec = row.folder / "model" / way / "lading.yaml"
        if spec.exists() and (risks := row.lading("inspect", spec)["risks"]):
            allowed = sorted({one["name"] for one in risks})
            spec.write_text(json.dumps({**json.loads(spec.read_text()), "allow_unsafe": allowed}))
    signature = told["signature"] or {}
    return {
        "wall_s": [one.wall_s for one in runs],
        "cpu_s": [one.cpu_s for one in runs],
        "peak_bytes": max(one.peak_bytes for one in runs),
        "inputs": len(signature.get("inputs", [])),
        "outputs": len(signature.get("outputs") or []),
        "risks": len(told["risks"]),
    }


def own(row: Row) -> dict[str, Any]:
    """Pack the model as its library saved it."""
    return packed(row, "own")


def full(row: Row) -> dict[str, Any] | None:
    """Pack the model as MLflow saved it, for MLflow to load; None where MLflow has no such flavour."""
    return packed(row, "full") if (row.folder / "model" / "mlflow").exists() else None


def packed(row: Row, way: str) -> dict[str, Any]:
    """Pack with verification; return what the package holds."""
    done = row.lading("pack", row.folder / "model" / way, "-t", row.tag(way))
    shown = row.lading("show", row.tag(way))
    compiled = shown["bill"]["model"].get("compiled")
    itself = row.lading("show", compiled["original"]) if compiled else shown
    blobs = Path(row.env["LADING_HOME"]) / "store" / "blobs" / "sha256"
    layers = [one for one in itself["bill"]["layers"] if one["kind"] == "environment"]
    return {
        "matched": done["report"]["matched"],
        "compared": done["report"]["predictions"],
        "passed": done["report"]["passed"],
        "compiled": bool(compiled),
        "size_bytes": shown["size_bytes"],
        "itself_bytes": itself["size_bytes"],
        "base_bytes": sum(one["size_bytes"] for one in shown["bill"]["layers"] if one["kind"] == "base"),
        "libraries": len(itself["bill"]["environment"]["packages"]),
        "libraries_bytes": sum(_unpacked(blobs / one["digest"].partition(":")[2]) for one in layers),
        "libraries_compressed_bytes": sum(one["size_bytes"] for one in layers),
        "signature": bool(shown["bill"]["model"]["signature"]),
        "loader": shown["bill"]["model"]["loader"],
    }


def _unpacked(blob: Path) -> int:
    """Add up the files in a layer."""
    with tarfile.open(blob) as archive:
        return sum(one.size for one in archive)


def peer(row: Row) -> dict[str, Any] | None:
    """Install what MLflow's Dockerfile installs; return its size. None where MLflow has no such flavour."""
    image = row.folder / "model" / "image"
    if not image.exists():
        return None
    dockerfile = (image / "Dockerfile").read_text()
    if f"pip install {MLFLOW}" not in dockerfile or "_install_pyfunc_deps" not in dockerfile:
        raise FailedError(f"another Dockerfile than was expected:\n{dockerfile}")
    (model,) = (one.parent for one in image.rglob("MLmodel"))
    more = ("pip", "setuptools", "wheel", "gunicorn[gevent]")
    programs = environment(row, MLFLOW, model / "requirements.txt", *more)
    (site,) = programs.parent.glob("lib/python*/site-packages")
    files = [one for one in site.rglob("*") if one.is_file() and one.suffix != ".pyc"]
    return {
        "libraries": len(list(site.glob("*.dist-info"))),
        "libraries_bytes": sum(one.lstat().st_size for one in files),
        "command": [str(programs), str(model)],
    }


def start(row: Row) -> dict[str, Any]:
    """Time starts in turn, wall and CPU seconds: ours, the model itself where that is compiled, MLflow's."""
    result = load(row)
    body = (row.folder / "model" / "request.json").read_bytes()
    ways = {"own": starting.of_lading(row.tag("own"))}
    if result["own"]["compiled"]:
        ways["itself"] = starting.of_lading(row.tag("own"), "--no-compile")
    if figures.has(result, "peer"):
        ways["peer"] = starting.of_mlflow(*map(Path, result["peer"]["command"]))
    times: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    for turn in range(row.repeat + 1):
        for way, how in ways.items():
            try:
                took = starting.to_answer(how, body, row.env, row.folder / f"{way}.log")
            except starting.NeverAnsweredError as error:
                raise FailedError(f"{way}: {error}") from error
            # the first of each reads its files from the disk and writes byte code, and is not counted
            times[way] += [took] if turn else []
    return times


PARTS: tuple[Callable[[Row], dict[str, Any] | None], ...] = (train, inspect, own, full, peer, start)


def load(row: Row) -> dict[str, Any]:
    """Return what is known of a row."""
    path = row.work / "results" / f"{row.name}.json"
    return dict(json.loads(path.read_text())) if path.exists() else {}


def measure(row: Row) -> None:
    """Go through the parts of a row that are missing or failed; what one fails by is kept."""
    parts = {one.__name__: one for one in PARTS if row.peer or one not in {full, peer}}
    result = load(row)
    done = {name for name, one in result.items() if one is None or "error" not in one}
    if done >= parts.keys():
        return
    if not row.folder.exists():
        # what was packed is gone with its folder
        result, done = {}, set()
    for name, part in parts.items():
        if name in done:
            continue
        print(f"{row.name}: {name}", flush=True)
        try:
            result[name] = part(row)
        except FailedError as error:
            result[name] = {"error": str(error)}
            print(f"{row.name}: {name} failed:\n{error}", flush=True)
        (row.work / "results").mkdir(parents=True, exist_ok=True)
        (row.work / "results" / f"{row.name}.json").write_text(json.dumps(result, indent=1))
        if name in {"train", "inspect", "own"} and "error" in (result[name] or {}):
            return


def clean(row: Row) -> None:
    """Remove a row's model and packages, and caches and environments where they have grown large."""
    shutil.rmtree(row.folder, ignore_errors=True)
    for way in ("own", "full"):
        subprocess.run([*LADING, "rm", row.tag(way)], env=row.env, capture_output=True, check=False)
    command = [*LADING, "gc", "--older-than-s", "0"]
    home = Path(row.env["LADING_HOME"])
    if sum(one.lstat().st_blocks * 512 for one in home.rglob("*") if one.is_file()) > LARGE_BYTES:
        command.append("--cache")
        shutil.rmtree(row.work / "environments", ignore_errors=True)
    subprocess.run(command, env=row.env, capture_output=True, check=False)


def main() -> None:
    """Measure the rows that are asked for, print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--formats", help="names with commas between, or none to print what is known; default: all"
    )
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--work", type=Path, help="folder for everything; default: a temporary one")
    parser.add_argument("--no-peer", action="store_true", help="leave MLflow out")
    parser.add_argument("--again", action="store_true", help="measure anew what is measured")
    parser.add_argument("--keep", action="store_true", help="keep models, environments and packages")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/formats.md")
    options = parser.parse_args()
    work = (options.work or Path(tempfile.mkdtemp(prefix="lading-formats-"))).resolve()
    chosen = list(ROWS) if options.formats is None else list(filter(None, options.formats.split(",")))
    if unknown := sorted(set(chosen) - set(ROWS)):
        parser.error(f"unknown formats: {', '.join(unknown)}; known: {', '.join(ROWS)}")
    for name in chosen:
        row = Row(name, work, options.repeat, not options.no_peer)
        if options.again:
            (work / "results" / f"{name}.json").unlink(missing_ok=True)
            shutil.rmtree(row.folder, ignore_errors=True)
        measure(row)
        if not options.keep:
            clean(row)
    results = {name: load(Row(name, work, options.repeat)) for name in ROWS}
    print(figures.tables(results, figures.PAGE.read_text()))
    if options.write:
        figures.write(results)


if __name__ == "__main__":
    main()
