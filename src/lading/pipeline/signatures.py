"""Data, code, a model, a package or a document goes in; its signature comes out, in any notation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from lading import model, spec
from lading.core.errors import Issue, ModelError, SpecError
from lading.core.model import ModelFacts
from lading.core.signature import Signature
from lading.core.tracked import is_tracked
from lading.pipeline import foreign, tracked
from lading.pipeline.context import Context
from lading.pipeline.plan import inspect, plan
from lading.signature import NOTATIONS, Converted, Loss, data, hints

_MLFLOW, _JSON_SCHEMA, _TORCHSCRIPT = "mlflow", "json-schema", "torchscript"
_OF_TRITON = "give its metadata (GET /v2/models/NAME), or the model itself"
_DOCUMENTS = {".json", ".yaml", ".yml", ".txt", ""}


@dataclass(frozen=True, slots=True)
class Told:
    """A signature, and what people should know of how it came about."""

    signature: Signature
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values; `signature` is what lading.yaml has."""
        return {"signature": NOTATIONS[_MLFLOW].write(self.signature).value, "notes": list(self.notes)}


def infer(context: Context, target: str, outputs: Path | None = None, params: str | None = None) -> Told:
    """Infer a signature of a file of data, of `file.py:function`, or of a model.

    `outputs` is a file of predictions, `params` the JSON of parameters' defaults, or a file of it. Raises
    SpecError for what is no data, ModelError for a model that tells nothing.
    """
    found = _of(context, target)
    inputs, answers, given = found.signature.inputs, found.signature.outputs, found.signature.params
    notes = list(found.notes)
    if outputs is not None:
        of_outputs = data.infer(outputs)
        answers = of_outputs.fields
        notes += [f"outputs: {one}" for one in of_outputs.notes]
    if params is not None:
        given = data.params(_params(params), "--params")
    signature = Signature(inputs, answers, given)
    if signature == Signature():
        raise ModelError(
            Issue(target, "tells no signature", "infer it of data: lading signature infer rows.csv")
        )
    return Told(signature, tuple(notes))


def _of(context: Context, target: str) -> Told:
    path = Path(target)
    file, _, _ = target.partition(":")
    if file.endswith(".py") and not (path.exists() and ":" in target):
        return _of_routine(Path(file), target)
    is_data = path.suffix.lower() in data.SUFFIXES and not path.is_dir()
    if is_data and not (path.suffix == ".json" and path.is_file() and model.is_known(path)):
        inferred = data.infer(path)
        return Told(Signature(inferred.fields), inferred.notes)
    return _of_facts(_inspected(context, target), target)


def _inspected(context: Context, target: str) -> ModelFacts:
    """Inspect a model, one that a tracking server keeps too."""
    return inspect(tracked.bring(context, plan(target)))


def _of_routine(file: Path, target: str) -> Told:
    _, _, name = target.partition(":")
    facts = model.inspect(file, entry=f"{file.name}:{name}" if name else None)
    return _of_facts(facts, target)


def _of_facts(facts: ModelFacts, target: str) -> Told:
    """Take what the model tells; of a routine, what its hints say."""
    if facts.signature is not None:
        return Told(facts.signature, model.dimensions(facts))
    if facts.entry is None or facts.code is None:
        fix = "infer it of data: lading signature infer rows.csv"
        raise ModelError(Issue(target, "tells no signature", fix))
    found = hints.read(facts.code if facts.code.is_dir() else facts.code.parent, facts.entry)
    return Told(found.value, tuple(map(str, found.losses)))


def hinted(facts: ModelFacts) -> ModelFacts:
    """Return facts of a routine with what its hints say, for people: its server reads them by itself."""
    if facts.signature is not None or facts.entry is None or facts.code is None:
        return facts
    try:
        found = _of_facts(facts, facts.flavour).signature
    except ModelError:
        return facts
    return replace(facts, signature=found) if found.inputs else facts


def _params(text: str) -> Any:  # noqa: ANN401 - any JSON value
    try:
        path = Path(text)
        is_file = not text.lstrip().startswith("{") and path.is_file()
        return json.loads(path.read_text(encoding="utf-8") if is_file else text)
    except (ValueError, OSError, RecursionError) as error:
        raise SpecError(Issue("--params", f"no JSON, and no file of it: {error}")) from error


def show(context: Context, target: str) -> Told:
    """Find the signature of a model, a spec file or a package; raise ModelError where it has none."""
    path = Path(target)
    if path.exists() or is_tracked(target):
        return _of_facts(_inspected(context, target), target)
    found = foreign.look(context, target)
    bill = None if isinstance(found, foreign.Foreign) else found.bill
    if bill is None or bill.model.signature is None:
        what = "is no package of lading's" if bill is None else "has no signature"
        fix = None if bill is None else "write one in lading.yaml; lading signature infer prints it"
        raise ModelError(Issue(target, what, fix))
    return Told(bill.model.signature)


