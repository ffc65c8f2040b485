"""`lading model …`: models in a workspace, as `az ml model` has them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lading.cli import assets as shown
from lading.cli import verbs
from lading.cli.assets import File, Name, One, Reference, Set, Tags, Version, Where
from lading.cli.console import Console, GroupCommon
from lading.cli.package import How, make
from lading.pipeline import assets, drafts
from lading.pipeline.drafts import Flags

_MODELS = verbs.Group(
    "model",
    "a model",
    "iris",
    shows="type, tags, labels and files",
    edits="description, tags, properties or stage",
)
show = verbs.show(_MODELS)
list_ = verbs.list_(_MODELS)
archive = verbs.archive(_MODELS)
restore = verbs.restore(_MODELS)
update = verbs.update(_MODELS)
label = verbs.label(_MODELS)
share = verbs.share(_MODELS)
delete = verbs.delete(_MODELS)


def create(
    *,
    file: File = None,
    set_: Set = (),
    name: Name = None,
    version: Version = None,
    type_: Annotated[
        str | None, Parameter(name=["--type", "-t"], help="custom_model, mlflow_model or triton_model.")
    ] = None,
    path: Annotated[
        str | None, Parameter(name=["--path", "-p"], help="Its file or folder, models:/… or runs:/… .")
    ] = None,
    description: Annotated[str | None, Parameter(name=["--description", "-d"])] = None,
    tags: Tags = (),
    stage: Annotated[str | None, Parameter(name=["--stage", "-s"])] = None,
    where: Where = Where(),
    common: GroupCommon = GroupCommon(),
) -> int:
    """Register a model in the workspace: a version of it, which never changes.

    The same content again is the version that has it. What the folder's .amlignore, or else its .gitignore,
    names is left out.

    For example:

        lading model create -f model.yml

        lading model create -n iris -v 3 --type mlflow_model --path ./model

        lading model create -n iris --type mlflow_model --path models:/iris@champion

    Args:
        description: Words for people.
        stage: Such as Production.
    """
    console = Console(common)
    with shown.opened(console, where) as context:
        flags = Flags(name, version, type_, path, stage, description, tags=shown.pairs(tags))
        draft = drafts.model(file, set_, flags, console.event)
        made = assets.create(context, draft, registry_name=where.registry_name)
    shown.tell_created(console, made, where)
    return 0


def download(
    asset: Reference = None,
    /,
    *,
    one: One = One(),
    download_path: Annotated[Path, Parameter(name=["--download-path", "-p"])] = Path(),
    where: Where = Where(),
    common: GroupCommon = GroupCommon(),
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


def package(
    *,
    name: Annotated[str, Parameter(name=["--name", "-n"])],
    version: Annotated[str | None, Parameter(name=["--version", "-v"])] = None,
    label: Annotated[str | None, Parameter(name=["--label", "-l"])] = None,
    file: File = None,
    set_: Set = (),
    how: How = How(),
    where: Where = Where(),
    common: GroupCommon = GroupCommon(),
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
