"""`lading lock`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lading.cli.console import Common, Console
from lading.cli.options import What
from lading.pipeline import locking
from lading.pipeline.context import Context


def run(
    model: str | None = None,
    /,
    *,
    upgrade: Annotated[bool, Parameter(negative="")] = False,
    offline: Annotated[bool, Parameter(negative="")] = False,
    check: Annotated[bool, Parameter(negative="")] = False,
    output: Annotated[Path | None, Parameter(alias="-o")] = None,
    what: What = What(),
    common: Common = Common(),
) -> int:
    """Resolve a model's environment and pin every byte of it.

    Writes lading.lock, pylock.toml and pylock.server.toml beside the spec.

    For example:

        lading lock

        lading lock ./iris-model --output locks/ --upgrade

        lading lock --check   # in CI: fails when the lock is stale

    Args:
        model: A model's file or folder, models:/NAME/VERSION or runs:/RUN/PATH of MLflow's, or a lading.yaml;
            default: the lading.yaml here.
        upgrade: Resolve anew although the lock is fresh.
        offline: Use what is cached, reach no network.
        check: Resolve nothing; fail when the lock is missing or stale.
        output: Folder to write the lock to; default: beside the spec, or the current folder.
    """
    console = Console(common)
    context = Context(common.settings(), console.event, offline=offline)
    made = locking.lock(context, what.spec(model), folder=output, locked=check, upgrade=upgrade)
    console.result(str(made.folder / "lading.lock"), made.to_json())
    return 0
