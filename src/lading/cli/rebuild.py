"""`lading rebuild`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lading.cli.console import Common, Console, SandboxKind, size
from lading.core.errors import Issue, SpecError
from lading.pipeline import rebuilding
from lading.pipeline.context import Context


def run(
    package: str,
    /,
    *,
    check: Annotated[bool, Parameter(negative="")] = False,
    tag: Annotated[tuple[str, ...], Parameter(alias="-t", negative="")] = (),
    find_links: Annotated[tuple[Path, ...], Parameter(negative="")] = (),
    offline: Annotated[bool, Parameter(negative="")] = False,
    verify: bool = True,
    sandbox: SandboxKind | None = None,
    common: Common = Common(),
) -> int:
    """Make a package again from its own bill and lock, and compare digests.

    Nothing but the package is needed: its lock, its model and its code are inside. With --check no layer
    is taken from a cache, and what differs is named, down to the file; the exit status is then 5.

    For example:

        lading rebuild iris:1 --check

        lading rebuild iris:1 -t iris:again

        lading rebuild iris:1 --check --offline --find-links wheels/

    Args:
        package: A name, a digest, or the beginning of one.
        check: Compare what is made with the package, and keep nothing of it.
        tag: Keep what is made under this name; may be repeated.
        find_links: Folder of packages that their index or mirror no longer has; may be repeated.
        offline: Use what is cached, reach no network.
        verify: Replay the recorded predictions in a sandbox before naming it; --check runs nothing.
        sandbox: Where to compile byte code and verify: unshare, bwrap, podman or docker.
    """
    console = Console(common)
    context = Context(common.settings(), console.event, offline=offline)
    if not check:
        made = rebuilding.rebuild(
            context, package, tag, find_links=find_links, verify=verify, sandbox=sandbox
        )
        text = "\n".join(f"{name}  {made.digest}  {size(made.size_bytes)}" for name in made.references)
        console.result(text, made.to_json())
        return 0
    if tag:
        raise SpecError(
            Issue("rebuild", "got both --check and --tag", "--check keeps nothing of what is made")
        )
    found = rebuilding.check(context, package, find_links=find_links, sandbox=sandbox)
    console.result(f"{package}  {found.digest}  made again: the same bytes", found.to_json())
    return 0
