"""A job in, a proved form in a folder out: what packing runs in the sandbox, by the model's own Python.

The job is JSON: `path`, `loader`, `options` and `code`, as the worker's job; `mode` (`auto`, `onnx`,
`treelite`) and its `tolerance`; `examples`, rows of cells; `limit_s`; `always`, to keep the form whatever the
proof says, as where it was kept before. The folder gets `proof.json`; where the form is kept `form.json` and
`form.py`, and with `onnx` the graph, `model.onnx`.
"""

# jobs and models are of any type
# ruff: noqa: ANN401

from __future__ import annotations

import json
import math
import os
import sys
import tempfile
import traceback
from collections.abc import Mapping
from typing import Any

from lading_runtime.compile import graphs
from lading_runtime.compile.build import WAYS, Compiled, build
from lading_runtime.compile.notes import NotCompiled
from lading_runtime.compile.prove import LIMIT_S, Effort, prove
from lading_runtime.compiled.form import Form
from lading_runtime.worker import loop

FILES = ("form.json", "form.py")


def main(job_path: str, out_folder: str) -> int:
    """Compile the job's model; return 0 where that ended with a proof, whatever it says."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")  # as where a model serves
    with open(job_path, "rb") as stream:  # noqa: PTH123
        job = json.load(stream)
    try:
        proof = compile_job(job, out_folder)
    except NotCompiled as reason:
        proof = {"kept": False, "proved": False, "reason": str(reason)}
    with open(os.path.join(out_folder, "proof.json"), "w", encoding="utf-8") as stream:  # noqa: PTH118, PTH123
        json.dump({"mode": job.get("mode", "auto"), **proof}, stream, ensure_ascii=False)
    return 0


def compile_job(job: Mapping[str, Any], out_folder: str) -> dict[str, Any]:
    """Load the job's model, write its form, and return the proof; raise NotCompiled where there is none."""
    mode = job.get("mode", "auto")
    if mode not in WAYS:
        raise NotCompiled(f"got {mode!r}, supported are {' and '.join(WAYS)}")
    loaded = loop.load(job)
    estimator = getattr(loaded, "estimator", None)
    if estimator is None:
        raise NotCompiled(f"no compiler for what the loader {job['loader']!r} loads")
    try:
        return _compile(job, loaded, estimator, out_folder)
    except NotCompiled:
        raise
    except Exception as error:
        # what stands in the way of a compiler of ours is no reason not to serve the model itself
        traceback.print_exc()
        raise NotCompiled(f"the compiler failed: {error!r}"[:500]) from error


def _compile(job: Mapping[str, Any], loaded: Any, estimator: Any, out_folder: str) -> dict[str, Any]:
    way = str(job.get("mode", "auto"))
    method = getattr(loaded, "method", "predict")
    compiled = build(estimator, method, way, frames=loaded.takes_frames)
    effort = Effort(limit_s=float(job.get("limit_s") or LIMIT_S))
    if way != "auto":  # who asks for it by name minds one row, and the libraries that are not there
        effort = effort._replace(slack=math.inf, alone=math.inf if way == "onnx" else 1.0)
    with tempfile.TemporaryDirectory() as trial:
        write(compiled, trial)
        proof = prove(
            loaded,
            Form(trial),
            compiled.points,
            job.get("examples") or (),
            effort=effort,
            tolerance=job.get("tolerance"),
            settled=bool(job.get("always")),
        )
    if proof["kept"]:
        write(compiled, out_folder)
    return {"kind": compiled.document["kind"], **proof}


def write(compiled: Compiled, folder: str) -> None:
    """Write a form's files."""
    texts = (json.dumps(compiled.document, ensure_ascii=False), compiled.source)
    files = {name: text.encode() for name, text in zip(FILES, texts)}  # noqa: B905 - Python 3.8
    if compiled.model:
        files[graphs.FILE] = compiled.model
    for name, data in files.items():
        with open(os.path.join(folder, name), "wb") as stream:  # noqa: PTH118, PTH123
            stream.write(data)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
