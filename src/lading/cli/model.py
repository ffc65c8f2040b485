"""`lading model …`: models in a workspace, as `az ml model` has them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lading import pipeline
from lading.cli import assets as shown
from lading.cli.assets import File, Name, One, Reference, Set, Tags, Version, Where
from lading.cli.console import Console, GroupCommon
from lading.cli.package import How, make
from lading.pipeline import assets


def create(
    *,
    file: File = None,
    set_: Set = (),
    name: Name = None,
    version: Version = None,
    type_: Annotated[
        str | None, Parameter(name=["--type", "-t"], help="custom_model, mlflow_model or triton_model.")
    ] = None,
    path: Annotated[str | None, Parameter(name=["--path", "-p"], help="Its file or folder.")] = None,
    description: Annotated[str | None, Parameter(name=["--description", "-d"])] = None,
    tags: Tags = (),
    stage: Annotated[str | None, Parameter(name=["--stage", "-s"])] = None,
    where: Where = Where(),  # noqa: B008 - frozen
    common: GroupCommon = GroupCommon(),  # noqa: B008 - frozen
) -> int:
    """Register a model in the workspace: a version of it, which never changes.

    The same content again is the version that has it. What the folder's .amlignore, or else its .gitignore,
    names is left out.

    For example:

        lading model create -f model.yml

        lading model create -n iris -v 3 --type mlflow_model --path ./model

    Args:
        description: Words for people.
        stage: Such as Production.
    """
    console = Console(common)
    with shown.opened(console, where) as context:
        flags = pipeline.Flags(name, version, type_, path, stage, description, tags=shown.pairs(tags))
        draft = pipeline.model_draft(file, set_, flags, console.event)
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
    """Show a model: type, tags, labels and files.

    For example:

        lading model show -n iris -v 3

        lading model show iris@latest --json
    """
    return shown.show(one.reference("model", asset, where), where, Console(common))


def list_(
    *,
    name: Name = None,
    archived_only: Annotated[bool, Parameter(negative="")] = False,
    include_archived: Annotated[bool, Parameter(negative="")] = False,
    where: Where = Where(),  # noqa: B008 - frozen
    common: GroupCommon = GroupCommon(),  # noqa: B008 - frozen
) -> int:
    """List the models, each by its latest version, or the versions of one.

    For example:

        lading model list

        lading model list -n iris --include-archived

    Args:
        archived_only: List what is archived.
        include_archived: List what is archived too.
    """
    return shown.list_(
        "model", name, where, Console(common), archived_only=archived_only, all_=include_archived
    )


def archive(
    asset: Reference = None,
    /,
    *,
    one: One = One(),  # noqa: B008 - frozen
    where: Where = Where(),  # noqa: B008 - frozen
    common: GroupCommon = GroupCommon(),  # noqa: B008 - frozen
) -> int:
    """Hide a version of a model, or all of them, from lists and from @latest.

    For example:

        lading model archive -n iris -v 3
    """
    return shown.archive(one.reference("model", asset, where), where, Console(common), archived=True)


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

        lading model restore -n iris -v 3
    """
    return shown.archive(one.reference("model", asset, where), where, Console(common), archived=False)


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
    """Edit the description, tags, properties or stage of a version.

    For example:

        lading model update -n iris -v 3 --set stage=Production tags.team=a

        lading model update -n iris -v 3 --remove tags.team

    Args:
        remove: Key to take away, such as tags.team.
    """
    return shown.update(one.reference("model", asset, where), set_, remove, where, Console(common))


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
    """Give a version a label, by which it can be referred to: iris@champion.

    For example:

        lading model label champion -n iris -v 3

        lading model label champion -n iris --remove

    Args:
        word: The label; it is taken from the version that had it.
        remove: Take the label away.
    """
    return shown.label(one.reference("model", asset, where), word, where, Console(common), remove=remove)


def download(
    asset: Reference = None,
    /,
    *,
    one: One = One(),  # noqa: B008 - frozen
    download_path: Annotated[Path, Parameter(name=["--download-path", "-p"])] = Path(),
    where: Where = Where(),  # noqa: B008 - frozen
    common: GroupCommon = GroupCommon(),  # noqa: B008 - frozen
) -> int:
    """Write the files of a model into a folder of its name.

    For example:

        lading model download -n iris -v 3 --download-path ./models

    Args:
        download_path: Folder in which the model's own is made; default: the current one.
    """
    console = Console(common)
    with shown.opened(console, where) as context:
        found = assets.resolve(context, one.reference("model", asset, where), "model")
        folder = assets.download(context, found, download_path)
    console.result(str(folder), {"path": str(folder), "id": str(found.reference)})
    return 0


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
    """Copy a version of a model into a registry.

    For example:

        lading model share -n iris -v 3 --registry-name team

    Args:
        registry_name: The declared registry that it is copied to.
        share_with_name: Its name there; default: its own.
        share_with_version: Its version there; default: its own.
        workspace: Where it is; default: this machine's store.
    """
    where = Where(workspace)
    return shown.share(
        one.reference("model", asset, where),
        registry_name,
        Console(common),
        name=share_with_name,
        version=share_with_version,
        where=where,
    )


def package(
    *,
    name: Annotated[str, Parameter(name=["--name", "-n"])],
    version: Annotated[str | None, Parameter(name=["--version", "-v"])] = None,
    label: Annotated[str | None, Parameter(name=["--label", "-l"])] = None,
    file: File = None,
    set_: Set = (),
    how: How = How(),  # noqa: B008 - frozen
    where: Where = Where(),  # noqa: B008 - frozen
    common: GroupCommon = GroupCommon(),  # noqa: B008 - frozen
) -> int:
    """Package a model, as `lading package create` does: `az ml model package`.

    For example:

        lading model package -n iris -v 1 -f package.yml

        lading model package -n iris -v 1 -f package.yml --registry-name team

    Args:
        name: The model's name.
        version: The model's version; default: the latest.
        label: One of its labels.
    """
    reference = One(name, version, label).reference("model", None, where)
    return make(reference, file, set_, how, Console(common), where=Where(where.workspace))


def delete(
    asset: Reference = None,
    /,
    *,
    one: One = One(),  # noqa: B008 - frozen
    where: Where = Where(),  # noqa: B008 - frozen
    common: GroupCommon = GroupCommon(),  # noqa: B008 - frozen
) -> int:
    """Forget a version of a model, and its labels; lading gc frees its space.

    For example:

        lading model delete -n iris -v 3
    """
    return shown.delete(one.reference("model", asset, where), where, Console(common))
