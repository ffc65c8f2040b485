"""`lading signature …`: what a model takes and answers, inferred, shown and written as others write it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from lading.cli.console import Console, GroupCommon
from lading.pipeline import signatures
from lading.pipeline.context import Context

Notation = Literal["mlflow", "oip", "json-schema", "onnx", "saved-model", "torchscript"]


def infer(
    source: str,
    /,
    *,
    outputs: Path | None = None,
    params: str | None = None,
    common: GroupCommon = GroupCommon(),
) -> int:
    """Infer a signature: of data as MLflow's infer_signature does, of type hints, or of a model's graph.

    What it prints is pasted into lading.yaml, where it wins over what the model tells.

    For example:

        lading signature infer X_test.parquet --outputs predictions.csv

        lading signature infer rows.jsonl --params '{"top": 3}' >> lading.yaml

        lading signature infer score.py:predict

        lading signature infer model.onnx --json

    Args:
        source: Data (.csv, .json, .jsonl, .npy, .npz; .parquet and .arrow with lading[data]), a routine
            such as score.py:predict, or a model.
        outputs: File of the model's answers to the data.
        params: JSON of the parameters' defaults, or a file of it.
    """
    console = Console(common)
    with Context(common.settings(), console.event) as context:
        found = signatures.infer(context, source, outputs, params)
    _tell(console, found)
    return 0


def show(
    target: str,
    /,
    *,
    common: GroupCommon = GroupCommon(),
) -> int:
    """Show the signature of a model or a package, as lading.yaml has it.

    For example:

        lading signature show ./mlflow-model

        lading signature show iris:1 --json

    Args:
        target: A model's file or folder, a lading.yaml, or a package's name.
    """
    console = Console(common)
    with Context(common.settings(), console.event) as context:
        found = signatures.show(context, target)
    _tell(console, found)
    return 0


def convert(
    source: str,
    /,
    *,
    to: Notation,
    of: Annotated[Notation | None, Parameter(name="--from")] = None,
    common: GroupCommon = GroupCommon(),
) -> int:
    """Write a signature in another notation; what that cannot say is told, field by field.

    For example:

        lading signature convert signature.yaml --to json-schema > schema.json

        lading signature convert metadata.json --to mlflow

        lading signature convert iris:1 --to oip --json

    Args:
        source: A document in one of the notations, a lading.yaml, an MLmodel, a model, or a package's name.
        to: mlflow, oip (Open Inference Protocol), json-schema, onnx, saved-model or torchscript.
        of: The document's own notation, where it is to be another than it looks like.
    """
    console = Console(common)
    with Context(common.settings(), console.event) as context:
        written = signatures.convert(context, source, to, of)
    for loss in written.losses:
        console.line(f"  lost      {loss}")
    value = written.value
    if to == "mlflow":
        text = signatures.as_text(value)
    else:
        text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
    console.result(text, written.to_json())
    return 0


def _tell(console: Console, found: signatures.Told) -> None:
    for note in found.notes:
        console.line(f"  note      {note}")
    console.result(signatures.as_text(found.to_json()["signature"]), found.to_json())
