"""`lading copy`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from lading.cli.console import Common, Console, size
from lading.core.platform import Platform
from lading.pipeline import transfer
from lading.pipeline.context import Context


def run(
    source: str,
    destination: str,
    /,
    *,
    platform: str | None = None,
    plain_http: Annotated[bool, Parameter(negative="")] = False,
    plain_http_source: Annotated[bool, Parameter(negative="")] = False,
    plain_http_destination: Annotated[bool, Parameter(negative="")] = False,
    common: Common = Common(),
) -> int:
    """Copy an image from one registry to another, with what is attached to it, without landing on disk.

    Within a registry, blobs are not moved at all: it is told to use them in both repositories.

    For example:

        lading copy staging.example.com/team/iris:1 prod.example.com/team/iris:1

        lading copy registry.example.com/team/iris@sha256:3b1c… registry.example.com/released/iris:1

    Args:
        source: Registry, repository, and a tag or a digest; default: the tag latest.
        destination: Registry, repository and perhaps a tag; default: the source's.
        platform: Only this one of several; default: all of them, under the digest they share.
        plain_http: Speak to both registries without TLS, which loopback is spoken to without anyway.
        plain_http_source: Speak to the source alone without TLS.
        plain_http_destination: Speak to the destination alone without TLS.
    """
    console = Console(common)
    context = Context(common.settings(), console.event)
    chosen = Platform.parse(platform) if platform else None
    plain = plain_http or plain_http_source, plain_http or plain_http_destination
    moved = transfer.copy(context, source, destination, platform=chosen, plain_http=plain)
    console.result(f"{moved.reference}  {moved.digest}  {size(moved.size_bytes)}", moved.to_json())
    return 0
