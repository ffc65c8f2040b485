"""A model of XGBoost in a file of its own (UBJSON, JSON, the old binary format): facts out, nothing loaded.

The file tells names and types of the features, the objective and the number of classes; one that an estimator
of scikit-learn's kind saved tells which (`attributes.scikit_learn`), and is loaded as that: it gives labels.
"""

from __future__ import annotations

import json
import re
import struct
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from typing import Any

from lading.core.errors import Issue, ModelError
from lading.core.model import ModelFacts, ModelFile, Requirement
from lading.core.signature import Field, Signature
from lading.model import select
from lading.model.flavour import SKLEARN, Flavour, Lean
from lading.model.plain import any_file, facts_of, library, only_file, start_of, truths_of
from lading.model.request import Request

_JSON = re.compile(rb'\s*\{\s*("version"\s*:\s*\[[\d,\s]*\]\s*,\s*)?"learner"\s*:\s*\{')
_UBJSON = re.compile(rb"\{(?:[iU]\x07|L\0{7}\x07)(?:learner\{|version\[)", re.DOTALL)
_HEADER = struct.Struct("<fIiiiIII")
"""LearnerModelParamLegacy: base score, features, classes, attributes, metrics, major, minor, targets."""
_HEADER_BYTES = 136
_OBJECTIVE = re.compile(rb"[a-z]+:[a-z0-9_]+\Z")
_BOOSTERS = (b"gbtree", b"gblinear", b"dart")
_KIND = re.compile(rb'"_estimator_type": "(\w+)"')
_TAIL_BYTES = 1 << 20
_CLASSES = {"classifier": "XGBClassifier", "regressor": "XGBRegressor", "ranker": "XGBRanker"}
_TYPES = {"int": "long", "i": "boolean"}
_CATEGORY = "c"
_LEARNER = ("learner",)
_PARAMETERS = (*_LEARNER, "learner_model_param")
_CATEGORIES = tuple(
    (*_LEARNER, "gradient_booster", *inner, "model", "cats", "enc") for inner in ((), ("gbtree",))
)
_VERSION = ("version",)
_ATTRIBUTES, _NAMES, _KINDS = ((*_LEARNER, key) for key in ("attributes", "feature_names", "feature_types"))
_OBJECTIVE_NAME = (*_LEARNER, "objective", "name")
_ASKED = (_VERSION, _ATTRIBUTES, _NAMES, _KINDS, _OBJECTIVE_NAME, _PARAMETERS, *_CATEGORIES)


@dataclass(frozen=True, slots=True)
class _Told:
    """What a file tells."""

    objective: str
    features: int
    classes: int
    targets: int
    version: str | None = None
    estimator: str | None = None
    labels: tuple[Any, ...] = ()
    """The classes that an older estimator gives, where they are no numbers."""
    names: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    categories: tuple[str | None, ...] = ()
    """For each feature the type of its categories, where the file has them."""


def recognise(request: Request) -> bool:
    """Tell whether the path is, or holds, a model of XGBoost."""
    return any_file(request, lambda file: _form(file) is not None)


def inspect(request: Request) -> ModelFacts:
    """Tell the facts of the one model of XGBoost; raise ModelError for several, or a broken one."""
    file = only_file(request, lambda one: _form(one) is not None, "models of XGBoost")
    form = _form(file)
    try:
        told = _binary(file) if form == "binary" else _document(file, form == "ubj")
        signature = _signature(told)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OSError) as error:
        what = f"is no model of XGBoost that can be read: {error}"
        raise ModelError(Issue(file.path, what, "copy or save the model again")) from error
    name = _CLASSES.get(told.estimator or "", "Booster")
    kind = f"xgboost.{'core' if name == 'Booster' else 'sklearn'}.{name}"
    options: dict[str, Any] = {"file": file.path, "class": kind, **truths_of(signature)}
    categories = [one for one, kind in zip(told.names, told.categories, strict=False) if kind]
    if categories:
        options["categories"] = categories
    if PurePosixPath(file.path).suffix.lower() in {".json", ".ubj"} - {f".{form}"}:
        options["by_content"] = True
    needed = [_required(told.version, form)]
    if name != "Booster":
        needed.append(_scikit_learn(told.version))
    if categories:
        needed.append(Requirement("pandas", "file"))
    return facts_of(
        request,
        form="xgboost",
        name=name,
        loader="xgboost",
        options=options,
        requirements=needed,
        modules=("xgboost",),
        framework="xgboost",
        version=told.version,
        signature=signature,
        notes=_notes(told, form),
    )


def by_mlflow(given: Flavour) -> Lean | None:
    """Load a Booster, or an estimator, as MLflow does."""
    file = given.file(given.settings.get("data"), given.pyfunc.get("data"))
    kind = str(given.settings.get("model_class") or "xgboost.core.Booster")
    if file is None or kind.partition(".")[0] != "xgboost":
        return None
    needed = [given.pandas] if given.has_words else []
    if kind.startswith("xgboost.sklearn."):
        needed.append(SKLEARN)
    options: dict[str, Any] = {"file": file, "class": kind}
    if given.signature and given.signature.params:
        options["params"] = True
    return Lean("xgboost", options, tuple(needed))


