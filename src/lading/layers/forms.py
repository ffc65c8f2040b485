"""A sandbox and a job in; a form of its model that needs no library, and the proof of that form, out.

The model's own interpreter loads the model, writes the form and holds it against the model: all that happens
inside (`lading_runtime.compile`). What comes out is read as bytes of strangers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lading.core import canonical
from lading.core.errors import IntegrityError, Issue
from lading.core.ports import Sandbox
from lading.layers import bytecode
from lading.layers.environment import SERVER
from lading.layers.tar import LayerWriter

PATH = "opt/lading/compiled"
FILES = ("form.json", "form.py")
GRAPH = "model.onnx"
_SOURCE = "form.py"
_LIMIT_S, _LOAD_S = 120.0, 600.0
_PATIENCE = 10
_PROOF_BYTES_MAX = 16 << 20
_FILE_BYTES_MAX = 512 << 20

# of the server's environment the model's interpreter sees this one package, as a worker does
SCRIPT = """
import importlib.util, os, sys
package = sys.argv[1]
spec = importlib.util.spec_from_file_location(
    "lading_runtime", os.path.join(package, "__init__.py"), submodule_search_locations=[package]
)
sys.modules["lading_runtime"] = module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
import importlib
sys.exit(importlib.import_module("lading_runtime." + sys.argv[2]).main("/tmp/job.json", "/tmp"))
"""


@dataclass(frozen=True, slots=True)
class Form:
    """What compiling came to: the form's files by name, none where the model itself is to answer."""

    files: Mapping[str, bytes]
    proof: Mapping[str, Any]
    """Whether and how it was held against the model, and what both cost; `reason` says why there is none."""


def make(
    sandbox: Sandbox,
    job: Mapping[str, Any],
    *,
    python: str,
    minor: str,
    env: Mapping[str, str],
    tmp: Path,
    patient: bool = False,
) -> Form:
    """Compile a model and prove it; `minor` is the Python of the server, whose files have the compiler.

    `patient` gives the proof ten times as long, as an emulated processor has. Raises VerifyError where the
    interpreter itself fails or the model does not load, IntegrityError for what is no outcome.
    """
    limit_s = _LIMIT_S * (_PATIENCE if patient or sandbox.emulated else 1)
    (tmp / "job.json").write_text(json.dumps({**job, "limit_s": limit_s}), encoding="utf-8")
    package = f"/{SERVER}/lib/python{minor}/site-packages/lading_runtime"
    bytecode.run(
        sandbox, [python, "-I", "-B", "-c", SCRIPT, package, "compile.run"], tmp, limit_s + _LOAD_S, env
    )
    proof = canonical.decode(_left(tmp / "proof.json", _PROOF_BYTES_MAX), "proof")
    if not isinstance(proof, dict):
        raise IntegrityError(Issue("proof", f"got {proof!r:.80}, expected an object"))
    if not proof.get("kept"):
        return Form({}, proof)
    names = [*FILES, GRAPH] if job.get("mode") == "onnx" else FILES
    return Form({name: _left(tmp / name, _FILE_BYTES_MAX) for name in names}, proof)


def byte_code(sandbox: Sandbox, form: Form, *, python: str, tmp: Path) -> dict[str, bytes]:
    """Compile a form's text for the server's interpreter; return the `.pyc` files by path in the image."""
    path = f"{PATH}/{_SOURCE}"
    return bytecode.of_source(sandbox, python=python, path=path, source=form.files[_SOURCE], tmp=tmp)


def write(form: Form, compiled: Mapping[str, bytes], writer: LayerWriter) -> None:
    """Write a form and its byte code into a layer."""
    found = {f"{PATH}/{name}": data for name, data in form.files.items()} | dict(compiled)
    for path in sorted(found):
        writer.file(path, found[path])


def _left(path: Path, limit_bytes: int) -> bytes:
    with bytecode.left_in(path, limit_bytes) as stream:
        return stream.read()
