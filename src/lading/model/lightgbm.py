"""A model of LightGBM as text, which `Booster.save_model` writes: its file in, facts out; nothing is loaded.

The head tells features, classes and objective, the end the categories that pandas had. The release of
LightGBM stands nowhere: `version=v4` is that of the format.
"""

from __future__ import annotations

import json
import re
from typing import Any

from lading.core.errors import Issue, ModelError
from lading.core.model import ModelFacts, ModelFile, Requirement
from lading.core.signature import Field, Signature
from lading.model.flavour import SKLEARN, Flavour, Lean
from lading.model.plain import any_file, facts_of, library, only_file, start_of, truths_of
from lading.model.request import Request

_START = re.compile(rb"tree\r?\n(?:version=v\d+\r?\n)?num_class=\d+\r?\n")
_LONGEST_PART_BYTES = 64 << 20
_CATEGORIES = b"pandas_categorical:"
_INDICES = re.compile(r"^\[categorical_feature: ([\d,]+)\]", re.MULTILINE)


def recognise(request: Request) -> bool:
    """Tell whether the path is, or holds, a model of LightGBM."""
    return any_file(request, _is_one)


def inspect(request: Request) -> ModelFacts:
    """Tell the facts of the one model of LightGBM; raise ModelError for several, or a broken one."""
    file = only_file(request, _is_one, "models of LightGBM")
    try:
        head, tail = _head(file), _tail(file)
        names = head["feature_names"].split(" ")
        categories = _categories(names, tail)
        signature = Signature(_inputs(names, categories), (_output(head),))
    except (ValueError, KeyError, TypeError, IndexError, RecursionError, OSError) as error:
        what = f"is no model of LightGBM that can be read: {error}"
        raise ModelError(Issue(file.path, what, "copy or save the model again")) from error
    options: dict[str, Any] = {"file": file.path, **truths_of(signature)}
    if categories:
        options["categories"] = list(categories)
    objective = head.get("objective", "of the author's own").partition(" ")[0]
    return facts_of(
        request,
        form="lightgbm",
        name="Booster",
        loader="lightgbm",
        options=options,
        requirements=(_required(head), *((Requirement("pandas", "file"),) if categories else ())),
        modules=("lightgbm",),
        framework="lightgbm",
        signature=signature,
        notes=(f"text {head.get('version', 'v2')}", f"objective {objective}"),
    )


def by_mlflow(given: Flavour) -> Lean | None:
    """Load a Booster, or an estimator of scikit-learn's kind, which is pickled."""
    file = given.file(given.settings.get("data"), given.pyfunc.get("data"))
    kind = str(given.settings.get("model_class") or "lightgbm.basic.Booster")
    if file is None:
        return None
    if kind.startswith("lightgbm.sklearn."):
        pickler = str(given.settings.get("serialization_format") or "cloudpickle")
        needed = (SKLEARN, Requirement("cloudpickle", "mlflow"))
        is_pickled = pickler in {"pickle", "cloudpickle"}
        return Lean("pickle", {"file": file, "serialization": pickler}, needed) if is_pickled else None
    return Lean("lightgbm", {"file": file}, (given.pandas,) if given.has_words else ())


def _is_one(file: ModelFile) -> bool:
    return _START.match(start_of(file)) is not None


def _head(file: ModelFile) -> dict[str, str]:
    """Read the lines before the first tree."""
    found: dict[str, str] = {}
    left = _LONGEST_PART_BYTES
    with file.source.open("rb") as stream:
        stream.readline()
        while line := stream.readline(left).decode().rstrip("\r\n"):
            left -= len(line)
            if left <= 0:
                raise ValueError("its head is too long")
            key, _, value = line.partition("=")
            found[key] = value
    if int(found["max_feature_idx"]) + 1 != len(found["feature_names"].split(" ")):
        raise ValueError("got another number of names than of features")
    return found


def _tail(file: ModelFile) -> str:
    """Read from the end what is behind the trees; the end is told by LightGBM's own mark."""
    size = 1 << 16
    with file.source.open("rb") as stream:
        while True:
            stream.seek(max(0, file.size_bytes - size))
            data = stream.read(size)
            at = data.rfind(b"end of trees")
            if at >= 0:
                return data[at:].decode()
            if size >= min(file.size_bytes, _LONGEST_PART_BYTES):
                raise ValueError("its end is missing")
            size *= 8


def _categories(names: list[str], tail: str) -> dict[str, str]:
    """Tell the columns that were categories of pandas, with the type of their values."""
    place = tail.rfind(_CATEGORIES.decode())
    values = json.loads(tail[place + len(_CATEGORIES) :].partition("\n")[0]) if place >= 0 else None
    if not values:
        return {}
    found = _INDICES.search(tail)
    columns = [names[int(one)] for one in found[1].split(",")] if found else []
    if len(columns) != len(values):
        raise ValueError(f"it has {len(values)} lists of categories, and {len(columns)} columns of them")
    return {name: _type(one) for name, one in zip(columns, values, strict=True)}


def _type(values: list[Any]) -> str:
    kinds = {type(one) for one in values}
    return {frozenset({str}): "string", frozenset({int}): "long"}.get(frozenset(kinds), "any")


def _inputs(names: list[str], categories: dict[str, str]) -> tuple[Field, ...]:
    # names that LightGBM made up for lack of others are none
    if names == [f"Column_{index}" for index in range(len(names))] and not categories:
        return (Field("tensor", dtype="float64", shape=(-1, len(names))),)
    return tuple(Field(categories.get(name, "double"), name) for name in names)


def _output(head: dict[str, str]) -> Field:
    """Tell what `predict` gives: a column for each class."""
    count = int(head["num_tree_per_iteration"])
    return Field("tensor", dtype="float64", shape=(-1, count) if count > 1 else (-1,))


def _required(head: dict[str, str]) -> Requirement:
    """Require the version installed here, else any that reads the format."""
    found = library("lightgbm", None)
    if found.origin == "file" and head.get("version") == "v4":
        return Requirement("lightgbm>=4", "file")
    return found
