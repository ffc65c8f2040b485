"""`lading fsck`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lading.cli.console import Common, Console, size
from lading.core.errors import IntegrityError
from lading.pipeline import checking
from lading.pipeline.context import Context


def run(
    folder: Path | None = None,
    /,
    *,
    repair: Annotated[bool, Parameter(negative="")] = False,
    common: Common = Common(),
) -> int:
    """Check every byte of the store: blobs against their names, names against what is there, and the caches.

    Exits with 5 where something is wrong, and says all of it. May run beside anything.

    For example:

        lading fsck

        lading fsck --repair && lading pack ./iris-model -t iris:1

        lading fsck ./layout --json

    Args:
        folder: An OCI image layout to check in place of lading's own store, such as an exported one.
        repair: Remove what is damaged, and forget the names of what is not there in full. What is sound
            stays; packing or pulling again brings the rest back.
    """
    console = Console(common)
    context = Context(common.settings(), console.event)
    checked = checking.fsck(context, folder, repair=repair)
    found = checked.findings
    for note in found.notes:
        console.line(f"note: {note.where}: {note.what}")
    for done in checked.done:
        console.line(f"repaired: {done}")
    if checked.issues and not repair:
        if common.json:
            console.result("", checked.to_json())
        raise IntegrityError(*checked.issues)
    amount = f"{found.roots} roots, {found.blobs} blobs, {size(found.bytes)}"
    verdict = f"{len(checked.issues)} faults repaired" if checked.issues else "sound"
    console.result(f"{verdict}: {amount}", checked.to_json())
    return 0
