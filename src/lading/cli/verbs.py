"""A group of assets in, its verbs out: archive, restore, show, list and others, as `az ml` has them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from lading.cli.assets import (
    Name,
    One,
    Reference,
    Set,
    Where,
    WorkspaceName,
    amount,
    document,
    opened,
    place,
    tell_created,
)
from lading.cli.console import Console, GroupCommon, size
from lading.core.assets import Asset, AssetKind
from lading.core.errors import Issue, SpecError
from lading.pipeline import assets, drafts, packages
from lading.workspace import Which

Verb = Callable[..., int]
"""A command: cyclopts reads its signature and its docstring."""


@dataclass(frozen=True, slots=True)
class Group:
    """Assets of a kind, and what their verbs' help says of them."""

    kind: AssetKind
    a_name: str
    """One of them: a model, an environment, a package."""
    example: str
    shows: str = ""
    """What `show` tells of one."""
    edits: str = "description, tags or properties"
    """What `update` may change."""
    stays: str = ", and its labels; lading gc frees its space"
    """What `delete` says of the rest."""

    def tell(self, verb: Verb) -> Verb:
        """Put the group's own words into the help of a verb."""
        _, _, name = self.a_name.partition(" ")
        text = verb.__doc__ or ""  # python -OO has none
        verb.__doc__ = text.format(
            name=name,
            a_name=self.a_name,
            example=self.example,
            shows=self.shows,
            edits=self.edits,
            stays=self.stays,
        )
        return verb


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class Listed:
    """Which versions a list tells of."""

    archived_only: Annotated[bool, Parameter(negative="", help="List what is archived.")] = False
    include_archived: Annotated[bool, Parameter(negative="", help="List what is archived too.")] = False

    @property
    def which(self) -> Which:
        """Return it in a workspace's words."""
        return "archived" if self.archived_only else "all" if self.include_archived else "active"


def archive(group: Group) -> Verb:
    """Make the verb that hides."""

    @group.tell
    def run(
        asset: Reference = None,
        /,
        *,
        one: One = One(),
        where: Where = Where(),
        common: GroupCommon = GroupCommon(),
    ) -> int:
        """Hide a version of {a_name}, or all of them, from lists and from @latest.

        For example:

            lading {name} archive -n {example} -v 3
        """
        return _archive(group.kind, asset, one, where, common, archived=True)

    return run


def restore(group: Group) -> Verb:
    """Make the verb that shows again."""

    @group.tell
    def run(
        asset: Reference = None,
        /,
        *,
        one: One = One(),
        where: Where = Where(),
        common: GroupCommon = GroupCommon(),
    ) -> int:
        """Show what was archived again.

        For example:

            lading {name} restore -n {example} -v 3
        """
        return _archive(group.kind, asset, one, where, common, archived=False)

    return run


def _archive(
    kind: AssetKind, asset: str | None, one: One, where: Where, common: GroupCommon, *, archived: bool
) -> int:
    reference = one.reference(kind, asset, where)
    console = Console(common)
    with opened(console, where) as context:
        workspace = assets.place_of(context, reference, writing=True)
        if reference.label:
            reference = reference.at(workspace.get(reference).version)
        changed = workspace.archive(reference.kind, reference.name, reference.version, archived=archived)
    names = [f"{each.name}:{each.version}" for each in changed]
    word = "archived" if archived else "restored"
    console.result(f"{word} {', '.join(names)}" if names else f"is {word} already", names)
    return 0


def show(group: Group) -> Verb:
    """Make the verb that shows one."""

    @group.tell
    def run(
        asset: Reference = None,
        /,
        *,
        one: One = One(),
        where: Where = Where(),
        common: GroupCommon = GroupCommon(),
    ) -> int:
        """Show {a_name}: {shows}.

        For example:

            lading {name} show -n {example} -v 3

            lading {name} show {example}@latest --json
        """
        console = Console(common)
        reference = one.reference(group.kind, asset, where)
        with opened(console, where) as context:
            found = assets.resolve(context, reference, group.kind)
            labels = [
                label
                for label, version in found.workspace.labels(group.kind, found.asset.name).items()
                if version == found.asset.version
            ]
        text = "\n".join(_lines(found.asset, labels))
        console.result(text, document(found.asset, labels, found.reference.registry))
        return 0

    return run


def list_(group: Group) -> Verb:
    """Make the verb that lists the latest of each name, or the versions of one."""

    @group.tell
    def run(
        *,
        name: Name = None,
        listed: Listed = Listed(),
        where: Where = Where(),
        common: GroupCommon = GroupCommon(),
    ) -> int:
        """List the {name}s, each by its latest version, or the versions of one.

        For example:

            lading {name} list

            lading {name} list -n {example} --include-archived
        """
        console = Console(common)
        with opened(console, where) as context:
            found = place(context, where).listed(group.kind, name, which=listed.which)
        rows = [
            [
                one.name,
                one.version,
                str(one.document.get("type") or one.document.get("image") or ""),
                size(one.size_bytes) if one.files else "",
                one.created[:19].replace("T", " "),
                "archived" if one.archived else "",
            ]
            for one in found
        ]
        header = ["NAME", "VERSION", "TYPE" if group.kind == "model" else "IMAGE", "SIZE", "CREATED", ""]
        console.table(header, rows, [document(one, registry=where.registry_name) for one in found])
        return 0

    return run


