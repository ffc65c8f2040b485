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
    issues = [Issue(risk.where, f"{risk.name}: {_why(risk, facts)}") for risk in risks]
    flags = " ".join(f"--allow-unsafe {name}" for name in dict.fromkeys(risk.name for risk in risks))
    last = issues.pop()
    fix = f"get the model from a source you trust; if you trust this one: {flags}"
    raise ModelError(*issues, Issue(last.where, last.what, fix))


def _why(risk: Risk, facts: ModelFacts) -> str:
    """Say of a module that nothing provides how to provide it."""
    top = risk.name.partition(".")[0]
    if top not in facts.missing:
        return risk.why
    what = f"no installed distribution has module {top!r}"
    if facts.code is not None and facts.code.name == top and (facts.code / "__init__.py").is_file():
        return (
            f"{what}, and {str(facts.code)!r} is the package itself: give the folder that it lies in as code"
        )
    return f"{what}: ship it as code, or name the library that has it: --requirement"
