"""The image of a model goes in; the layers of one in which a form of it answers come out, or why not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from lading.core.bill import BilledFile, BilledForm
from lading.core.digest import Digest
from lading.core.errors import IntegrityError, Issue, LadingError, ModelError, VerifyError
from lading.core.image import Image, Layer
from lading.core.lock import PlatformLock
from lading.core.model import ModelFacts
from lading.core.ports import Event, Fetch, ignore
from lading.core.server import NATIVE
from lading.core.signature import Signature
from lading.core.spec import TOLERANT, Example, PackageSpec
from lading.image.bill import ENVIRONMENT_PATH, MODEL_PATH
from lading.layers import Recipe, forms, recipes
from lading.layers.cache import key
from lading.layers.environment import ENV, SERVER
from lading.layers.tar import LayerWriter
from lading.pipeline import running, summary
from lading.pipeline.context import Context
from lading.pipeline.locking import fetch_for

TITLE = "compiled model"
_KEPT = frozenset({"base", "image", "server", "assets"})
_SERVER_BYTECODE = "byte code of the server"
_EXAMPLE_ROWS = 10_000
# a pool of threads per library would make one row look slower than it is served
_ENV = {
    "PYTHONHASHSEED": "0",
    **dict.fromkeys(
        ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1"
    ),
    **dict.fromkeys(("MPLCONFIGDIR", "JOBLIB_TEMP_FOLDER", "NUMBA_CACHE_DIR"), "/tmp"),  # noqa: S108 - the sandbox's own
}

# what answers in place of a model's libraries; of the runtime's requirements its tools alone import the rest
ANSWERING: Mapping[str, tuple[str, ...]] = {"onnx": ("numpy", "onnxruntime")}

Sealed = Callable[[Recipe, Fetch], tuple[Layer, bool]]
"""Takes a layer from the cache, or makes it of packages that it fetches."""
ByteCode = Callable[[PlatformLock, Sequence[Layer], Sequence[str]], tuple[Layer, bool]]
"""Compiles what importing modules loads in the model's environment, given an image's layers."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """The layers of an image without its model, its form, its proof, and how many layers were there."""

    layers: tuple[Layer, ...]
    form: BilledForm
    proof: Mapping[str, Any]
    cached: int


@dataclass(frozen=True, slots=True)
class Compiler:
    """Compiles the model of one package."""

    context: Context
    what: PackageSpec
    facts: ModelFacts
    examples: tuple[Example, ...]
    sandbox: str | None
    sealed: Sealed
    bytecode: ByteCode
    always: bool
    """Whether a proved form is taken even where it is no faster: making again does not ask for the time."""

    def compile(self, original: Image, lock: PlatformLock) -> Compiled | str:
        """Make the form of a model and the layers of its image; or say why the model itself is to answer.

        Says in an event what came of it. Raises ModelError where the author asked for a way that does not go.
        """
        if self.what.compile == "off":
            return ""
        if reason := _why_not(self.facts, self.what.server) or self._why_not_here(lock):
            return self._decline(reason)
        layers = original.layers[:-1]
        proof, layer = self._form(original, layers, lock)
        if layer is None:
            return self._decline(str(proof.get("reason") or "the compiler does not say why"))
        below, cached = self._below(layers, lock)
        self.context.events(Event("compile", "stage", summary.of_proof(proof, self._tolerance)))
        form = BilledForm(
            path=f"/{forms.PATH}",
            kind=str(proof["kind"]),
            way=self.what.compile,
            tolerance=self._tolerance,
            probes=int(proof["probes"]),
            files=tuple(BilledFile(name, size, Digest.parse(told)) for name, size, told in proof["files"]),
            original=original.descriptor.digest,
        )
        return Compiled((*below, layer), form, proof, cached + proof["cached"])

    def _below(self, layers: Sequence[Layer], lock: PlatformLock) -> tuple[list[Layer], int]:
        """Return the layers that a form needs below it, and how many of those made for it were there."""
        packages = ANSWERING.get(self.what.compile, ())
        minds = (lock.server_interpreter, lock.interpreter) if packages else (lock.server_interpreter,)
        below = list(_kept(layers, [f"Python {one.version}" for one in minds]))
        answering = recipes.lean(lock, packages, is_slim=self.what.slim) if packages else []
        wanted = [recipes.server_skeleton(lock), *answering]
        fetch = fetch_for(self.context, self.what, lock)
        made = [self.sealed(one, fetch) for one in wanted]
        below += [layer for layer, _ in made]
        if packages:
            made.append(self.bytecode(lock, below, packages))
            below.append(made[-1][0])
        return below, sum(was_there for _, was_there in made)

    @property
    def _tolerance(self) -> float:
        return self.what.compile_tolerance or 0.0

    def _why_not_here(self, lock: PlatformLock) -> str:
        if lock.conda:
            return "conda's packages carry the interpreter, so they could not be left out"
        if self.context.cannot_run(lock.platform, self.sandbox):
            return f"{lock.platform} cannot be run here, so that its digest is another"
        return ""

    def _decline(self, reason: str) -> str:
        if self.what.compile in TOLERANT:
            fix = "take compile: auto, or off"
            raise ModelError(Issue("compile", f"{self.what.compile!r} cannot be had: {reason}", fix))
        self.context.events(Event("compile", "stage", f"not compiled: {reason}"))
        return reason

    def _form(
        self, original: Image, layers: Sequence[Layer], lock: PlatformLock
    ) -> tuple[Mapping[str, Any], Layer | None]:
        """Take form and proof from the cache, or make them; the proof gets the form's files and `cached`."""
        made_from = {
            "compiled": self.what.compile,
            "tolerance": self._tolerance,
            "loader": [self.facts.loader, dict(self.facts.loader_options)],
            "layers": sorted(str(one.diff_id) for one in layers),
        }
        noted = key({"proof": made_from}, "gzip")
        proof = self.context.layers.recall(noted)
        layer = self.context.layers.get(key(made_from, "gzip"))
        if isinstance(proof, dict) and (layer or not (proof.get("kept") or self.always)):
            return {**proof, "cached": 1}, layer
        try:
            form = self._make(original, layers, lock)
        except (VerifyError, IntegrityError) as error:
            return _failure(error), None
        files = [[name, len(data), str(Digest.of(data))] for name, data in sorted(form.files.items())]
        proof = {**form.proof, "files": files}
        self.context.layers.note(noted, proof)
        if not form.files:
            return proof, None
        recipe = Recipe("compiled", TITLE, made_from, partial(self._write, form, layers, lock))
        try:
            return {**proof, "cached": 0}, self.sealed(recipe, fetch_for(self.context, self.what, lock))[0]
        except (VerifyError, IntegrityError) as error:
            return _failure(error), None

    def _make(self, original: Image, layers: Sequence[Layer], lock: PlatformLock) -> forms.Form:
        self.context.events(Event("compile", "step", "compiling the model and comparing it with itself"))
        opened = self.context.sandbox(tuple(layers), self.sandbox, platform=lock.platform, events=ignore)
        job = {
            "path": MODEL_PATH,
            "loader": self.facts.loader,
            "options": dict(self.facts.loader_options),
            "code": None,
            "mode": self.what.compile,
            "tolerance": self.what.compile_tolerance,
            "always": self.always,
            "examples": list(rows_of(self.examples, self.facts.signature)),
        }
        _, env = running.command(original)
        with running.temporary_folder() as tmp:
            (folder := tmp / "form").mkdir()
            return forms.make(
                opened,
                job,
                python=f"{ENVIRONMENT_PATH}/bin/python",
                minor=lock.server_interpreter.minor,
                env={**env, **_ENV},
                tmp=folder,
                patient=self.always,
            )

    def _write(
        self,
        form: forms.Form,
        layers: Sequence[Layer],
        lock: PlatformLock,
        _: Sequence[Path],
        writer: LayerWriter,
    ) -> None:
        """Write the form with byte code for the interpreter that will read it."""
        opened = self.context.sandbox(tuple(layers), self.sandbox, platform=lock.platform, events=ignore)
        with running.temporary_folder() as tmp:
            (folder := tmp / "bytecode").mkdir()
            prefix = ENV if self.what.compile in ANSWERING else SERVER
            compiled = forms.byte_code(opened, form, python=f"/{prefix}/bin/python", tmp=folder)
        forms.write(form, compiled, writer)


