"""`lading.yaml`, the native dialect: text → PackageSpec.

`Document` is the grammar: its types drive the reader, the JSON Schema and the did-you-means. Keys carry
Azure ML's names where Azure has one. Everything is optional that can be inferred.
"""

from __future__ import annotations

import csv
import difflib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from lading.core import accelerator
from lading.core.bases import BaseName
from lading.core.errors import LadingError, SpecError
from lading.core.platform import Platform
from lading.core.reference import Reference
from lading.core.spec import (
    CREDENTIALS_FIX,
    DISTRIBUTION,
    DISTRIBUTIONS,
    PYTHONS,
    TOLERANT,
    CompileWay,
    Example,
    Indexes,
    LoaderWay,
    Mode,
    PackageSpec,
    ServerName,
    index_problem,
)
from lading.core.tracked import ModelURI, is_tracked
from lading.spec import server
from lading.spec.inputs import InputText, inputs, sources
from lading.spec.server import ServerText
from lading.spec.signature import signature
from lading.spec.typed import Reader, read_text

FILE_NAME = "lading.yaml"
_PYTHON = re.compile(r"(3\.\d{1,2})(?:\.\d+)?\Z")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_ENTRY = re.compile(r"(?:[^:]+\.py(?::[A-Za-z_]\w*)?|saved_model\.pb:.+)\Z")


@dataclass(frozen=True, slots=True)
class IndexesText:
    """Python package indexes. Credentials come from the environment, netrc or a keyring, never from here."""

    url: Annotated[str | None, "the main index, in place of the configured one"] = None
    extra: Annotated[
        tuple[str, ...], "further indexes, asked first; NAME=URL for credentials in UV_INDEX_NAME_PASSWORD"
    ] = ()
    find_links: Annotated[tuple[str, ...], "folders or pages of wheels"] = ()


@dataclass(frozen=True, slots=True)
class ExampleText:
    """A request to replay when the package is verified."""

    inputs: Annotated[Any, "what a client sends: a .json or .csv file, or the value itself"]
    outputs: Annotated[Any, "the predictions to expect: a .json or .csv file, or the value itself"] = None
    tolerance: Annotated[float, "how far a number may be off, relative or absolute"] = 1e-6


