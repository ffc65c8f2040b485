"""The results of a fit by statsmodels, which `save` pickles, in; what loading them names and needs out.

A model of a formula keeps it as text, which is evaluated as Python when it is loaded, and when it predicts:
one of columns and well-known functions is let pass (`states.py`).
"""

from __future__ import annotations

from dataclasses import replace

from lading.core.errors import ModelError
from lading.core.model import ModelFacts, ModelFile, Requirement
from lading.model.code import FirstParty
from lading.model.distributions import pickled_requirements
from lading.model.flavour import Flavour, Lean
from lading.model.plain import any_file, facts_of, library, only_file
from lading.model.request import Request
from lading.model.sklearn import Pickled, follow, notes_of, risks_of
from lading.model.sniff import is_pickled
from lading.model.symbols import Instance

_ROOT = "statsmodels"


def recognise(request: Request) -> bool:
    """Tell whether the path is, or holds, results of statsmodels."""
    return any_file(request, _is_one)


def inspect(request: Request) -> ModelFacts:
    """Tell the facts of the one file of results; raise ModelError for several."""
    file = only_file(request, _is_one, "results of statsmodels")
    pickled = follow(file, request.first_party)
    modules = {module for module, _ in pickled.walked.names}
    others = {one for one in modules if not _is_own(one) and not request.first_party.has(one)}
    found = pickled_requirements(others - {"pandas"}, {}, trained_here=False)
    facts = facts_of(
        request,
        form="statsmodels",
        name=pickled.walked.top.factory.name,
        loader="statsmodels",
        options={"file": file.path},
        requirements=(
            library(_ROOT, None),
            Requirement("pandas<3", "file"),
            *(one for one in found.requirements if not one.text.startswith("pandas")),
        ),
        modules=tuple(sorted(modules)),
        framework=_ROOT,
        risks=risks_of(pickled),
        notes=notes_of(pickled),
    )
    return facts if facts.requirements_file else replace(facts, missing=found.unknown)


def by_mlflow(given: Flavour) -> Lean | None:
    """Load the pickle as MLflow does."""
    file = given.file(given.settings.get("data"), given.pyfunc.get("data"))
    return Lean("statsmodels", {"file": file}, (given.pandas,)) if file else None


def _is_own(module: str) -> bool:
    return module.partition(".")[0] == _ROOT


def _is_one(file: ModelFile) -> bool:
    return is_pickled(file) and _followed(file) is not None


def _followed(file: ModelFile) -> Pickled | None:
    try:
        pickled = follow(file, FirstParty())
    except ModelError:
        return None
    top = pickled.walked.top
    return pickled if isinstance(top, Instance) and _is_own(top.factory.module) else None
