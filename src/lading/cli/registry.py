"""`lading registry …`: registries that assets are shared by."""

from __future__ import annotations

from lading.cli.assets import File, Name, Named, Set
from lading.cli.console import Console, GroupCommon
from lading.pipeline import registries


def create(
    *,
    file: File = None,
    set_: Set = (),
    name: Name = None,
    at: str | None = None,
    common: GroupCommon = GroupCommon(),
) -> int:
    """Declare a registry: a name for a path in an OCI registry, or for a folder, where assets are shared.

    The configuration file says the same in its table [registries]; what it says wins. Nothing is sent.

    For example:

        lading registry create -n team --at registry.example.com/team/ml

        lading registry create -n local --at ./shared

    Args:
        at: [http://]registry[/path], or a folder.
    """
    console = Console(common)
    declared = registries.create(common.settings(), file, set_, name=name, at=at, events=console.event)
    console.result(f"{declared.name}  {declared.at}", declared.to_json())
    return 0


def show(
    *,
    name: Named,
    common: GroupCommon = GroupCommon(),
) -> int:
    """Show where a registry is.

    For example:

        lading registry show -n team
    """
    found = registries.show(common.settings(), name)
    Console(common).result(f"{found.name}  {found.at}", found.to_json())
    return 0


def list_(
    *,
    common: GroupCommon = GroupCommon(),
) -> int:
    """List the registries that are declared.

    For example:

        lading registry list
    """
    found = registries.listed(common.settings())
    rows = [[one.name, one.at] for one in found]
    Console(common).table(["NAME", "AT"], rows, [one.to_json() for one in found])
    return 0


def delete(
    *,
    name: Named,
    common: GroupCommon = GroupCommon(),
) -> int:
    """Forget where a registry is; what is in it stays.

    For example:

        lading registry delete -n team
    """
    found = registries.delete(common.settings(), name)
    Console(common).result(f"forgot {found.name}, which stays at {found.at}", found.to_json())
    return 0