@dataclass(frozen=True, slots=True)
class Document:
    """The keys of lading.yaml."""

    name: Annotated[str | None, "name of the package, such as iris"] = None
    version: Annotated[str | None, "version of the package, such as 1"] = None
    description: Annotated[str | None, "one sentence for people"] = None
    tags: Annotated[Mapping[str, str], "labels of your own"] = field(default_factory=dict)
    model: Annotated[
        str | None,
        "file or folder of the model, or where MLflow keeps it: models:/NAME/VERSION, runs:/RUN/PATH",
    ] = None
    base: Annotated[
        str | None,
        "debian:bookworm (default), debian:bullseye, debian:trixie, or an image: python:3.12-slim, "
        "oci:PATH, oci-archive:PATH, docker-archive:PATH, ./PATH, environment:NAME",
    ] = None
    accelerator: Annotated[
        str | None, "what PyTorch's builds are for: cpu, cu118 to cu132, rocm6.0 to rocm7.2, xpu"
    ] = None
    python: Annotated[str | None, "Python version of the model's environment, such as 3.11"] = None
    requirements: Annotated[
        str | tuple[str, ...] | None,
        "a list, or a path: requirements.txt, pyproject.toml, pylock.toml, conda.yaml",
    ] = None
    drop: Annotated[
        tuple[str, ...], "libraries that serving does not need, with all that only they require"
    ] = ()
    keep: Annotated[
        tuple[str, ...], "libraries that are not tried to be left out; matplotlib*, or * for all"
    ] = ()
    conda: Annotated[
        Literal["map", "solve"], "packages of a conda.yaml: map them to wheels, or solve them as conda does"
    ] = "map"
    system_packages: Annotated[
        tuple[str, ...],
        "packages of Debian or Ubuntu that the model needs; what the base has is not added again",
    ] = ()
    indexes: Annotated[IndexesText, "where Python packages come from"] = field(default_factory=IndexesText)
    code: Annotated[str | None, "file or folder of the inference routine"] = None
    entry: Annotated[
        str | None,
        "file.py (init and run), file.py:function, file.py:Class, in code; saved_model.pb:SIGNATURE",
    ] = None
    loader: Annotated[
        LoaderWay,
        "what loads an MLflow model: lean (without MLflow, where that is the same) or mlflow itself",
    ] = "lean"
    server: Annotated[ServerName | ServerText, "inference server: its name, or its type and settings"] = (
        "lading"
    )
    environment_variables: Annotated[Mapping[str, str], "set in the image; never put a secret here"] = field(
        default_factory=dict
    )
    mode: Annotated[
        Mode, "copy: the model is in the image (default); download: it is fetched and verified at start"
    ] = "copy"
    model_source: Annotated[
        str | tuple[str, ...] | None,
        "where it is downloaded from: oci://HOST/PATH, https://, s3://, gs://, az:// or file://, with a / at "
        "the end for a folder; default: where the package is pushed to",
    ] = None
    signature: Annotated[
        Any,
        "inputs, outputs and params, each a list in MLflow's grammar, or a .json or .yaml file of them; "
        "default: what the model tells",
    ] = None
    inputs: Annotated[tuple[InputText, ...], "further files and folders, copied or downloaded"] = ()
    assets: Annotated[tuple[str, ...], "further files and folders, found in /opt/lading/assets"] = ()
    example: Annotated[
        ExampleText | tuple[ExampleText, ...] | None, "requests to replay, with the outputs to expect"
    ] = None
    platforms: Annotated[tuple[str, ...], "such as linux/amd64; default: this machine's"] = ()
    allow_unsafe: Annotated[tuple[str, ...], "globals in the pickle that you accept, as module.name"] = ()
    slim: Annotated[
        bool, "leave out of wheels what nothing needs that runs: tests, sources, static libraries, docs"
    ] = False
    compile: Annotated[
        CompileWay,
        "serve the model without its libraries: auto (default; where that is bit-identical and faster), off, "
        "or, within compile_tolerance, onnx (what ONNX Runtime answers) or treelite (ensembles of trees)",
    ] = "auto"
    compile_tolerance: Annotated[
        float | None, "how far a number may be off with onnx or treelite, relative or absolute"
    ] = None


def load(path: Path) -> PackageSpec:
    """Read a spec file; raise SpecError with all its issues, each with line and column."""
    return parse(read_text(path), path)


def parse(text: str, path: Path) -> PackageSpec:
    """Read the text of the spec at `path`, to whose folder its paths are relative; raise SpecError."""
    reader = Reader(str(path))
    document = reader.read(text, Document)
    checker = _Checker(reader, path.absolute().parent)
    spec = checker.spec(document, path.absolute())
    if reader.issues:
        raise SpecError(*reader.issues_in_order())
    return spec


