"""`lading gc`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from lading.cli.console import Common, Console, size
from lading.pipeline import care
from lading.pipeline.care import Item
from lading.pipeline.context import Context


def run(
    *,
    cache: Annotated[bool, Parameter(negative="")] = False,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    older_than_s: float = 3600.0,
    common: Common = Common(),
) -> int:
    """Free the space that nothing needs any more.

    For example:

        lading gc

        lading gc --cache --dry-run

    Args:
        cache: Drop the caches too, not only what was not used for a week; what is in use stays.
        dry_run: Say what would be freed, remove nothing.
        older_than_s: Leave blobs alone that were written or asked for since, and what a pull that
            broke off will go on with; default: 3600.
    """
    console = Console(common)
    context = Context(common.settings(), console.event)
    freed = care.collect(context, caches=cache, older_than_s=older_than_s, dry_run=dry_run)
    blobs = [one for one in freed.items if one.kind == "blob"]
    lines = [_line(one) for one in freed.items if dry_run or common.verbose]
    lines += [f"left alone: {one}" for one in freed.spared]
    lines.append(f"{'would free' if dry_run else 'freed'} {size(freed.bytes)}, {len(blobs)} blobs")
    document = {
        "blobs": [one.name for one in blobs],
        "bytes": freed.bytes,
        "dry_run": dry_run,
        "items": [one.to_json() for one in freed.items],
        "spared": list(freed.spared),
    }
    console.result("\n".join(lines), document)
    return 0


def _line(item: Item) -> str:
    """Print `  1.2 MB  blob  sha256:0f3c21ab9e44  numpy 2.4.6`."""
    name = item.name if len(item.name) < 72 else f"{item.name[:-52]}…"
    return f"{size(item.bytes):>8}  {item.kind:<10}  {name}  {item.what}".rstrip()