def _form(file: ModelFile) -> str | None:
    """Tell how a file was written, None where it is no model of XGBoost."""
    start = start_of(file)
    if _UBJSON.match(start):
        return "ubj"
    if _JSON.match(start):
        return "json"
    return "binary" if _objective(start) else None


def _objective(start: bytes) -> str | None:
    """Find the objective behind the header of the binary format, before the name of the booster."""
    at = _HEADER_BYTES + (4 if start.startswith(b"binf") else 0)
    texts = []
    for _ in range(2):
        if len(start) < at + 8:
            return None
        (length,) = struct.unpack_from("<Q", start, at)
        if length > 64:
            return None
        texts.append(start[at + 8 : at + 8 + length])
        at += 8 + length
    return texts[0].decode() if _OBJECTIVE.match(texts[0]) and texts[1] in _BOOSTERS else None


def _binary(file: ModelFile) -> _Told:
    """Read the header of the binary format; before 1.0 it had no version in it."""
    start = start_of(file)
    at = 4 if start.startswith(b"binf") else 0
    _, features, classes, attributes, _, major, minor, targets = _HEADER.unpack_from(start, at)
    tail = b""
    if attributes:
        with file.source.open("rb") as stream:
            stream.seek(max(0, file.size_bytes - _TAIL_BYTES))
            tail = stream.read(_TAIL_BYTES)
    found = _KIND.search(tail)
    return _Told(
        _objective(start) or "",
        features,
        classes,
        targets if (major, minor) >= (1, 6) else 1,
        f"{major}.{minor}" if major else None,
        found[1].decode() if found else None,
    )


def _document(file: ModelFile, is_ubj: bool) -> _Told:  # noqa: FBT001 - internal
    read = partial(select.from_ubjson, size_bytes=file.size_bytes) if is_ubj else select.from_json
    with file.source.open("rb") as stream:
        found = read(stream, wanted=_ASKED)
    parameters = found[_PARAMETERS]
    wrapper = json.loads((found.get(_ATTRIBUTES) or {}).get("scikit_learn") or "{}")
    version = found.get(_VERSION)
    encoded: list[dict[str, Any]] = next((found[one] for one in _CATEGORIES if found.get(one)), [])
    return _Told(
        str(found[_OBJECTIVE_NAME]),
        int(parameters["num_feature"]),
        int(parameters["num_class"]),
        int(parameters.get("num_target") or 1),
        ".".join(str(int(one)) for one in version) if version and version[0] > 0 else None,
        wrapper.get("_estimator_type"),
        tuple(wrapper.get("classes_") or ()),
        tuple(map(str, found.get(_NAMES) or ())),
        tuple(map(str, found.get(_KINDS) or ())),
        tuple(map(_category, encoded)),
    )


def _category(encoded: dict[str, Any]) -> str | None:
    """Tell the type of a feature's categories: texts have offsets, numbers a type."""
    if encoded.get("offsets"):
        return "string"
    return "long" if encoded.get("type") else None


def _signature(told: _Told) -> Signature | None:
    if not 0 < told.features <= 1_000_000:
        return None
    if told.names and len(told.names) != told.features:
        raise ValueError(f"{len(told.names)} names for {told.features} features")
    if not told.names:
        inputs: tuple[Field, ...] = (Field("tensor", dtype="float64", shape=(-1, told.features)),)
    else:
        types = told.types or ("",) * told.features
        categories = told.categories or (None,) * told.features
        kinds = [
            _TYPES.get(one, "double") if one != _CATEGORY else kind or "double"
            for one, kind in zip(types, categories, strict=True)
        ]
        inputs = tuple(Field(kind, name) for kind, name in zip(kinds, told.names, strict=True))
    return Signature(inputs, _outputs(told))


def _outputs(told: _Told) -> tuple[Field, ...]:
    targets = (told.targets,) if told.targets > 1 else ()
    if told.estimator == "classifier":
        if told.labels and all(isinstance(one, str) for one in told.labels):
            return (Field("string"),)
        is_known = told.objective.startswith(("binary:", "multi:"))
        return (Field("tensor", dtype="int64", shape=(-1, *targets)),) if is_known else ()
    each = (told.classes,) if told.classes > 1 and told.objective != "multi:softmax" else targets
    return (Field("tensor", dtype="float32", shape=(-1, *each)),)


def _required(version: str | None, form: str | None) -> Requirement:
    """Require the version that the file tells; the binary format was read up to 3.0."""
    if form == "binary":
        return Requirement(f"xgboost>={version},<3.1" if version else "xgboost<3.1", "file")
    return library("xgboost", version)


def _scikit_learn(version: str | None) -> Requirement:
    """Bound scikit-learn where its estimators have become others than that XGBoost knows."""
    is_old = version is not None and _release(version) < (3, 1)
    return Requirement("scikit-learn<1.6" if is_old else "scikit-learn", "file")


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(one) for one in version.split(".")[:2])


def _notes(told: _Told, form: str | None) -> tuple[str, ...]:
    notes = [f"objective {told.objective}"]
    if form == "binary":
        what = "binary, deprecated: XGBoost 3.0 is the last that reads it; save it with that as .ubj"
        return (what, *notes)
    written = {"ubj": "UBJSON", "json": "JSON"}[form or "json"]
    if _CATEGORY in told.types and not any(told.categories):
        notes.append("categories are asked for by their numbers: the file has no names for them")
    return (written, *notes)