class _Checker:
    """Turns a document into a spec: what types cannot say is checked here."""

    def __init__(self, reader: Reader, folder: Path) -> None:
        self.reader = reader
        self.folder = folder

    def spec(self, text: Document, path: Path) -> PackageSpec:
        """Check every key, then build the spec."""
        self._names(text)
        self._indexes(text.indexes)
        self._matches("environment_variables", text.environment_variables, _VARIABLE, "a variable's name")
        if text.entry is not None and not _ENTRY.match(text.entry):
            what = f"got {text.entry!r}, expected 'file.py', 'file.py:function' or 'file.py:Class'"
            self.reader.complain("entry", what)
        self._matches("drop", text.drop, DISTRIBUTION, "a library's name")
        self._matches("keep", text.keep, DISTRIBUTIONS, "a library's name, or a pattern such as matplotlib*")
        uri = self._uri(text.model)
        asked = ServerText(type=text.server) if isinstance(text.server, str) else text.server
        return PackageSpec(
            path=path,
            name=text.name,
            version=text.version,
            description=text.description,
            tags=text.tags,
            model=None if uri else self._path("model", text.model),
            model_uri=uri,
            base=self._base(text.base),
            accelerator=self._accelerator(text.accelerator),
            python=self._python(text.python),
            requirements=self._requirements(text.requirements),
            drop=text.drop,
            keep=text.keep,
            conda=text.conda,
            system_packages=text.system_packages,
            indexes=Indexes(text.indexes.url, text.indexes.extra, self._find_links(text.indexes)),
            code=self._path("code", text.code),
            entry=text.entry,
            loader=text.loader,
            server=asked.type,
            server_settings=server.settings(asked, self.reader),
            environment_variables=text.environment_variables,
            signature=signature(text.signature, self.reader, self._path),
            mode=text.mode,
            model_sources=sources(text.model_source),
            inputs=tuple(inputs(text.inputs, self._path)),
            assets=tuple(filter(None, (self._path("assets", one) for one in text.assets))),
            examples=self._examples(text.example),
            platforms=self._platforms(text.platforms),
            allow_unsafe=text.allow_unsafe,
            slim=text.slim,
            compile=text.compile,
            compile_tolerance=self._compile_tolerance(text),
        )

    def _uri(self, text: str | None) -> ModelURI | None:
        """Read a model that a tracking server keeps; None for any other."""
        if text is None or not is_tracked(text):
            return None
        try:
            return ModelURI.parse(text)
        except SpecError as error:
            self.reader.complain("model", error.issues[0].what, error.issues[0].fix)
            return ModelURI("artifacts", text)  # so that nothing else is said of it

    def _names(self, text: Document) -> None:
        """Let name and version be what a reference can carry."""
        for key, value in (("name", text.name), ("version", text.version)):
            if value is None:
                continue
            try:
                Reference.parse(value if key == "name" else f"x:{value}")
            except SpecError as error:
                self.reader.complain(key, error.issues[0].what)

    def _matches(self, key: str, values: Any, pattern: re.Pattern[str], expected: str) -> None:  # noqa: ANN401
        for value in values:
            if not pattern.match(value):
                self.reader.complain(key, f"got {value!r}, expected {expected}")

    def _indexes(self, indexes: IndexesText) -> None:
        for url in filter(None, (indexes.url, *indexes.extra)):
            self._complain_of_url(url, is_index=True)
        for url in indexes.find_links:
            self._complain_of_url(url, is_index=False)

    def _complain_of_url(self, url: str, *, is_index: bool) -> None:
        if problem := index_problem(url, is_index=is_index):
            self.reader.complain("indexes", problem, CREDENTIALS_FIX if "credentials" in problem else None)

    def _find_links(self, indexes: IndexesText) -> tuple[str, ...]:
        return tuple(one if "://" in one else str(self.folder / one) for one in indexes.find_links)

    def _base(self, text: str | None) -> BaseName | None:
        try:
            return BaseName.parse(text, self.folder) if text is not None else None
        except SpecError as error:
            for issue in error.issues:
                self.reader.complain("base", issue.what, issue.fix)
            return None

    def _accelerator(self, text: str | None) -> str | None:
        if text is not None and (found := accelerator.problem(text)):
            self.reader.complain("accelerator", found)
        return text

    def _python(self, text: str | None) -> str | None:
        if text is None:
            return None
        match = _PYTHON.match(text)
        if not match:
            self.reader.complain("python", f"got {text!r}, expected a version such as '3.11'")
            return None
        if match[1] not in PYTHONS:
            self.reader.complain("python", f"got {text!r}, expected {PYTHONS[0]} to {PYTHONS[-1]}")
        return text

    def _requirements(self, value: str | tuple[str, ...] | None) -> tuple[str, ...] | Path | None:
        if isinstance(value, str):
            return self._path("requirements", value)
        for number, text in enumerate(value or ()):
            if problem := _requirement_problem(text):
                self.reader.complain(f"requirements[{number}]", problem)
        return value

    def _compile_tolerance(self, text: Document) -> float | None:
        tolerance = text.compile_tolerance
        wrong = {issue.where for issue in self.reader.issues}
        if not wrong.isdisjoint(filter(None, map(self.reader.places.get, ("compile", "compile_tolerance")))):
            return None  # what is meant cannot be known, and one mistake is told once
        if text.compile in TOLERANT and tolerance is None:
            what = f"got {text.compile!r} without 'compile_tolerance', which says how far a number may be off"
            self.reader.complain(
                "compile", what, "add compile_tolerance: 1e-6, or take 'auto', which is exact"
            )
        elif tolerance is not None and text.compile not in TOLERANT:
            what = f"got {tolerance} with compile {text.compile!r}, expected it with 'onnx' or 'treelite'"
            self.reader.complain("compile_tolerance", what)
        elif tolerance is not None and not 0 <= tolerance < float("inf"):
            self.reader.complain("compile_tolerance", f"got {tolerance}, expected zero or more")
        return tolerance

    def _path(self, key: str, text: str | None) -> Path | None:
        """Resolve a path against the spec's folder, and complain where nothing is there."""
        if text is None:
            return None
        if re.match(r"[a-z][a-z0-9+.-]+:/", text):
            self.reader.complain(key, f"got the URI {text!r}, expected a path on this machine")
            return None
        path = (self.folder / Path(text).expanduser()).absolute()
        if not path.exists():
            siblings = [one.name for one in path.parent.iterdir()] if path.parent.is_dir() else []
            near = difflib.get_close_matches(path.name, siblings, 1)
            fix = f"did you mean {near[0]!r}?" if near else None
            self.reader.complain(key, f"{text!r} does not exist", fix)
        return path

    def _platforms(self, values: tuple[str, ...]) -> tuple[Platform, ...]:
        platforms = []
        for value in values:
            try:
                platforms.append(Platform.parse(value))
            except LadingError as error:
                self.reader.complain("platforms", error.issues[0].what)
        return tuple(dict.fromkeys(platforms))

    def _examples(self, value: ExampleText | tuple[ExampleText, ...] | None) -> tuple[Example, ...]:
        several = isinstance(value, tuple)
        examples = []
        for number, one in enumerate(value if isinstance(value, tuple) else filter(None, (value,))):
            key = f"example[{number}]" if several else "example"
            if not 0 <= one.tolerance < float("inf"):
                self.reader.complain(f"{key}.tolerance", f"got {one.tolerance}, expected zero or more")
            inputs = self._value(f"{key}.inputs", one.inputs, table=True)
            outputs = self._value(f"{key}.outputs", one.outputs, table=False)
            examples.append(Example(inputs, outputs, one.tolerance, name=f"example {number + 1}"))
        return tuple(examples)

    def _value(self, key: str, value: Any, *, table: bool) -> Any:  # noqa: ANN401 - any JSON value
        """Take a value as it stands, or from the file it names."""
        if not isinstance(value, str) or Path(value).suffix not in {".json", ".csv"}:
            return value
        path = self._path(key, value)
        if path is None or not path.is_file():
            return None
        try:
            text = path.read_text(encoding="utf-8")
            return json.loads(text) if path.suffix == ".json" else read_csv(text, table=table)
        except (OSError, ValueError, RecursionError, csv.Error) as error:
            self.reader.complain(key, f"{value!r} cannot be read: {error}")
            return None


def _requirement_problem(text: str) -> str | None:
    """Say what keeps a text from being a requirement (PEP 508)."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        Requirement(text)
    except InvalidRequirement as error:
        reason = str(error).splitlines()[0].rstrip(".")
        what = f"got {text!r}, expected a requirement such as 'scikit-learn>=1.7'"
        return f"{what}: {reason[:1].lower()}{reason[1:]}"
    return None


def read_csv(text: str, *, table: bool) -> Any:  # noqa: ANN401 - any JSON value
    """Read CSV with a header: as `dataframe_split`, or as plain rows (values, where there is one column)."""
    rows = list(csv.reader(text.splitlines()))
    if not rows:
        raise ValueError("empty, expected a header line")
    uneven = next((n for n, row in enumerate(rows, 1) if len(row) != len(rows[0])), None)
    if uneven:
        raise ValueError(f"line {uneven} has {len(rows[uneven - 1])} cells, expected {len(rows[0])}")
    data = [[_cell(cell) for cell in row] for row in rows[1:]]
    if table:
        return {"dataframe_split": {"columns": rows[0], "data": data}}
    return [row[0] for row in data] if len(rows[0]) == 1 else data


def _cell(text: str) -> str | float | int | None:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text or None
