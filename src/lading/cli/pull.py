"""`lading pull`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from lading.cli.console import Common, Console, size
from lading.core.platform import Platform
from lading.pipeline import transfer
from lading.pipeline.context import Context


def run(
    image: str,
    /,
    *,
    tag: Annotated[tuple[str, ...], Parameter(alias="-t", negative="")] = (),
    platform: str | None = None,
    plain_http: Annotated[bool, Parameter(negative="")] = False,
    common: Common = Common(),
) -> int:
    """Pull a package, or any image, from a registry, with what is attached to it.

    Every byte is checked against its digest; what is here is not fetched again. Mirrors of the configuration
    are asked before the registry.

    For example:

        lading pull registry.example.com/team/iris:1

        lading pull registry.example.com/team/iris@sha256:3b1c… -t iris:1

        lading pull docker.io/library/python:3.12-slim --platform linux/arm64

    Args:
        image: Registry, repository, and a tag or a digest; default: the tag latest.
        tag: Name in the store; may be repeated. Default: what it was pulled by.
        platform: Only this one of several; default: all of them, under the digest they share.
        plain_http: Speak to the registry without TLS, which loopback is spoken to without anyway.
    """
    console = Console(common)
    context = Context(common.settings(), console.event)
    chosen = Platform.parse(platform) if platform else None
    moved = transfer.pull(context, image, names=tag, platform=chosen, plain_http=plain_http)
    names = moved.names or (moved.reference,)
    text = "\n".join(f"{name}  {moved.digest}  {size(moved.size_bytes)}" for name in names)
    console.result(text, moved.to_json())
    return 0
