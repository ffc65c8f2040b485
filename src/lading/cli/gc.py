"""`lading gc`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from lading import pipeline
from lading.cli.console import Common, Console, size


def run(
    *,
    cache: Annotated[bool, Parameter(negative="")] = False,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    older_than_s: float = 3600.0,
    common: Common = Common(),  # noqa: B008 - frozen
) -> int:
    """Free the space that nothing needs any more.

    For example:

        lading gc

        lading gc --cache --dry-run

    Args:
        cache: Drop the caches too, not only what is a week old; not while a package is being served.
        dry_run: Say what would be freed, remove nothing.
        older_than_s: Leave alone what is younger, as another lading may be about to use it; default: 3600.
    """
    console = Console(common)
    context = pipeline.Context(common.settings(), console.event)
    found = pipeline.collect(context, caches=cache, older_than_s=older_than_s, dry_run=dry_run)
    verb = "would free" if dry_run else "freed"
    document = {"blobs": [str(one) for one in found.blobs], "bytes": found.bytes, "dry_run": dry_run}
    console.result(f"{verb} {size(found.bytes)}, {len(found.blobs)} blobs", document)
    return 0
