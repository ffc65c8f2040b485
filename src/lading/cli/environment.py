"""`lading environment …`: environments in a workspace, as `az ml environment` has them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lading import pipeline
from lading.cli import assets as shown
from lading.cli.assets import File, Name, One, Reference, Set, Tags, Version, Where
from lading.cli.console import Console, GroupCommon
from lading.pipeline import assets


def create(
    *,
    file: File = None,
    set_: Set = (),
    name: Name = None,
    version: Version = None,
    image: Annotated[str | None, Parameter(name=["--image", "-i"])] = None,
    conda_file: Annotated[Path | None, Parameter(name=["--conda-file", "-c"])] = None,
    build_context: Annotated[Path | None, Parameter(name=["--build-context", "-b"])] = None,
    dockerfile_path: str | None = None,
    description: Annotated[str | None, Parameter(name=["--description", "-d"])] = None,
    tags: Tags = (),
    where: Where = Where(),  # noqa: B008 - frozen
    common: GroupCommon = GroupCommon(),  # noqa: B008 - frozen
) -> int:
    """Keep an environment in the workspace: an image with a conda file, an image alone, or a build context.

    Nothing is resolved or built before a package is made of it.

    For example:

        lading environment create -f environment.yml

        lading environment create -n sklearn-env --image debian:bookworm --conda-file conda.yaml

    Args:
        image: Base image: debian:bookworm, python:3.12-slim, registry/path:tag.
        conda_file: The libraries, as conda writes them.
        build_context: Folder of a Dockerfile, in place of an image.
        dockerfile_path: The Dockerfile, relative to its context.
        description: Words for people.
    """
    console = Console(common)
    with shown.opened(console, where) as context:
        flags = pipeline.Flags(
            name,
            version,
            description=description,
            tags=shown.pairs(tags),
            image=image,
            conda_file=conda_file,
            build_context=build_context,
            dockerfile_path=dockerfile_path,
        )
        draft = pipeline.environment_draft(file, set_, flags, console.event)
        made = assets.create(context, draft, registry_name=where.registry_name)
    shown.tell_created(console, made, where)
    return 0


def show(
    asset: Reference = None,
    /,
    *,
    one: One = One(),  # noqa: B008 - frozen
    where: Where = Where(),  # noqa: B008 - frozen
    common: GroupCommon = GroupCommon(),  # noqa: B008 - frozen
) -> int:
    """Show an environment: image, conda file, routes, tags and labels.

    For example:

        lading environment show -n sklearn-env -v 3

        lading environment show sklearn-env@latest --json
    """
    return shown.show(one.reference("environment", asset, where), where, Console(common))


def list_(
    *,
    name: Name = None,
    archived_only: Annotated[bool, Parameter(negative="")] = False,
    include_archived: Annotated[bool, Parameter(negative="")] = False,
    where: Where = Where(),  # noqa: B008 - frozen
    common: GroupCommon = GroupCommon(),  # noqa: B008 - frozen
) -> int:
    """List the environments, each by its latest version, or the versions of one.

    For example:

        lading environment list

        lading environment list -n sklearn-env --include-archived

    Args:
        archived_only: List what is archived.
        include_archived: List what is archived too.
    """
    return shown.list_(
        "environment", name, where, Console(common), archived_only=archived_only, all_=include_archived
    )


def archive(
    asset: Reference = None,
    /,
    *,
    one: One = One(),  # noqa: B008 - frozen
    where: Where = Where(),  # noqa: B008 - frozen
    common: GroupCommon = GroupCommon(),  # noqa: B008 - frozen
) -> int:
    """Hide a version of an environment, or all of them, from lists and from @latest.

    For example:

        lading environment archive -n sklearn-env -v 3
    """
    return shown.archive(one.reference("environment", asset, where), where, Console(common), archived=True)


def restore(
    asset: Reference = None,
    /,
    *,
    one: One = One(),  # noqa: B008 - frozen
    where: Where = Where(),  # noqa: B008 - frozen
    common: GroupCommon = GroupCommon(),  # noqa: B008 - frozen
) -> int:
    """Show what was archived again.

    For example:

        lading environment restore -n sklearn-env -v 3
    """
    return shown.archive(one.reference("environment", asset, where), where, Console(common), archived=False)


def update(
    asset: Reference = None,
    /,
    *,
    one: One = One(),  # noqa: B008 - frozen
    set_: Set = (),
    remove: Annotated[tuple[str, ...], Parameter(negative="", consume_multiple=True)] = (),
    where: Where = Where(),  # noqa: B008 - frozen
    common: GroupCommon = GroupCommon(),  # noqa: B008 - frozen
) -> int:
    """Edit the description, tags or properties of a version.

    For example:

        lading environment update -n sklearn-env -v 3 --set tags.team=a

        lading environment update -n sklearn-env -v 3 --remove tags.team

    Args:
        remove: Key to take away, such as tags.team.
    """
    return shown.update(one.reference("environment", asset, where), set_, remove, where, Console(common))


def label(
    word: str,
    asset: Reference = None,
    /,
    *,
    one: One = One(),  # noqa: B008 - frozen
    remove: Annotated[bool, Parameter(negative="")] = False,
    where: Where = Where(),  # noqa: B008 - frozen
    common: GroupCommon = GroupCommon(),  # noqa: B008 - frozen
) -> int:
    """Give a version a label, by which it can be referred to: sklearn-env@champion.

    For example:

        lading environment label champion -n sklearn-env -v 3

        lading environment label champion -n sklearn-env --remove

    Args:
        word: The label; it is taken from the version that had it.
        remove: Take the label away.
    """
    return shown.label(
        one.reference("environment", asset, where), word, where, Console(common), remove=remove
    )


def share(
    asset: Reference = None,
    /,
    *,
    registry_name: str,
    one: One = One(),  # noqa: B008 - frozen
    share_with_name: str | None = None,
    share_with_version: str | None = None,
    workspace: Annotated[str | None, Parameter(name=["--workspace", "--workspace-name", "-w"])] = None,
    common: GroupCommon = GroupCommon(),  # noqa: B008 - frozen
) -> int:
    """Copy a version of an environment into a registry.

    For example:

        lading environment share -n sklearn-env -v 3 --registry-name team

    Args:
        registry_name: The declared registry that it is copied to.
        share_with_name: Its name there; default: its own.
        share_with_version: Its version there; default: its own.
        workspace: Where it is; default: this machine's store.
    """
    where = Where(workspace)
    return shown.share(
        one.reference("environment", asset, where),
        registry_name,
        Console(common),
        name=share_with_name,
        version=share_with_version,
        where=where,
    )


def delete(
    asset: Reference = None,
    /,
    *,
    one: One = One(),  # noqa: B008 - frozen
    where: Where = Where(),  # noqa: B008 - frozen
    common: GroupCommon = GroupCommon(),  # noqa: B008 - frozen
) -> int:
    """Forget a version of an environment, and its labels; lading gc frees its space.

    For example:

        lading environment delete -n sklearn-env -v 3
    """
    return shown.delete(one.reference("environment", asset, where), where, Console(common))
