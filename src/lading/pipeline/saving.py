"""A trained model and some of its inputs go in, a folder that MLflow and lading load comes out, tried."""

# models, arrays and frames of any library
# ruff: noqa: ANN401

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lading import __version__, saving
from lading.core.datatypes import OIP
from lading.core.errors import Issue, LadingError, ModelError, SpecError
from lading.core.model import ModelFacts
from lading.core.signature import Signature
from lading.model import inspect, untrusted
from lading.pipeline.leaves import leaves
from lading.saving import documents, requirements, sample
from lading.signature import memory

_PATIENCE_S = 600
_ROWS = 10_000
_IMPORTS = ("ModuleNotFoundError", "ImportError", "AttributeError: Can't get attribute")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")


@dataclass(frozen=True, slots=True)
class Saved:
    """What was saved."""

    path: Path
    flavour: str
    format: str
    """How: the model's own file."""
    requirements: tuple[str, ...]
    dropped: tuple[str, ...]
    """What was imported and is not needed."""
    notes: tuple[str, ...]

    def __str__(self) -> str:
        """Print a line for each."""
        lines = [f"saved {self.path}: {self.flavour}, {self.format}, needs {', '.join(self.requirements)}"]
        if self.dropped:
            lines.append(f"  predicts the same without {', '.join(self.dropped)}")
        return "\n".join((*lines, *(f"  {one}" for one in self.notes)))


def save(
    model: Any,
    path: str | os.PathLike[str],
    inputs: Any = None,
    *,
    outputs: Any = None,
    signature: Signature | Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
    requires: str | Sequence[str] | None = None,
    code: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = (),
    method: str = "predict",
    flavour: saving.Flavour | None = None,
) -> Saved:
    """Save a model of training code as an MLflow model that lading packages.

    A few rows of `inputs` are kept with what the model itself answers to them (or `outputs`): verification
    replays them. `requires` are requirements in place of what is found by loading it in a process of its own;
    `code` are files and folders of one's own that it imports; `method` is called in place of `predict`, such
    as `predict_proba`.

    Raises SpecError for arguments that cannot be, ModelError where the saved model does not load, or predicts
    otherwise than the one that is given.
    """
    target = _place(path)
    sources = tuple(Path(one) for one in ([code] if isinstance(code, (str, os.PathLike)) else code))
    requires = [requires] if isinstance(requires, str) else requires
    _check(target, sources, requires, metadata)
    if outputs is not None and inputs is None:
        raise SpecError(Issue("outputs", "come without inputs", "give the inputs that they answer"))
    kind = flavour or saving.of(model, method)
    given = None if inputs is None else kind.prepare(model, sample.table(inputs))
    few = None if given is None else sample.of(given)
    answer = _answer(model, kind, method, few, outputs)
    declared = _signature(signature, given, few, answer)
    with _folder(target) as folder:
        with _said_by(kind.name, "cannot be saved", None):
            written = kind.write(saving.Saving(model, folder, few.value if few else None, method, untrusted))
        documents.write(
            folder,
            kind,
            written,
            code=sources,
            sample=few,
            answer=sample.to_json(answer, "outputs"),
            signature=declared,
            metadata=sample.to_json(metadata or {}, "metadata"),
            version=__version__,
        )
        # what it needs is found by trial
        documents.list_requirements(folder, (), ())
        facts = inspect(folder)
        again = None if outputs is not None else lambda: _answer(model, kind, method, few, None)
        lines, dropped, notes = _needed(facts, few, answer, written.libraries, requires, again=again)
        documents.list_requirements(folder, (requirements.MLFLOW, *lines), notes)
    return Saved(
        target, kind.name, written.data, tuple(lines), tuple(sorted(dropped)), (*written.notes, *notes)
    )


def _place(path: str | os.PathLike[str]) -> Path:
    try:
        target = Path(path)
        with suppress(FileNotFoundError, NotADirectoryError):
            target.lstat()
    except (OSError, TypeError, ValueError) as error:
        what = f"cannot be written: {getattr(error, 'strerror', None) or error}"
        raise SpecError(Issue("path", what, "give the path of a folder that is not there yet")) from error
    return target


def _check(target: Path, code: Sequence[Path], requires: Sequence[str] | None, metadata: object) -> None:
    issues = []
    if metadata is not None and not isinstance(metadata, Mapping):
        issues.append(Issue("metadata", f"got a {type(metadata).__name__}, expected values by name"))
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        issues.append(Issue(str(target), "is there already", "save to another path, or remove it"))
    issues += [Issue(str(one), "no such code", "correct the path") for one in code if not one.exists()]
    for one in requires or ():
        if not requirements.is_requirement(one):
            issues.append(Issue("requires", f"got {one!r}, expected a requirement, such as numpy>=2"))
    if issues:
        raise SpecError(*issues)


