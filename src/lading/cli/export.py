"""`lading export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from lading.cli.console import Common, Console
from lading.core.errors import Issue, SpecError
from lading.core.platform import Platform
from lading.pipeline import shelf
from lading.pipeline.context import Context


def run(
    package: str,
    destination: Path,
    /,
    *,
    form: Annotated[
        Literal["oci", "oci-archive", "docker-archive"] | None, Parameter(name=["--format", "-f"])
    ] = None,
    docker_archive: Annotated[bool, Parameter(negative="")] = False,
    platform: str | None = None,
    force: Annotated[bool, Parameter(negative="")] = False,
    common: Common = Common(),
) -> int:
    """Write a package as an OCI layout folder, an OCI archive or a docker-archive.

    For example:

        lading export iris:1 iris.tar --format docker-archive && docker load -i iris.tar

        lading export iris:1 iris.tar --docker-archive

        lading export iris:1 layout/ && skopeo inspect oci:layout:iris:1

        lading export iris:1 arm.tar --format docker-archive --platform linux/arm64

    Args:
        package: A name, a digest, or the beginning of one.
        destination: File or folder to write.
        platform: The one to write, of a package of several. Default: all; docker-archive: this machine's.
        form: oci (a folder), oci-archive or docker-archive; default: oci-archive for *.tar, else oci.
        docker_archive: The same as --format docker-archive.
        force: Replace the destination if it is there.
    """
    console = Console(common)
    if docker_archive and form not in {None, "docker-archive"}:
        raise SpecError(Issue("--format", f"got {form!r} beside --docker-archive, expected one of them"))
    chosen = (
        "docker-archive"
        if docker_archive
        else form or ("oci-archive" if destination.suffix == ".tar" else "oci")
    )
    context = Context(common.settings(), console.event)
    one = Platform.parse(platform) if platform else None
    shelf.export(context, package, destination, chosen, overwrite=force, platform=one)
    console.result(str(destination), {"path": str(destination.absolute()), "format": chosen})
    return 0