def _failure(error: LadingError) -> Mapping[str, Any]:
    """Tell of a compiler that came to no end: the model is there all the same."""
    last = error.issues[0].what.strip().splitlines()[-1]
    return {"reason": f"the compiler failed: {last[-300:]}"}


def _why_not(facts: ModelFacts, server: str) -> str:
    """Say why a model cannot be compiled whatever it is; nothing where it is the compiler's to tell."""
    if server != NATIVE:
        return f"{server!r} loads the model itself"
    if facts.loader == "routine":
        return "an inference routine is its author's own code"
    if facts.loader == "pyfunc":
        return "MLflow itself loads the model"
    return "the model comes with code of its author's own" if facts.code is not None else ""


def _kept(layers: Sequence[Layer], interpreters: Sequence[str]) -> Iterator[Layer]:
    """Choose the layers of an image that it needs without its model."""
    for layer in layers:
        is_interpreter = layer.kind == "interpreter" and layer.title in interpreters
        if layer.kind in _KEPT or is_interpreter or layer.title == _SERVER_BYTECODE:
            yield layer


def rows_of(examples: Sequence[Example], signature: Signature | None) -> Iterator[list[Any]]:
    """List the recorded rows, their cells in the order of the signature; what is no table is left out."""
    names = [field.name for field in signature.inputs] if signature else []
    left = _EXAMPLE_ROWS
    for example in examples:
        for row in list(_table(json.loads(json.dumps(example.inputs)), names))[:left]:
            left -= 1
            yield row


def _table(inputs: Any, names: Sequence[str | None]) -> Iterator[list[Any]]:  # noqa: ANN401 - any JSON value
    """Read one of MLflow's forms."""
    match inputs:
        case {"dataframe_split": {"columns": list(columns), "data": list(data)}}:
            order = [columns.index(one) for one in names] if set(names) <= set(columns) else []
            chosen = order or range(len(columns))
            rows: Any = ([row[index] for index in chosen] for row in data if len(row) == len(columns))
        case {"dataframe_records": list(records)}:
            rows = ([one.get(name) for name in names or one] for one in records if isinstance(one, dict))
        case {"instances": list(data)} | {"inputs": list(data)} | list(data):
            rows = (row for row in data if isinstance(row, list))
        case {"inputs": dict(columns)}:
            rows = map(list, zip(*(columns.get(name) or [] for name in names or columns), strict=False))
        case _:
            rows = ()
    yield from rows
