"""`lading inspect`."""

from __future__ import annotations

from pathlib import Path

from lading import pipeline
from lading.cli.console import Common, Console
from lading.cli.options import What


def run(
    model: Path | None = None,
    /,
    *,
    what: What = What(),
    common: Common = Common(),
) -> int:
    """Tell what a model is and needs, without loading it.

    For example:

        lading inspect model.joblib

        lading inspect ./mlflow-model --json

    Args:
        model: A model's file or folder, or a lading.yaml; default: the lading.yaml here.
    """
    console = Console(common)
    facts = pipeline.inspect(what.spec(model))
    console.result(pipeline.describe(facts), pipeline.facts_json(facts))
    return 0
