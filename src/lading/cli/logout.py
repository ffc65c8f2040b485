"""`lading logout`."""

from __future__ import annotations

from lading.cli.console import Common, Console
from lading.pipeline import logins
from lading.pipeline.context import Context


def run(registry: str, /, *, common: Common = Common()) -> int:
    """Forget the login for a registry, in every file and credential helper that knows one.

    For example:

        lading logout registry.example.com

    Args:
        registry: Host and perhaps a port, or a namespace in it, such as quay.io/team.
    """
    console = Console(common)
    paths = logins.logout(Context(common.settings(), console.event), registry)
    text = f"logged out of {registry}: forgotten by {', '.join(map(str, paths))}"
    console.result(text, {"registry": registry, "files": [str(path) for path in paths]})
    return 0
