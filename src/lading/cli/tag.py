"""`lading tag`."""

from __future__ import annotations

from lading.cli.console import Common, Console
from lading.pipeline import shelf
from lading.pipeline.context import Context


def run(package: str, name: str, /, *names: str, common: Common = Common()) -> int:
    """Give a package a further name.

    For example:

        lading tag iris:1 iris:production

        lading tag 0f3c21 registry.example.com/team/iris:1

    Args:
        package: A name, a digest, or the beginning of one.
        name: The new name.
        names: More names.
    """
    console = Console(common)
    descriptor = shelf.tag(Context(common.settings(), console.event), package, [name, *names])
    given = [name, *names]
    text = "\n".join(f"{one}  {descriptor.digest}" for one in given)
    console.result(text, {"digest": str(descriptor.digest), "names": given})
    return 0
