"""`lading push`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from lading.cli.console import Common, Console, size
from lading.pipeline import transfer
from lading.pipeline.context import Context


def run(
    package: str,
    destination: str | None = None,
    /,
    *,
    plain_http: Annotated[bool, Parameter(negative="")] = False,
    common: Common = Common(),
) -> int:
    """Push a package to a registry, with its bill and reports.

    What the registry has is not sent again. The name is set last: nobody sees half a package.

    For example:

        lading push registry.example.com/team/iris:1

        lading push iris:1 registry.example.com/team/iris

        lading push iris:1 localhost:5000/iris:1 --json | jq -r .digest

    Args:
        package: A name, a digest, or the beginning of one.
        destination: Registry, repository and perhaps a tag; default: the package's own name.
        plain_http: Speak to the registry without TLS, which loopback is spoken to without anyway.
    """
    console = Console(common)
    context = Context(common.settings(), console.event)
    moved = transfer.push(context, package, destination, plain_http=plain_http)
    console.result(f"{moved.reference}  {moved.digest}  {size(moved.size_bytes)}", moved.to_json())
    return 0
