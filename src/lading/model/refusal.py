"""Whether a model may be packaged: facts and what the author allows go in, an error or nothing comes out."""

from __future__ import annotations

from collections.abc import Collection

from lading.core.errors import Issue, ModelError
from lading.core.model import ModelFacts, Risk


def refuse(facts: ModelFacts, allowed: Collection[str]) -> None:
    """Raise one ModelError with every risk whose name is not allowed; return where there is none."""
    risks = [risk for risk in facts.risks if risk.name not in allowed]
    if not risks:
        return
    issues = [Issue(risk.where, f"{risk.name}: {_why(risk, facts.missing)}") for risk in risks]
    flags = " ".join(f"--allow-unsafe {name}" for name in dict.fromkeys(risk.name for risk in risks))
    last = issues.pop()
    fix = f"get the model from a source you trust; if you trust this one: {flags}"
    raise ModelError(*issues, Issue(last.where, last.what, fix))


def _why(risk: Risk, missing: Collection[str]) -> str:
    """Say of a module that nothing provides how to provide it."""
    top = risk.name.partition(".")[0]
    return f"no installed distribution has module {top!r}: ship it as code" if top in missing else risk.why
