"""`lading untag`."""

from __future__ import annotations

from lading.cli.console import Common, Console
from lading.pipeline import shelf
from lading.pipeline.context import Context


def run(name: str, /, *names: str, common: Common = Common()) -> int:
    """Take a name from a package; what the package is made of stays until `lading gc`.

    For example:

        lading untag iris:production

    Args:
        name: The name.
        names: More names.
    """
    console = Console(common)
    shelf.untag(Context(common.settings(), console.event), [name, *names])
    console.result("\n".join([name, *names]), {"untagged": [name, *names]})
    return 0
