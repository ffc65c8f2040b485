"""`lading rm`."""

from __future__ import annotations

from lading.cli.console import Common, Console
from lading.pipeline import shelf
from lading.pipeline.context import Context


def run(package: str, /, *packages: str, common: Common = Common()) -> int:
    """Remove packages: by name that name alone, by digest all its names. `lading gc` then frees the space.

    For example:

        lading rm iris:1

        lading rm 0f3c21ab9e44 && lading gc

    Args:
        package: A name, a digest, or the beginning of one.
        packages: More packages.
    """
    console = Console(common)
    context = Context(common.settings(), console.event)
    removed = [str(name) for name in shelf.remove(context, [package, *packages])]
    console.result("\n".join(removed), {"removed": removed})
    return 0
