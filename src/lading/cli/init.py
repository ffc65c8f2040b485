"""`lading init`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lading.cli.console import Common, Console
from lading.core.errors import Issue, SpecError
from lading.pipeline import tracked
from lading.pipeline.context import Context


def run(
    model: str,
    /,
    *,
    output: Annotated[Path | None, Parameter(alias="-o")] = None,
    force: Annotated[bool, Parameter(negative="")] = False,
    common: Common = Common(),
) -> int:
    """Write a commented lading.yaml for a model.

    What the model's files tell is filled in; everything else stands there as a comment.

    For example:

        lading init model.joblib

        lading init ./mlflow-model --output deploy/lading.yaml

    Args:
        model: The model's file or folder, models:/NAME/VERSION or runs:/RUN/PATH, as MLflow has them.
        output: File to write; default: lading.yaml here.
        force: Replace the file if it is there.
    """
    path = (output or Path("lading.yaml")).absolute()
    console = Console(common)
    with Context(common.settings(), console.event) as context:
        text = tracked.init(context, model, path.parent)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # 'x' leaves a file alone that appeared meanwhile
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise SpecError(Issue(str(path), "is there already", "replace it with --force")) from error
    except OSError as error:
        raise SpecError(Issue(str(path), f"cannot be written: {error.strerror}")) from error
    console.result(os.path.relpath(path), {"path": str(path)})
    return 0
