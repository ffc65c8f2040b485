"""`lading inspect`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lading.cli.console import Common, Console
from lading.cli.options import What
from lading.core.errors import Issue, ModelError, SpecError
from lading.core.scan import Scan
from lading.pipeline import plan, scanning, signatures, summary, tracked
from lading.pipeline.context import Context


def run(
    model: str | None = None,
    /,
    *,
    scan: Annotated[bool, Parameter(negative="")] = False,
    policy: Path | None = None,
    sarif: Annotated[Path | None, Parameter(allow_leading_hyphen=True)] = None,
    second_opinion: Annotated[bool, Parameter(negative="")] = False,
    what: What = What(),
    common: Common = Common(),
) -> int:
    """Tell what a model is and needs, without loading it; with --scan, what in it could run code.

    For example:

        lading inspect model.joblib

        lading inspect ./mlflow-model --json

        MLFLOW_TRACKING_URI=https://mlflow.example.com lading inspect models:/iris@champion

        lading inspect ./downloads --scan --policy policy.yaml --sarif findings.sarif

    Args:
        model: A model's file or folder, models:/NAME/VERSION or runs:/RUN/PATH of MLflow's, or a lading.yaml;
            default: the lading.yaml here. With --scan: any file or folder; default: this folder.
        scan: Look into every file, archive and pickle for what could run code when it is loaded; 3 where
            there is something.
        policy: A file of what a scan allows and denies, by global and by digest.
        sarif: Write what a scan finds to this file as SARIF, too; `-` prints it instead.
        second_opinion: Have picklescan scan as well.
    """
    console = Console(common)
    asked = {"--policy": policy, "--sarif": sarif, "--second-opinion": second_opinion}
    if not scan:
        if given := [name for name, value in asked.items() if value]:
            raise SpecError(*(Issue(name, "says how to scan", "add --scan") for name in given))
        with Context(common.settings(), console.event) as context:
            spec = tracked.bring(context, what.spec(model))
            facts = signatures.hinted(plan.inspect(spec))
        console.result(summary.of_facts(facts), plan.facts_json(facts, spec.record))
        return 0
    with Context(common.settings(), console.event) as context:
        path = tracked.place(context, model) if model else Path.cwd()
        found = scanning.look_for_code(
            path, policy=policy, second_opinion=second_opinion, events=console.event
        )
    console.close()
    if sarif:
        text = json.dumps(scanning.sarif(found), indent=2) + "\n"
        if str(sarif) == "-":
            print(text, end="")
            return 0 if found.passed else ModelError.exit_status
        sarif.write_text(text, encoding="utf-8")
    console.result("\n".join(_lines(found)), found.to_json())
    return 0 if found.passed else ModelError.exit_status


def _lines(found: Scan) -> Iterator[str]:
    """Print findings by file, the worst first, then the verdict."""
    order = ("error", "warning", "note")
    for one in sorted(found.findings, key=lambda one: (one.file, order.index(one.rule.level))):
        name = "" if one.where.endswith(one.name) else f"{one.name}: "
        yield f"{one.rule.level}: {one.where}: {name}{one.why} [{one.rule.id}]"
    failing = len(list(found.failures()))
    files = f"{found.files} {'file' if found.files == 1 else 'files'}"
    verdict = f"{failing} {'finding' if failing == 1 else 'findings'}" if failing else "nothing found"
    allowed = f", {len(found.allowed)} allowed by the policy" if found.allowed else ""
    yield f"{verdict} in {files}{allowed}"