def _answer(trained: Any, kind: saving.Flavour, method: str, few: sample.Sample | None, outputs: Any) -> Any:
    """Return what the model answers to the sample, or the first rows of what its author says."""
    if few is None or outputs is not None:
        return None if few is None else sample.first_rows(outputs)
    if method != "predict" and not callable(getattr(trained, method, None)):
        raise SpecError(Issue("method", f"the model has no {method!r}", "name one that it has"))
    kinds = f"{type(few.value).__module__.partition('.')[0]}'s {type(few.value).__name__}"
    fix = f"ask it by the first rows of inputs, as {kinds}: it has to answer them, or leave inputs out"
    with _said_by("model", "does not answer the inputs", fix):
        return (
            kind.predict(trained, few.value) if method == "predict" else getattr(trained, method)(few.value)
        )


@contextmanager
def _said_by(where: str, what: str, fix: str | None) -> Iterator[None]:
    """Tell what a model, or its library, says of itself as our own error; its traceback stays the cause."""
    try:
        yield
    except LadingError:
        raise
    except Exception as error:
        said = (str(error).strip().splitlines() or ["no word"])[0][:500]
        raise ModelError(Issue(where, f"{what}: {type(error).__name__}: {said}", fix)) from error


def _signature(
    given: Signature | Mapping[str, Any] | None, inputs: Any, few: sample.Sample | None, answer: Any
) -> Signature | None:
    """Return what is given, also as MLflow has it; else that of the inputs and of what the model answers."""
    if given is None:
        if few is None:
            return None
        # what is missing here and there is told by more than a few rows
        many = sample.first_rows(inputs, _ROWS) if hasattr(few.value, "iloc") else few.value
        found = Signature(memory.fields(many), memory.fields(answer))
        if hasattr(few.value, "iloc") and sample.is_numbered(few.value):
            found = replace(found, inputs=tuple(replace(one, name=None) for one in found.inputs))
        return found if found.inputs else None
    if not isinstance(given, Signature):
        document = given.to_dict() if hasattr(given, "to_dict") else given
        if not isinstance(document, Mapping):
            what = (
                f"got a {type(given).__name__}, expected a Signature, MLflow's, or inputs and outputs by name"
            )
            raise SpecError(Issue("signature", what, "leave it out: it is inferred"))
        given = Signature.from_json({key: _parsed(rows) for key, rows in document.items()})
    if few is not None and hasattr(few.value, "iloc"):
        there = set(map(str, few.value.columns))
        lacking = [one.name for one in given.inputs if one.name and one.required and one.name not in there]
        if lacking:
            what = f"wants {lacking[0]!r}, which inputs has no column of"
            raise SpecError(Issue("signature", what, "correct one of them"))
    return given


def _parsed(rows: Any) -> Any:
    """Return the fields of MLflow's texts."""
    try:
        return json.loads(rows) if isinstance(rows, str) else rows
    except ValueError:
        return rows


