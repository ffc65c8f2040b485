"""A model of Prophet, the JSON of `model_to_json`, in; the columns that it asks for and its version out.

MLflow writes that JSON as one text in another JSON. A model is numbers and tables: nothing in it is code.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, cast

from lading.core.errors import Issue, ModelError
from lading.core.model import ModelFacts, ModelFile, Requirement
from lading.core.signature import Field, Signature
from lading.model.flavour import Flavour, Lean
from lading.model.plain import any_file, facts_of, library, only_file, start_of
from lading.model.request import Request
from lading.model.select import from_json

if TYPE_CHECKING:
    from collections.abc import Iterator

_FIRST_KEYS = (b'"growth"', b'"n_changepoints"', b'"changepoint')
_PIECE = re.compile(
    rb'(?:[^"\\\x80-\xff]+|[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}'
    rb"|\\u[0-9a-fA-F]{4}|\\[^u])*"
)
"""As much of a text as is whole, up to its closing quote."""
_VERSION = ("__prophet_version",)
_WANTED = (
    *(("growth",), ("logistic_floor",), ("seasonalities",), ("extra_regressors",)),
    *(("uncertainty_samples",), _VERSION),
)


def recognise(request: Request) -> bool:
    """Tell whether the path is, or holds, a model of Prophet."""
    return any_file(request, _is_one)


def inspect(request: Request) -> ModelFacts:
    """Tell the facts of the one model of Prophet; raise ModelError for several, or a broken one."""
    file = only_file(request, _is_one, "models of Prophet")
    try:
        with _opened(file) as stream:
            told = {path[0]: value for path, value in from_json(stream, _WANTED).items()}
        version = _version(told)
        signature = Signature(tuple(_inputs(told)))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError, OSError) as error:
        what = f"is no model of Prophet that can be read: {error}"[:300]
        raise ModelError(Issue(file.path, what, "copy or save the model again")) from error
    growth = f"growth {told.get('growth')}"
    sampled = bool(told.get("uncertainty_samples"))
    return facts_of(
        request,
        form="prophet",
        name="Prophet",
        loader="prophet",
        options={"file": file.path},
        requirements=(library("prophet", version), Requirement("pandas<3", "file")),
        modules=("prophet",),
        framework="prophet",
        version=version,
        signature=signature,
        notes=(growth, "its bounds (yhat_lower, …) are drawn at random") if sampled else (growth,),
    )


def by_mlflow(given: Flavour) -> Lean | None:
    """Load the JSON as MLflow does."""
    file = given.file(given.settings.get("data"), given.pyfunc.get("data"))
    return Lean("prophet", {"file": file}, (given.pandas,)) if file else None


def _is_one(file: ModelFile) -> bool:
    start = start_of(file).lstrip()
    if start.startswith(b'"'):
        start = start[1:].replace(b'\\"', b'"').lstrip()
    return start.startswith(b"{") and all(one in start for one in _FIRST_KEYS)


@contextmanager
def _opened(file: ModelFile) -> Iterator[IO[bytes]]:
    """Open the model's JSON; where it is a text in another, that is decoded on the way."""
    with file.source.open("rb") as stream:
        is_text = start_of(file).lstrip().startswith(b'"')
        yield cast("IO[bytes]", _Text(stream)) if is_text else stream


class _Text:
    """The value of a JSON text, read a piece at a time; an escape that is cut waits for its end."""

    def __init__(self, stream: IO[bytes]) -> None:
        """Go past its first quote."""
        self._stream = stream
        self._left = b""
        while stream.read(1) != b'"':
            pass

    def read(self, size: int) -> bytes:
        """Return about so many bytes more, none at the end."""
        data = self._left + self._stream.read(size)
        match = _PIECE.match(data)
        end = match.end() if match else 0
        self._left = data[end:]
        if not end:
            return b""
        # surrogates that stand in two pieces stay two: nobody looks at such a text
        return cast("str", json.loads(b'"' + data[:end] + b'"')).encode("utf-8", "surrogatepass")


def _version(told: Mapping[str, Any]) -> str | None:
    version = told.get("__prophet_version")
    if version is not None and not re.fullmatch(r"\d[\w.]*", str(version)):
        raise ValueError(f"got version {version!r}")
    return version


def _inputs(told: Mapping[str, Any]) -> Iterator[Field]:
    """List the columns that `predict` asks for (Prophet.setup_dataframe)."""
    yield Field("datetime", "ds")
    if told["growth"] == "logistic":
        yield Field("double", "cap")
        if told.get("logistic_floor"):
            yield Field("double", "floor")
    _, regressors = told["extra_regressors"]
    yield from (Field("double", str(name)) for name in regressors)
    _, seasonalities = told["seasonalities"]
    conditions = [one.get("condition_name") for one in seasonalities.values()]
    yield from (Field("boolean", str(name)) for name in dict.fromkeys(conditions) if name)
