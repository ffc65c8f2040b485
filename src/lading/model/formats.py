"""The formats of models: one row and one file each. A path goes in, `ModelFacts` come out.

Whoever has a format of their own registers a `Format` by an entry point of the group `lading.formats`.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lading.core.errors import Issue, ModelError
from lading.core.model import ModelFacts
from lading.core.spec import LoaderWay
from lading.model import (
    catboost,
    keras,
    lightgbm,
    mlflow,
    onnx,
    pmml,
    prophet,
    routine,
    safetensors,
    saved_model,
    sklearn,
    skops_model,
    spacy,
    statsmodels,
    torch,
    torch_export,
    torchscript,
    transformers,
    xgboost,
)
from lading.model.request import Request

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


@dataclass(frozen=True, slots=True)
class Format:
    """How a format is recognised and inspected."""

    name: str
    recognise: Callable[[Request], bool]
    inspect: Callable[[Request], ModelFacts]


FORMATS = (
    Format("python", routine.recognise, routine.inspect),
    Format("mlflow", mlflow.recognise, mlflow.inspect),
    Format("xgboost", xgboost.recognise, xgboost.inspect),
    Format("lightgbm", lightgbm.recognise, lightgbm.inspect),
    Format("catboost", catboost.recognise, catboost.inspect),
    Format("onnx", onnx.recognise, onnx.inspect),
    Format("sentence_transformers", transformers.recognise_sentences, transformers.inspect_sentences),
    Format("transformers", transformers.recognise, transformers.inspect),
    Format("torchscript", torchscript.recognise, torchscript.inspect),
    Format("torch_export", torch_export.recognise, torch_export.inspect),
    Format("torch", torch.recognise, torch.inspect),
    Format("savedmodel", saved_model.recognise, saved_model.inspect),
    Format("keras", keras.recognise, keras.inspect),
    Format("pmml", pmml.recognise, pmml.inspect),
    Format("prophet", prophet.recognise, prophet.inspect),
    Format("spacy", spacy.recognise, spacy.inspect),
    Format("safetensors", safetensors.recognise, safetensors.inspect),
    Format("skops", skops_model.recognise, skops_model.inspect),
    Format("statsmodels", statsmodels.recognise, statsmodels.inspect),
    Format("sklearn", sklearn.recognise, sklearn.inspect),
)
"""The first that recognises a model inspects it; then those of others are asked, by name."""
GROUP = "lading.formats"
"""The group of entry points, each a `Format`."""

_EXPECTED = (
    "expected an MLflow model folder, a model's own file or folder "
    f"({', '.join(one.name for one in FORMATS if one.name not in {'python', 'mlflow'})}), "
    "or a folder with an inference routine"
)


def inspect(
    path: Path, *, code: Path | None = None, entry: str | None = None, loader: LoaderWay = "lean"
) -> ModelFacts:
    """Tell what can be known of a model without running it.

    `code` is a folder or file of the author's own modules and `entry` names the inference routine in it
    (`file.py`, `file.py:function`, `file.py:Class`); `loader` says what loads an
    MLflow model. Nothing of the model is executed, imported or unpickled.
    Raises ModelError, with every issue found, for what is no model or cannot be read.
    """
    issues = [issue for kind, one in (("model", path), ("code", code)) for issue in _missing(kind, one)]
    if issues:
        raise ModelError(*issues)
    request = Request(path, code, entry, loader)
    form = _recognised(request)
    if form is not None:
        return form.inspect(request)
    if path.is_file():
        # it is no pickle either: this says why
        return sklearn.inspect(request)
    raise ModelError(Issue(str(path), "no model in a format known here", _EXPECTED))


def as_weights(path: Path, *, code: Path | None = None) -> ModelFacts:
    """Tell the facts of what PyTorch has saved, weights alone too, of which nothing can be asked.

    Raises ModelError for anything else.
    """
    if issues := [issue for kind, one in (("model", path), ("code", code)) for issue in _missing(kind, one)]:
        raise ModelError(*issues)
    request = Request(path, code)
    return torch.weights(request) if torch.recognise(request) else inspect(path, code=code)


def is_known(path: Path, *, code: Path | None = None, entry: str | None = None) -> bool:
    """Tell whether `inspect` has a format for a model; True where it will say what is wrong with the path."""
    if any(_missing("model", path)) or any(_missing("code", code)):
        return True
    return _recognised(Request(path, code, entry)) is not None


def _recognised(request: Request) -> Format | None:
    """Return the format of a model: others' own are asked, and imported, where none of ours is."""
    return next((form for form in chain(FORMATS, _of_others()) if form.recognise(request)), None)


def _of_others() -> Iterator[Format]:
    """Load the formats that installed distributions bring, by name; raise ModelError where one is broken."""
    import importlib.metadata

    for entry in sorted(importlib.metadata.entry_points(group=GROUP), key=lambda one: one.name):
        try:
            found = entry.load()
        except Exception as error:
            raise ModelError(_broken(entry, f"cannot be loaded: {error}")) from error
        if not isinstance(found, Format):
            raise ModelError(_broken(entry, f"is a {type(found).__name__}, expected a lading.model.Format"))
        yield Format(
            found.name, _careful(entry, found.recognise, object), _careful(entry, found.inspect, ModelFacts)
        )


def _careful(
    entry: EntryPoint, function: Callable[[Request], Any], expected: type
) -> Callable[[Request], Any]:
    """Have what a format of others fails by told as theirs; a ModelError is about the model."""

    def call(request: Request) -> Any:  # noqa: ANN401 - what the format returns
        try:
            found = function(request)
        except ModelError:
            raise
        except Exception as error:
            what = f"fails with {type(error).__name__}: {error}"
            raise ModelError(_broken(entry, what)) from error
        if not isinstance(found, expected):
            what = f"gives a {type(found).__name__}, expected {expected.__module__}.{expected.__name__}"
            raise ModelError(_broken(entry, what))
        return found

    return call


def _broken(entry: EntryPoint, what: str) -> Issue:
    where = f"format {entry.name!r} of {entry.dist.name if entry.dist else 'a distribution'}"
    return Issue(where, what, "mend the distribution that brings it, or uninstall it")


def as_files(path: Path, *, code: Path | None = None, entry: str | None = None) -> ModelFacts:
    """Take a model's files as they are, for a server that knows what they mean; raise ModelError.

    What MLflow or ONNX says of inputs and outputs is read; nothing is required.
    """
    if issues := [issue for kind, one in (("model", path), ("code", code)) for issue in _missing(kind, one)]:
        raise ModelError(*issues)
    request = Request(path, code)
    if mlflow.recognise(request):
        found = mlflow.inspect(request)
        found = replace(found, requirements=(), requirements_file=None, modules=(), missing=())
        found = replace(found, code=code, entry=entry)
    else:
        files = request.files if path != code else ()
        found = ModelFacts(path, "files", "files", "files", files=files, code=code, entry=entry)
    graphs = [one for one in found.files if one.path.endswith(".onnx")]
    return replace(found, signature=onnx.signature(graphs[0].source)) if len(graphs) == 1 else found


def _missing(kind: str, path: Path | None) -> Iterator[Issue]:
    """Say what keeps a path from being looked at."""
    if path is None:
        return
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        yield Issue(str(path), f"no such {kind}", "correct the path")
    except OSError as error:
        yield Issue(str(path), f"cannot be read: {error.strerror}", "correct the path, or its permissions")
    else:
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            # to open a pipe waits for ever
            yield Issue(str(path), "neither a file nor a folder", "correct the path")