@contextmanager
def _folder(target: Path) -> Iterator[Path]:
    """Give a folder beside the target, which becomes it when all has gone well."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise SpecError(Issue(str(target), f"cannot be written: {error.strerror}")) from error
    try:
        yield folder
        folder.chmod(0o755)
        if target.is_dir():
            target.rmdir()
        folder.rename(target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _needed(
    facts: ModelFacts,
    few: sample.Sample | None,
    answer: Any,
    libraries: Sequence[str],
    requires: Sequence[str] | None,
    *,
    again: Callable[[], Any] | None,
) -> tuple[list[str], frozenset[str], list[str]]:
    """Return lines of requirements, what was imported and is not among them, and notes.

    `again` asks the model itself once more; None where its author says what it answers.
    """
    requirements.look_again()
    found = _try(facts, few)
    if found["error"]:
        what = f"what was saved does not {'predict' if few else 'load'}: {found['error']}"
        is_lacking = found["error"].startswith(_IMPORTS)
        fix = "ship modules of your own as code=[…]" if is_lacking else None
        if few and any(str(one) == "category" for one in getattr(few.value, "dtypes", ())):
            fix = "servers give a category as its value: encode it in a pipeline, or by a flavour of your own"
        raise ModelError(Issue(facts.flavour, what, fix))
    if few and (off := _difference(found["value"], sample.to_json(answer))):
        what, fix = (
            "what was saved predicts otherwise than the model itself",
            "give it a flavour of your own: flavour=lading.Flavour(…)",
        )
        if again is None:
            what = "what was saved predicts otherwise than outputs"
            fix = "leave outputs out, to keep what the model answers"
        elif _difference(sample.to_json(again()), sample.to_json(answer)):
            what = "the model answers otherwise each time it is asked"
            fix = "seed what is random in it, or leave inputs out: there is nothing to replay"
        raise ModelError(Issue(facts.flavour, f"{what}: {off}", fix))
    if lacking := requirements.not_installed(found["modules"], facts.root):
        names, paths = (
            ", ".join(sorted(lacking)),
            ", ".join(repr(str(lacking[one])) for one in sorted(lacking)),
        )
        what = f"imports {names}, which is here and comes with no distribution"
        raise ModelError(Issue(facts.flavour, what, f"ship it: code=[{paths}]"))
    if requires is not None:
        return list(requires), frozenset(), []
    shipped = str(facts.root.resolve())
    modules = {name: file for name, file in found["modules"].items() if not file.startswith(shipped)}
    traced = requirements.distributions_of(modules)
    libs = requirements.distributions_of({name: file for name, file in modules.items() if name in libraries})

    def fails_without(names: frozenset[str]) -> str | None:
        tried = _try(facts, few, requirements.modules_of(names))
        # as text, in which NaN is NaN
        return tried["error"] or ("" if few and repr(tried["value"]) != repr(found["value"]) else None)

    kept, dropped = requirements.needed(traced, libs, fails_without)
    lines, notes = requirements.lines(kept)
    return lines, dropped, notes


def _try(facts: ModelFacts, few: sample.Sample | None, without: frozenset[str] = frozenset()) -> Any:
    """Load and predict in a process of its own, where some modules are not to be found."""
    kind, values = _tensors(few.value) if few else ("array", None)
    job = {
        "loader": facts.loader,
        "options": dict(facts.loader_options),
        "path": str(facts.root),
        "code": str(facts.code) if facts.code else None,
        "kind": kind,
        "sample": values,
        "without": sorted(without),
    }
    with tempfile.TemporaryDirectory(prefix="lading-save-") as folder:
        asked, answered = Path(folder, "job"), Path(folder, "answer")
        asked.write_bytes(pickle.dumps(job))
        command = [sys.executable, "-m", "lading_runtime.trial", str(asked), str(answered)]
        # the author's own modules are found where this process finds them
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        try:
            ended = subprocess.run(
                command, env=environ, capture_output=True, timeout=_PATIENCE_S, check=False, text=True
            )
        except subprocess.TimeoutExpired:
            return {"error": f"it took longer than {_PATIENCE_S} s", "modules": {}, "value": None}
        if not answered.is_file():
            last = (ended.stderr.strip().splitlines() or ["no word"])[-1]
            return {
                "error": f"its process ended with {ended.returncode}: {last}",
                "modules": {},
                "value": None,
            }
        # written by the process that was started, of the author's own model
        return pickle.loads(answered.read_bytes())  # noqa: S301


def _tensors(value: Any) -> tuple[str, list[tuple[str, str | None, list[int], bytes, dict[str, str]]]]:
    """Return the kind of a sample's request and its tensors: name, datatype (None: JSON), shape and bytes."""
    import numpy as np

    if hasattr(value, "iloc"):
        kind, arrays = "frame", {str(name): value[name].to_numpy() for name in value.columns}
    elif isinstance(value, Mapping):
        kind, arrays = "tensors", {str(name): np.asarray(one) for name, one in value.items()}
    else:
        kind, arrays = "array", {"input-0": np.asarray(value)}
    return kind, [(name, *_tensor(one)) for name, one in arrays.items()]


def _tensor(array: Any) -> tuple[str | None, list[int], bytes, dict[str, str]]:
    """Return datatype, shape, bytes, and what the values are where JSON does not tell."""
    import numpy as np

    one = array.astype(np.float32) if array.dtype == np.float16 else array
    shape = list(one.shape)
    if one.dtype.kind == "M":
        return None, shape, json.dumps(np.datetime_as_string(one).tolist()).encode(), {"type": "datetime"}
    datatype = OIP.get(one.dtype.name) if one.dtype.kind in "biuf" else None
    data = one.tobytes() if datatype else json.dumps(sample.to_json(one)).encode()
    return datatype, shape, data, {}


def _difference(got: Any, expected: Any) -> str | None:
    """Compare leaf by leaf, however rows are held; return the first that differs by more than rounding."""
    ours, theirs = list(leaves(got)), list(leaves(expected))
    if len(ours) != len(theirs):
        return f"{len(ours)} values instead of {len(theirs)}"
    for one, other in zip(ours, theirs, strict=True):
        if isinstance(one, (int, float)) and isinstance(other, (int, float)):
            if one == one and abs(one - other) > 1e-5 * (1 + abs(other)):  # noqa: PLR0124 - NaN
                return f"{one!r} instead of {other!r}"
        elif other is not None and _text(one) != _text(other):
            return f"{one!r} instead of {other!r}"
    return None


def _text(value: Any) -> str:
    """Return what can be compared: a time to the second, for JSON writes them otherwise than pandas does."""
    text: str = value.isoformat() if hasattr(value, "isoformat") else str(value)
    return text[:19] if _TIME.match(text) else text
