"""`lading environment …`: environments in a workspace, as `az ml environment` has them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lading.cli import assets as shown
from lading.cli import verbs
from lading.cli.assets import File, Name, Set, Tags, Version, Where
from lading.cli.console import Console, GroupCommon
from lading.pipeline import assets, drafts
from lading.pipeline.drafts import Flags

_ENVIRONMENTS = verbs.Group(
    "environment",
    "an environment",
    "sklearn-env",
    shows="image, conda file, routes, tags and labels",
)
show = verbs.show(_ENVIRONMENTS)
list_ = verbs.list_(_ENVIRONMENTS)
archive = verbs.archive(_ENVIRONMENTS)
restore = verbs.restore(_ENVIRONMENTS)
update = verbs.update(_ENVIRONMENTS)
label = verbs.label(_ENVIRONMENTS)
share = verbs.share(_ENVIRONMENTS)
delete = verbs.delete(_ENVIRONMENTS)


def create(
    *,
    file: File = None,
    set_: Set = (),
    name: Name = None,
    version: Version = None,
    image: Annotated[str | None, Parameter(name=["--image", "-i"])] = None,
    conda_file: Annotated[Path | None, Parameter(name=["--conda-file", "-c"])] = None,
    build_context: Annotated[Path | None, Parameter(name=["--build-context", "-b"])] = None,
    dockerfile_path: Annotated[str | None, Parameter(name=["--dockerfile-path", "-d"])] = None,
    description: str | None = None,
    tags: Tags = (),
    where: Where = Where(),
    common: GroupCommon = GroupCommon(),
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
        flags = Flags(
            name,
            version,
            description=description,
            tags=shown.pairs(tags),
            image=image,
            conda_file=conda_file,
            build_context=build_context,
            dockerfile_path=dockerfile_path,
        )
        draft = drafts.environment(file, set_, flags, console.event)
        made = assets.create(context, draft, registry_name=where.registry_name)
    shown.tell_created(console, made, where)
    return 0