def update(group: Group) -> Verb:
    """Make the verb that edits what of a version may be edited."""

    @group.tell
    def run(
        asset: Reference = None,
        /,
        *,
        one: One = One(),
        set_: Set = (),
        remove: Annotated[tuple[str, ...], Parameter(negative="", consume_multiple=True)] = (),
        where: Where = Where(),
        common: GroupCommon = GroupCommon(),
    ) -> int:
        """Edit the {edits} of a version.

        For example:

            lading {name} update -n {example} -v 3 --set tags.team=a

            lading {name} update -n {example} -v 3 --remove tags.team

        Args:
            remove: Key to take away, such as tags.team.
        """
        console = Console(common)
        reference = one.reference(group.kind, asset, where)
        with opened(console, where) as context:
            workspace = assets.place_of(context, reference, writing=True)
            edited = workspace.edit(drafts.edition(workspace.get(reference), set_, remove))
        told = f"{edited.name}:{edited.version}  edited"
        console.result(told, document(edited, registry=where.registry_name))
        return 0

    return run


def label(group: Group) -> Verb:
    """Make the verb that gives a version a label, or takes it away."""

    @group.tell
    def run(
        word: str,
        asset: Reference = None,
        /,
        *,
        one: One = One(),
        remove: Annotated[bool, Parameter(negative="")] = False,
        where: Where = Where(),
        common: GroupCommon = GroupCommon(),
    ) -> int:
        """Give a version a label, by which it can be referred to: {example}@champion.

        For example:

            lading {name} label champion -n {example} -v 3

            lading {name} label champion -n {example} --remove

        Args:
            word: The label; it is taken from the version that had it.
            remove: Take the label away.
        """
        console = Console(common)
        reference = one.reference(group.kind, asset, where)
        with opened(console, where) as context:
            workspace = assets.place_of(context, reference, writing=True)
            if remove:
                workspace.unlabel(reference.kind, reference.name, word)
            else:
                workspace.label(reference, word)
            labels = workspace.labels(reference.kind, reference.name)
        told = ", ".join(f"{key} → {version}" for key, version in labels.items()) or "no labels"
        console.result(f"{reference.name}: {told}", labels)
        return 0

    return run


def share(group: Group) -> Verb:
    """Make the verb that copies a version into a registry."""

    @group.tell
    def run(
        asset: Reference = None,
        /,
        *,
        registry_name: str,
        one: One = One(),
        share_with_name: str | None = None,
        share_with_version: str | None = None,
        workspace: WorkspaceName = None,
        common: GroupCommon = GroupCommon(),
    ) -> int:
        """Copy a version of {a_name} into a registry.

        For example:

            lading {name} share -n {example} -v 3 --registry-name team

        Args:
            registry_name: The declared registry that it is copied to.
            share_with_name: Its name there; default: its own.
            share_with_version: Its version there; default: its own.
        """
        console, where = Console(common), Where(workspace)
        reference = one.reference(group.kind, asset, where)
        with opened(console, where) as context:
            found = assets.resolve(context, reference, group.kind)
            made = packages.share(
                context, found, registry_name, name=share_with_name, version=share_with_version
            )
        tell_created(console, made, Where(registry_name=registry_name))
        return 0

    return run


def delete(group: Group) -> Verb:
    """Make the verb that forgets a version."""

    @group.tell
    def run(
        asset: Reference = None,
        /,
        *,
        one: One = One(),
        where: Where = Where(),
        common: GroupCommon = GroupCommon(),
    ) -> int:
        """Forget a version of {a_name}{stays}.

        For example:

            lading {name} delete -n {example} -v 3
        """
        console = Console(common)
        reference = one.reference(group.kind, asset, where)
        if reference.version is None and reference.label is None:
            raise SpecError(Issue(group.kind, "no version is named", "give -v VERSION"))
        with opened(console, where) as context:
            gone = assets.place_of(context, reference, writing=True).delete(reference)
        console.result(f"deleted {gone.name}:{gone.version}", [f"{gone.name}:{gone.version}"])
        return 0

    return run


def _lines(asset: Asset, labels: Sequence[str]) -> Iterator[str]:
    archived = "archived" if asset.archived else ""
    head = (f"{asset.name}:{asset.version}", asset.content.short, amount(asset), archived)
    yield "  ".join(filter(None, head))
    if asset.description:
        yield f"  {asset.description}"
    yield ""
    rows = {
        **asset.document,
        "labels": ", ".join(labels),
        "tags": ", ".join(f"{key}={value}" for key, value in asset.tags.items()),
        "properties": ", ".join(f"{key}={value}" for key, value in asset.properties.items()),
        "created": asset.created[:19].replace("T", " "),
    }
    for key, value in rows.items():
        if value:
            yield f"{key:<16} {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
    for file in asset.files:
        yield f"{'file':<16} {size(file.size_bytes):>7}  {file.digest.short}  {file.path}"
