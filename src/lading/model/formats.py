"""The formats of models: one row and one file each. A path goes in, `ModelFacts` come out."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from lading.core.errors import Issue, ModelError
from lading.core.model import ModelFacts
from lading.core.spec import LoaderWay
from lading.model import mlflow, onnx, routine, sklearn
from lading.model.request import Request
from lading.model.sniff import is_pickled


@dataclass(frozen=True, slots=True)
class Format:
    """How a format is recognised and inspected."""

    name: str
    recognise: Callable[[Request], bool]
    inspect: Callable[[Request], ModelFacts]


FORMATS = (
    Format("python", routine.recognise, routine.inspect),
    Format("mlflow", mlflow.recognise, mlflow.inspect),
    Format("sklearn", sklearn.recognise, sklearn.inspect),
)
"""The first that recognises a model inspects it."""

_EXPECTED = (
    "expected an MLflow model folder, a scikit-learn estimator saved by pickle, joblib or cloudpickle, "
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
    for form in FORMATS:
        if form.recognise(request):
            return form.inspect(request)
    raise ModelError(Issue(str(path), "no model in a format known here", _EXPECTED))


def is_known(path: Path, *, code: Path | None = None, entry: str | None = None) -> bool:
    """Tell whether `inspect` has a format for a model; True where it will say what is wrong with the path."""
    if any(_missing("model", path)) or any(_missing("code", code)):
        return True
    request = Request(path, code, entry)
    # a single file is always looked at as a pickle, to say why it is none
    return any(map(is_pickled, request.files)) or any(
        form.recognise(request) for form in FORMATS if form.name != "sklearn"
    )


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
