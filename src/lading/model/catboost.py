"""A model of CatBoost (cbm, or exported as JSON): its file in, facts out; nothing is loaded.

A cbm file is `CBM1`, a length, and a flatbuffer (catboost/libs/model/flatbuffers/model.fbs), which is walked
in place: it tells the features, and, as JSON, what the model was trained for and by which release.
"""

from __future__ import annotations

import json
import mmap
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lading.core.errors import Issue, ModelError
from lading.core.model import ModelFacts, ModelFile
from lading.core.signature import Field, Signature
from lading.model import select
from lading.model.flavour import Flavour, Lean
from lading.model.plain import any_file, facts_of, library, only_file, start_of, truths_of
from lading.model.request import Request

_MAGIC = b"CBM1"
_JSON = re.compile(rb'\s*\{\s*"(?:ctr_data|features_info|model_info)"\s*:')
_VERSION = re.compile(r"(?:tags/v|release )(\d+(?:\.\d+)+)")
_MOST = 1_000_000
# a table's fields by number, as model.fbs has them
_TREES, _INFO = 1, 2
_DIMENSION = 0
_FEATURES = {"float": (5, 2, 4), "cat": (4, 1, 2), "text": (12, 1, 2), "embedding": (18, 1, 2)}
"""A kind of features → its list among the trees; in each the place among all, and the name."""
_KINDS = {"float": "double", "cat": "any", "text": "string", "embedding": "array"}
_IN_JSON = {"float": "float_features", "cat": "categorical_features", "text": "text_features"}
_CLASSIFYING = (
    *("Logloss", "CrossEntropy", "MultiClass", "MultiClassOneVsAll"),
    *("MultiLogloss", "MultiCrossEntropy"),
)
_RANKING = (
    *("YetiRank", "PairLogit", "QueryRMSE", "QuerySoftMax", "QueryCrossEntropy"),
    *("StochasticRank", "LambdaMart", "StochasticFilter", "GroupQuantile", "UserQuerywiseMetric"),
)
_LABELS = {"Integer": "int64", "Float": "float64"}


@dataclass(frozen=True, slots=True)
class _Told:
    """What a file tells: features as kind and name, by their places."""

    features: Mapping[int, tuple[str, str]]
    dimension: int
    info: Mapping[str, Any]

    @property
    def loss(self) -> str:
        """Name what it was trained for; empty where the file does not say."""
        loss = (self.info.get("params") or {}).get("loss_function") or {}
        return str(loss.get("type") or "")

    @property
    def version(self) -> str | None:
        """Tell the release that saved it."""
        found = _VERSION.search(str(self.info.get("catboost_version_info") or ""))
        return found[1] if found else None

    @property
    def kind(self) -> str:
        """Name the class whose `predict` it was trained for."""
        if self.loss in _CLASSIFYING:
            return "CatBoostClassifier"
        if self.loss.startswith(_RANKING):
            return "CatBoostRanker"
        is_known = self.loss and not self.loss.startswith(("PythonUserDefined", "UserPer"))
        return "CatBoostRegressor" if is_known else "CatBoost"


def recognise(request: Request) -> bool:
    """Tell whether the path is, or holds, a model of CatBoost."""
    return any_file(request, lambda file: _form(file) is not None)


def inspect(request: Request) -> ModelFacts:
    """Tell the facts of the one model of CatBoost; raise ModelError for several, or a broken one."""
    file = only_file(request, lambda one: _form(one) is not None, "models of CatBoost")
    form = _form(file)
    try:
        told = _flatbuffer(file) if form == "cbm" else _document(file)
        signature = _signature(told)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, struct.error, OSError) as error:
        what = f"is no model of CatBoost that can be read: {error}"
        raise ModelError(Issue(file.path, what, "copy or save the model again")) from error
    return facts_of(
        request,
        form="catboost",
        name=told.kind,
        loader="catboost",
        options={"file": file.path, "class": told.kind, "format": form, **truths_of(signature)},
        requirements=(library("catboost", told.version),),
        modules=("catboost",),
        framework="catboost",
        version=told.version,
        signature=signature,
        notes=tuple(filter(None, (form, told.loss and f"trained for {told.loss}"))),
    )


def by_mlflow(given: Flavour) -> Lean | None:
    """Load a model of the class that MLflow names."""
    file = given.file(given.settings.get("data"), given.pyfunc.get("data"))
    if file is None:
        return None
    options = {
        "file": file,
        "class": given.settings.get("model_type") or "CatBoost",
        "format": given.settings.get("save_format") or "cbm",
    }
    return Lean("catboost", options, (given.pandas,) if given.has_words else ())


def _form(file: ModelFile) -> str | None:
    start = start_of(file)
    if start.startswith(_MAGIC):
        return "cbm"
    return "json" if _JSON.match(start) else None


