"""`lading run`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from lading.cli.console import Common, Console
from lading.core.platform import Platform
from lading.pipeline import containers, variables
from lading.pipeline.containers import Started, Wanted
from lading.pipeline.context import Context


def run(
    package: str,
    /,
    *arguments: str,
    engine: Literal["docker", "podman", "sandbox"] | None = None,
    publish: Annotated[tuple[str, ...], Parameter(alias="-p", negative="")] = (),
    env: Annotated[tuple[str, ...], Parameter(alias="-e", negative="")] = (),
    env_file: Annotated[tuple[Path, ...], Parameter(negative="")] = (),
    network: str | None = None,
    name: str | None = None,
    platform: str | None = None,
    no_compile: Annotated[bool, Parameter(negative="")] = False,
    detach: Annotated[bool, Parameter(alias="-d", negative="")] = False,
    common: Common = Common(),
) -> int:
    """Run a package in docker, podman or lading's sandbox, and follow its log.

    For example:

        lading run iris:1

        lading run iris:1 -p 9000:8080 -e LADING_LOG_LEVEL=debug --engine podman

        lading run registry.example.com/iris:1 --env-file settings.env --detach

    Ctrl-C stops it gracefully; its exit status is the container's. The engine keeps the image, as
    lading.local/NAME, for the next start.

    Args:
        package: A name, a digest, or the beginning of one; what is not here is pulled from its registry.
        arguments: What the image's entry point is given in place of its own arguments; after `--`.
        engine: docker, podman or sandbox; default: the first that works.
        publish: [[IP:]HOST:]CONTAINER, as engines have it; default: 127.0.0.1:8080:8080.
        env: KEY=VALUE, or KEY to hand on your own variable.
        env_file: File of such lines.
        network: The engine's network to join, or host; default: the engine's own.
        name: What the engine calls the container.
        platform: One of a package of several platforms; default: this machine's.
        no_compile: Let the model itself answer, with its libraries, where a compiled form would.
        detach: Leave it running; print the container's ID.
    """
    console = Console(common)
    context = Context(common.settings(), console.event)
    wanted = Wanted(
        engine=engine,
        publish=publish,
        environment=variables.read(env, env_file),
        arguments=arguments,
        network=network,
        name=name,
        platform=Platform.parse(platform) if platform else None,
        compiled=not no_compile,
    )
    if not detach:
        return containers.run_package(context, package, wanted, log=sys.stderr.buffer)
    _tell(console, containers.start_package(context, package, wanted))
    return 0


def _tell(console: Console, started: Started) -> None:
    for address in started.addresses:
        console.stage("run", f"{started.engine}: {address}")
    console.stage("run", f"stop it with: {started.engine} stop {started.container[:12]}")
    document = {
        "engine": started.engine,
        "container": started.container,
        "addresses": list(started.addresses),
    }
    console.result(started.container, document)
