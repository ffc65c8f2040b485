"""`lading score`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from lading.cli.console import Common, Console, SandboxKind
from lading.core.platform import Platform
from lading.pipeline import scoring, variables
from lading.pipeline.context import Context
from lading.pipeline.scoring import Wanted as WantedScores


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class How:
    """How mini batches are made and tried, in the words of Azure ML's batch deployments."""

    mini_batch_size: Annotated[
        int, Parameter(validator=Number(gte=1), help="How many files run() is given at once; default: 10.")
    ] = 10
    error_threshold: Annotated[
        int, Parameter(validator=Number(gte=-1), help="How many files may fail; default: -1, any number.")
    ] = -1
    retries: Annotated[
        int, Parameter(validator=Number(gte=0), help="How often what failed is tried again; default: 3.")
    ] = 3
    timeout_s: Annotated[
        float, Parameter(validator=Number(gt=0), help="Seconds that a mini batch may take; default: 30.")
    ] = 30.0
    env: Annotated[
        tuple[str, ...],
        Parameter(alias="-e", negative="", help="KEY=VALUE for the script, or KEY to hand on your own."),
    ] = ()
    env_file: Annotated[tuple[Path, ...], Parameter(negative="", help="File of such lines.")] = ()


def run(
    package: str,
    /,
    *,
    data: Annotated[tuple[Path, ...], Parameter(consume_multiple=True, negative="")],
    output: Annotated[Path, Parameter(alias="-o")] = Path("predictions.csv"),
    append: Literal["row", "summary"] = "row",
    how: How = How(),
    restart: Annotated[bool, Parameter(negative="")] = False,
    sandbox: SandboxKind | None = None,
    platform: str | None = None,
    common: Common = Common(),
) -> int:
    """Score files with a package, in mini batches, as Azure ML's batch deployments do.

    For example:

        lading score heart:1 --data ./heart-csv --output predictions.csv

        lading score digits:1 --data a.png b.png --mini-batch-size 1 --retries 0 --error-threshold 5

        lading score heart:1 --data ./heart-csv --append summary --output ./scored

    The package runs in the sandbox, without a network. A run that was broken off goes on where it was
    when the same command is given again; files that failed are then tried again.

    Args:
        package: A name, a digest, or the beginning of one; of server azureml_batch, or lading's own.
        data: A folder, of which all files are scored, or files.
        output: File that the rows go to; with --append summary, folder of what the script writes.
        append: row: what run() returns goes to the output, as CSV without a header; summary: nothing does.
        restart: Begin again, and overwrite the output.
        sandbox: unshare, bwrap, podman or docker; default: the first that works.
        platform: One of a package of several platforms; default: this machine's.
    """
    console = Console(common)
    context = Context(common.settings(), console.event)
    wanted = WantedScores(
        data=data,
        output=output,
        mini_batch_size=how.mini_batch_size,
        appends=append == "row",
        error_threshold=how.error_threshold,
        retries=how.retries,
        timeout_s=how.timeout_s,
        environment=variables.read(how.env, how.env_file),
        restart=restart,
        platform=Platform.parse(platform) if platform else None,
        sandbox=sandbox,
    )
    tally = scoring.score(context, package, wanted, log=sys.stderr.buffer if common.verbose else None)
    console.result(_told(output, tally.to_json()), {"output": str(output), **tally.to_json()})
    return 0


def _told(output: Path, tally: dict[str, Any]) -> str:
    text = f"{output}: {tally['rows']} rows of {tally['files']} files"
    if tally["resumed"]:
        text += f", {tally['resumed']} of {tally['mini_batches']} mini batches were there already"
    if tally["failed_files"]:
        text += f", {tally['failed_files']} files failed: the same command tries them again"
    return text
