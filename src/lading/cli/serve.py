"""`lading serve`."""

from __future__ import annotations

import sys
from functools import partial
from typing import Annotated

from cyclopts import Parameter

from lading.cli.console import Common, Console, SandboxKind
from lading.core.platform import Platform
from lading.pipeline import serving
from lading.pipeline.context import Context


def run(
    package: str,
    /,
    *more: str,
    port: Annotated[int, Parameter(alias="-p")] = 8080,
    grpc_port: int = 0,
    host: str = "127.0.0.1",
    sandbox: SandboxKind | None = None,
    platform: str | None = None,
    repository: Annotated[bool, Parameter(negative="")] = False,
    no_compile: Annotated[bool, Parameter(negative="")] = False,
    lenient: Annotated[bool, Parameter(negative="")] = False,
    common: Common = Common(),
) -> int:
    """Run one or more packages and answer requests on this machine.

    For example:

        lading serve iris:1

        lading serve iris:1 --port 9000 --host 0.0.0.0 --grpc-port 9001

        curl localhost:8080/v2/health/ready

        lading serve iris:1 digits:2

        lading serve iris:1 --repository

        curl -X POST localhost:8080/v2/repository/models/iris/load -d '{"parameters": {"version": "2"}}'

    Args:
        package: A name, a digest, or the beginning of one.
        more: Further packages; each is served in its own environment, under /v2/models/NAME and /models/NAME.
        port: Port to listen on; default: 8080.
        grpc_port: Port to answer gRPC on; default: 0, none.
        host: Address to listen on; default: 127.0.0.1, this machine alone.
        sandbox: unshare, bwrap, podman or docker; default: the first that works.
        platform: One of a package of several platforms; default: this machine's.
        repository: Load, swap and unload packages through the v2 repository API, as with several packages.
        no_compile: Let the model itself answer, with its libraries, where a compiled form would.
        lenient: Cast values as MLflow's own server does, whatever is lost: 1.7 for a long is 1.
    """
    console = Console(common)
    context = Context(common.settings(), console.event)
    serve = (
        partial(serving.serve_several, context, (package, *more))
        if more or repository
        else partial(serving.serve, context, package)
    )
    return serve(
        host=host,
        port=port,
        grpc_port=grpc_port,
        log=sys.stderr.buffer,
        sandbox=sandbox,
        platform=Platform.parse(platform) if platform else None,
        compiled=not no_compile,
        lenient=lenient,
    )