@dataclass(frozen=True, slots=True)
class Written:
    """A signature in a notation."""

    notation: str
    value: Any
    losses: tuple[Loss, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        losses = [{"where": one.where, "what": one.what} for one in self.losses]
        return {"notation": self.notation, "value": self.value, "losses": losses}


def convert(context: Context, target: str, to: str, of: str | None = None) -> Written:
    """Write a signature in another notation: that of a document, or of a model or package."""
    read = _document(context, target, of)
    written = NOTATIONS[to].write(read.value)
    return Written(to, written.value, tuple(dict.fromkeys((*read.losses, *written.losses))))


def _document(context: Context, target: str, of: str | None) -> Converted[Signature]:
    path = Path(target)
    is_python = target.partition(":")[0].endswith(".py")
    if is_python or (path.suffix in data.SUFFIXES and path.suffix not in _DOCUMENTS):
        return _converted(_of(context, target))
    is_document = path.exists() and not path.is_dir()  # which a pipe is, too
    if path.suffix == ".pbtxt" and is_document:
        raise SpecError(Issue(target, "is a configuration of Triton's, and no signature", _OF_TRITON))
    if not is_document or (of is None and path.suffix not in _DOCUMENTS):
        return _converted(show(context, target))
    text = spec.read_text(path)
    document = text if of == _TORCHSCRIPT else spec.parse_document(text, target)
    if isinstance(document, str):
        document = text
    if isinstance(document, Mapping) and of is None:
        _refuse_kin(document, target)
    inner = document.get("signature") if isinstance(document, Mapping) else None
    if (
        isinstance(document, Mapping)
        and not isinstance(inner, Mapping)
        and {"model", "code"} & document.keys()
    ):
        return _converted(show(context, target))  # a lading.yaml, whose model tells it
    if isinstance(inner, Mapping):  # lading.yaml, MLmodel, or what `lading signature --json` prints
        document = inner
    elif isinstance(document, Mapping) and {"notation", "value"} <= document.keys():
        of, document = of or document["notation"], document["value"]
    notation = NOTATIONS.get(of or _notation(document))
    if notation is None:
        raise SpecError(Issue(target, f"got notation {of!r}, expected one of {', '.join(NOTATIONS)}"))
    return notation.read(document, target)


def _converted(told: Told) -> Converted[Signature]:
    """Take what is noted of a signature for what it does not keep."""
    lost = (note.partition(": ") for note in told.notes)
    return Converted(told.signature, tuple(Loss(where, what) for where, _, what in lost))


def _refuse_kin(document: Mapping[str, Any], target: str) -> None:
    """Raise SpecError for what describes a server or a deployment, and says where a signature is."""
    if {"openapi", "swagger"} & document.keys():
        fix = "give the schema of a request's data in it, such as one of components.schemas, as a file"
        raise SpecError(Issue(target, "is a description of a server (OpenAPI), and no signature", fix))
    rows = [
        row for part in ("input", "output") for row in document.get(part) or () if isinstance(row, Mapping)
    ]
    if any("data_type" in row and "dims" in row for row in rows):
        raise SpecError(Issue(target, "is a configuration of Triton's, and no signature", _OF_TRITON))


def _notation(document: object) -> str:  # noqa: PLR0911 - a line per notation
    """Tell by its keys what a document is."""
    if isinstance(document, str):
        return _TORCHSCRIPT
    if not isinstance(document, Mapping):
        return _MLFLOW
    if "input" in document or "output" in document:
        return "onnx"
    if {"metadata", "signature_def", "methodName", "method_name"} & document.keys():
        return "saved-model"
    if {"$schema", "$ref", "type", "properties", "anyOf", "allOf"} & document.keys():
        return _JSON_SCHEMA
    parts = [document.get(key) for key in ("inputs", "outputs")]
    if any(isinstance(part, Mapping) for part in parts):
        return "saved-model"
    rows = [row for part in parts if isinstance(part, list) for row in part if isinstance(row, Mapping)]
    return "oip" if any("datatype" in row for row in rows) else _MLFLOW


def as_text(document: Mapping[str, Any]) -> str:
    """Print a signature in MLflow's grammar as lading.yaml has it, ready to be pasted there."""
    # what ends a line in YAML alone, or cannot be seen, is spelled
    plain = json.dumps(document, ensure_ascii=False).isprintable()
    return yaml.safe_dump(
        {"signature": document}, sort_keys=False, allow_unicode=plain, default_flow_style=None, width=100
    ).rstrip("\n")