def _flatbuffer(file: ModelFile) -> _Told:
    with (
        file.source.open("rb") as stream,
        mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data,
    ):
        (size,) = struct.unpack_from("<I", data, len(_MAGIC))
        if size > len(data) - 8:
            raise ValueError("it ends too early")
        root = _Table(data, 8 + struct.unpack_from("<I", data, 8)[0])
        trees = root.table(_TREES)
        features = {}
        for kind, (number, place, name) in _FEATURES.items():
            for one in trees.tables(number):
                features[one.number(place, -1)] = (kind, one.text(name))
        info = {one.text(0): one.text(1) for one in root.tables(_INFO)}
        documents = {key: json.loads(info[key]) for key in ("params", "class_params") if info.get(key)}
        return _Told(features, trees.number(_DIMENSION, 1), {**info, **documents})


class _Table:
    """A table of a flatbuffer, in place; every offset is bounded by the data."""

    def __init__(self, data: mmap.mmap, at: int) -> None:
        self._data, self._at = data, at
        self._fields = at - self._read("<i", at)

    def _read(self, form: str, at: int) -> int:
        if at < 0:
            raise ValueError("an offset leads before the start")
        value: int = struct.unpack_from(form, self._data, at)[0]
        return value

    def _place(self, number: int) -> int | None:
        """Tell where a field lies; None where it is left out."""
        if 4 + 2 * number >= self._read("<H", self._fields):
            return None
        offset = self._read("<H", self._fields + 4 + 2 * number)
        return self._at + offset if offset else None

    def number(self, number: int, default: int) -> int:
        place = self._place(number)
        return default if place is None else self._read("<i", place)

    def text(self, number: int) -> str:
        place = self._place(number)
        if place is None:
            return ""
        at = place + self._read("<I", place)
        size = self._read("<I", at)
        if size > len(self._data) - at - 4:
            raise ValueError("a text is longer than the file")
        return self._data[at + 4 : at + 4 + size].decode()

    def table(self, number: int) -> _Table:
        place = self._place(number)
        if place is None:
            raise ValueError(f"it has no field {number}")
        return _Table(self._data, place + self._read("<I", place))

    def tables(self, number: int) -> Iterator[_Table]:
        place = self._place(number)
        if place is None:
            return
        at = place + self._read("<I", place)
        count = self._read("<I", at)
        if count > min(_MOST, len(self._data) // 4):
            raise ValueError(f"got {count} parts in a list")
        for index in range(count):
            each = at + 4 + 4 * index
            yield _Table(self._data, each + self._read("<I", each))


def _document(file: ModelFile) -> _Told:
    lists = {kind: ("features_info", name) for kind, name in _IN_JSON.items()}
    info = ("params", "class_params", "catboost_version_info")
    scale = ("scale_and_bias",)
    with file.source.open("rb") as stream:
        found = select.from_json(stream, [*lists.values(), *(("model_info", one) for one in info), scale])
    features = {
        int(one["flat_feature_index"]): (kind, str(one.get("feature_id") or ""))
        for kind, path in lists.items()
        for one in found.get(path) or ()
    }
    return _Told(features, len(found[scale][1]), {one: found.get(("model_info", one)) for one in info})


def _signature(told: _Told) -> Signature | None:
    if not told.features or sorted(told.features) != list(range(len(told.features))):
        return None  # some are left out of the file
    rows = [told.features[index] for index in range(len(told.features))]
    # names that CatBoost makes up for lack of others are none
    named = [name if name != str(index) else "" for index, (_, name) in enumerate(rows)]
    if not any(named) and {kind for kind, _ in rows} == {"float"}:
        inputs: tuple[Field, ...] = (Field("tensor", dtype="float64", shape=(-1, len(rows))),)
    else:
        inputs = tuple(
            _field(kind, name or (str(index) if any(named) else None))
            for index, ((kind, _), name) in enumerate(zip(rows, named, strict=True))
        )
    return Signature(inputs, _outputs(told))


def _field(kind: str, name: str | None) -> Field:
    nested = {"items": {"type": "double"}} if kind == "embedding" else {}
    return Field(_KINDS[kind], name, nested=nested)


def _outputs(told: _Told) -> tuple[Field, ...]:
    if told.kind != "CatBoostClassifier":
        each = (told.dimension,) if told.dimension > 1 else ()
        return (Field("tensor", dtype="float64", shape=(-1, *each)),)
    if told.loss.startswith("MultiLog") or told.loss == "MultiCrossEntropy":
        return (Field("tensor", dtype="int64", shape=(-1, told.dimension)),)
    label = str((told.info.get("class_params") or {}).get("class_label_type"))
    if label == "String":
        return (Field("string"),) if told.dimension == 1 else ()
    if label not in _LABELS:
        return ()
    shape = (-1, 1) if told.dimension > 1 else (-1,)
    return (Field("tensor", dtype=_LABELS[label], shape=shape),)
