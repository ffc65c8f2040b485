"""A model in a file of its library's own format: what every such format has in common.

In a folder exactly one file, or one folder, must be of the format; the others are data that lie beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lading.core.errors import Issue, ModelError
from lading.core.model import ModelFacts, ModelFile, Requirement
from lading.core.signature import Signature
from lading.model.distributions import installed_version
from lading.model.mlflow_requirements import pinned
from lading.model.request import Request

_SNIFFED_BYTES = 4096


def start_of(file: ModelFile, size_bytes: int = _SNIFFED_BYTES) -> bytes:
    """Read the first bytes of a file, by which its format is told; none where it cannot be read."""
    try:
        with file.source.open("rb") as stream:
            return stream.read(size_bytes)
    except OSError:
        return b""


def any_file(request: Request, is_one: Callable[[ModelFile], bool]) -> bool:
    """Tell whether a file of the model is of a format."""
    return any(map(is_one, request.files))


def only_file(request: Request, is_one: Callable[[ModelFile], bool], what: str) -> ModelFile:
    """Return the one file that is of a format (`what`, such as `models of XGBoost`).

    Raises ModelError where there are several.
    """
    found = list(filter(is_one, request.files))
    if len(found) == 1:
        return found[0]
    names = ", ".join(repr(one.path) for one in found)
    issue = Issue(
        str(request.path),
        f"holds {len(found)} {what}: {names}",
        "point to one of them, or give an inference routine as code",
    )
    raise ModelError(issue)


def truths_of(signature: Signature | None) -> dict[str, bool]:
    """Return the option by which a server takes a boolean for a double.

    Of what a model learnt, and nobody wrote: it has numbers alone, also of columns that were true or false.
    """
    return {} if signature is None else {"truths": True}


def library(name: str, version: str | None) -> Requirement:
    """Require the version that a file tells, else the one installed here, else any."""
    if version is not None:
        return Requirement(pinned(name, version).text, "file")
    here = installed_version(name)
    return Requirement(name, "file") if here is None else Requirement(f"{name}=={here}", "installed")


def of_known_rank(found: Signature) -> Signature | None:
    """Leave out what has no known number of dimensions, which a signature cannot say."""
    tensors = [[one for one in given if one.type == "tensor"] for given in (found.inputs, found.outputs)]
    inputs, outputs = (any(one.shape is None for one in given) for given in tensors)
    if inputs or not found.inputs:
        return None
    return replace(found, outputs=()) if outputs else found


def requirements_beside(path: Path) -> Path | None:
    """Find the author's own list of requirements in the model's folder, as MLflow prefers them."""
    candidates = (path / "requirements.txt", path / "conda.yaml") if path.is_dir() else ()
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def facts_of(
    request: Request,
    *,
    form: str,
    name: str,
    loader: str,
    options: dict[str, Any],
    requirements: Iterable[Requirement],
    modules: Sequence[str],
    framework: str,
    version: str | None = None,
    **more: Any,  # noqa: ANN401 - further attributes of ModelFacts
) -> ModelFacts:
    """Put the facts together: `name` is the model's kind for people, `modules` what loading it imports.

    The author's own list of requirements beside the model goes before what the file tells.
    """
    beside = requirements_beside(request.path)
    saved_with = () if version is None else (f"{framework}=={version}",)
    return ModelFacts(
        root=request.path,
        format=form,
        flavour=f"{form} {name}".rstrip(),
        loader=loader,
        loader_options=options,
        files=request.files,
        framework=framework,
        framework_version=version,
        requirements=() if beside else tuple(requirements),
        requirements_file=beside,
        modules=tuple(modules),
        code=request.code,
        **{"saved_with": saved_with, **more},
    )
