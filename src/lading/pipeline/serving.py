"""A package in the store goes in; it answers requests on this machine until it is told to stop."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import IO

from lading import servers
from lading.core.bill import Bill
from lading.core.errors import Issue, SpecError
from lading.core.patience import Patience
from lading.core.platform import Platform
from lading.core.ports import Event, Running
from lading.deploy import Address, is_well
from lading.pipeline import delivery, handed, packages, shelf
from lading.pipeline import fleet as fleet_room
from lading.pipeline.context import Context
from lading.pipeline.publish import near, refuse_taken
from lading.pipeline.running import on_port, temporary_folder, user

_STOP_S = 30.0
_LOAD_S = 600.0
_LOOK_S = 10.0
# what a user may set for a server (docs/server.md), but where it listens and what it serves
SERVER_SETTINGS = (
    "LADING_ACCESS_LOG",
    "LADING_ACCESS_LOG_SAMPLE",
    "LADING_ASYNC_CONCURRENCY",
    "LADING_BATCH_ROWS",
    "LADING_BATCH_WAIT_MS",
    "LADING_BIND_AFTER_S",
    "LADING_BODY_LIMIT_BYTES",
    "LADING_BODY_TIMEOUT_S",
    "LADING_BUFFER_LIMIT_BYTES",
    "LADING_COG_SHUTDOWN",
    "LADING_CONNECTION_LIMIT",
    "LADING_DEFAULT_ACCEPT",
    "LADING_DEPTH_LIMIT",
    "LADING_GRACE_S",
    "LADING_HEAD_TIMEOUT_S",
    "LADING_INFERENCE_LOG",
    "LADING_INFERENCE_LOG_FILES",
    "LADING_INFERENCE_LOG_MAX_BYTES",
    "LADING_INFERENCE_LOG_REDACT",
    "LADING_INFERENCE_LOG_SAMPLE",
    "LADING_KEEP_ALIVE_S",
    "LADING_LAME_DUCK_S",
    "LADING_LENIENT",
    "LADING_LOAD_TIMEOUT_S",
    "LADING_LOG_FORMAT",
    "LADING_LOG_LEVEL",
    "LADING_OPEN_METRICS",
    "LADING_PACKAGE_DIGEST",
    "LADING_QUEUE_LENGTH",
    "LADING_REQUEST_TIMEOUT_S",
    "LADING_ROW_LIMIT",
    "LADING_SERVED_NAME",
    "LADING_SERVED_VERSION",
    "LADING_SHARE_MODEL",
    "LADING_STRICT_MODEL_NAME",
    "LADING_TENSOR_LIMIT_BYTES",
    "LADING_TOKEN",
    "LADING_WEBHOOKS",
    "LADING_WORKERS",
    "LADING_WORKER_MEMORY_BYTES",
)
# what platforms set for a server, but its ports; a package that is served here answers as it would there
PLATFORM_SETTINGS = (
    "AIP_HEALTH_ROUTE",
    "AIP_MODEL_NAME",
    "AIP_PREDICT_ROUTE",
    "AML_CORS_ORIGINS",
    "CE_MERGE",
    "CE_SOURCE",
    "CE_TYPE",
    "MLFLOW_MODELS_WORKERS",
    "MLSERVER_MODEL_NAME",
    "MODEL_NAME",
    "SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT",
    "SAGEMAKER_MODEL_SERVER_WORKERS",
    "SAGEMAKER_MULTI_MODEL",
    "SCORING_TIMEOUT_MS",
    "SERVER_VERSION_LOG_RESPONSE_ENABLED",
    "SERVICE_NAME",
    "SERVICE_PATH_PREFIX",
    "SERVICE_VERSION",
    "WEB_CONCURRENCY",
    "WORKER_COUNT",
)


def serve(
    context: Context,
    text: str,
    *,
    host: str,
    port: int,
    grpc_port: int = 0,
    log: IO[bytes],
    sandbox: str | None = None,
    platform: Platform | None = None,
    compiled: bool = True,
    lenient: bool = False,
) -> int:
    """Run a package in a sandbox with this machine's network; return its exit status.

    The server's settings are this machine's `LADING_*` and `OTEL_*` variables, the files that they name
    included. What server and worker write goes to `log` as it comes. Not `compiled`, the model itself
    answers; `lenient`, values are cast as by MLflow's server; a `grpc_port` of 0 is no gRPC. Raises SpecError
    where a port is taken or a file is not there.
    """
    package = _find(context, text, platform, compiled=compiled)
    _refuse_taken(host, port, grpc_port)
    refuse_untold(package.bill, "--port", port, f"--port {package.bill.server.port}, or `lading run`")
    argv, env = on_port(package.image, package.bill, host, port)
    env |= {
        **shelf.identity(package, *shelf.served_as(context, text, package)),
        **server_settings(os.environ),
    }
    env |= {"LADING_GRPC_PORT": str(grpc_port), **({"LADING_LENIENT": "1"} if lenient else {})}
    with handed.files(os.environ) as given:
        env |= given.env
        return serve_package(
            context, package, argv, env, at=(host, port), sandbox=sandbox, log=log, mounts=given.mounts
        )


def serve_several(
    context: Context,
    texts: Sequence[str],
    *,
    host: str,
    port: int,
    grpc_port: int = 0,
    log: IO[bytes],
    sandbox: str | None = None,
    platform: Platform | None = None,
    compiled: bool = True,
    lenient: bool = False,
) -> int:
    """Run several packages, each in its own sandbox, behind one address; return the router's exit status.

    More of them are loaded, swapped and unloaded through the router (`lading_runtime.router`). Raises as
    `serve` does, and where one of them does not come up.
    """
    fleet_room.refuse_doubles(texts)
    _refuse_taken(host, port, grpc_port)

    find = partial(_find, context, platform=platform, compiled=compiled)
    env = server_settings(os.environ) | ({"LADING_LENIENT": "1"} if lenient else {})
    load_timeout_s = float(env.get("LADING_LOAD_TIMEOUT_S") or _LOAD_S)
    with handed.files(os.environ) as given, temporary_folder() as world:
        fleet_room.short_path(world)
        fleet = fleet_room.Fleet(
            context,
            world,
            find,
            env,
            sandbox=sandbox,
            log=log,
            load_timeout_s=load_timeout_s,
            grpc=bool(grpc_port),
        )
        try:
            _tell_of_records(context, env)
            fleet.load_all(texts)
            env |= {"LADING_HOST": host, "LADING_PORT": str(port), "LADING_GRPC_PORT": str(grpc_port)}
            env |= given.env
            return _route(context, fleet, world, env, sandbox=sandbox, log=log, mounts=given.mounts)
        except KeyboardInterrupt:
            return 0
        finally:
            fleet.stop()


def _refuse_taken(host: str, port: int, grpc_port: int) -> None:
    refuse_taken("serve", host, port, "choose another with --port")
    if grpc_port and grpc_port == port:
        raise SpecError(Issue("--grpc-port", f"{grpc_port} is the port of HTTP, too", "choose another"))
    if grpc_port:
        refuse_taken("serve", host, grpc_port, "choose another with --grpc-port")


def _find(context: Context, text: str, platform: Platform | None, *, compiled: bool) -> shelf.Package:
    """Find what answers: the package that is named, or the model's own where a form stands for it."""
    package = shelf.find(context, text, platform)
    return package if compiled else shelf.original(context, package)


def _route(
    context: Context,
    fleet: fleet_room.Fleet,
    world: Path,
    env: Mapping[str, str],
    *,
    sandbox: str | None,
    log: IO[bytes],
    mounts: Mapping[str, Path],
) -> int:
    """Run the router until it ends or is interrupted."""
    control = fleet_room.Control(fleet, world / "control")
    control.start()
    threading.Thread(target=fleet.watch, daemon=True).start()
    running = fleet_room.route(context, fleet, world, env, sandbox=sandbox, log=log, mounts=mounts)
    try:
        status = running.wait()
    except KeyboardInterrupt:
        return running.stop(_STOP_S)
    else:
        if status:
            what = f"the router, which listens for all packages, has ended with status {status}"
            context.events(Event("serve", "warning", what))
        return status
    finally:
        running.stop(0)
        control.shutdown()
        control.server_close()


def serve_package(
    context: Context,
    package: shelf.Package,
    argv: Sequence[str],
    env: Mapping[str, str],
    *,
    at: tuple[str, int] | None,
    sandbox: str | None,
    log: IO[bytes],
    mounts: Mapping[str, Path] | None = None,
) -> int:
    """Run a command on a package's layers until it ends or is interrupted; return its exit status.

    Tells of a wait for it to be ready, where it listens `at` an address.
    """
    _tell_of_records(context, env)
    lent = delivery.lend(context, package.bill)
    env, mounts = {**env, **lent.env}, {**(mounts or {}), **lent.mounts}
    opened = context.sandbox(
        package.image.layers, sandbox, platform=package.image.platform, user=user(package.image)
    )
    if opened.emulated:
        context.events(Event("serve", "warning", f"{package.image.platform} runs emulated: {opened.name}"))
    with temporary_folder() as tmp:
        running = opened.start(argv, env=env, tmp=tmp, network=True, mounts=mounts)
        running.follow(log)
        try:
            if at and "LADING_TLS_CERTIFICATE" not in env and package.bill.server.routes:
                _tell_of_wait(context, package.bill, running, at)
            return running.wait()
        except KeyboardInterrupt:
            return running.stop(_STOP_S)
        finally:
            running.stop(0)


def refuse_untold(bill: Bill, option: str, port: int, fix: str) -> None:
    """Raise SpecError for another port than that of a server which cannot be told."""
    if not servers.find(bill.server.name).is_told_port and port != bill.server.port:
        what = f"got {port}, and its server {bill.server.name!r} listens on {bill.server.port} alone"
        raise SpecError(Issue(option, what, fix))


def _tell_of_wait(context: Context, bill: Bill, running: Running, at: tuple[str, int]) -> None:
    """Tell every so often that it is not ready yet, until it is or ends."""
    told = servers.find(bill.server.name).is_told_port
    address = Address(host=near(at[0]), port=at[1] if told else bill.server.port)
    waiting = Patience(context.events, "serve", f"{bill.name} to be ready")
    readiness = packages.routes_of(bill)["readiness"]
    while True:
        try:
            running.wait(_LOOK_S)
        except TimeoutError:
            if is_well(address, readiness, _LOOK_S):
                return
            waiting.tell()
        else:
            return


def _tell_of_records(context: Context, env: Mapping[str, str]) -> None:
    """Warn of a file that goes with the sandbox that it is written in."""
    path = env.get("LADING_INFERENCE_LOG", "")
    if path not in {"", "-"}:
        what = f"LADING_INFERENCE_LOG={path}: a sandbox writes to its own /tmp alone, which goes with it"
        context.events(Event("serve", "warning", f"{what}; set -, or run the image with a volume"))


def server_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Pick the server's settings, and OpenTelemetry's and platforms', out of this machine's variables."""
    wanted = {*SERVER_SETTINGS, *PLATFORM_SETTINGS}
    return {name: value for name, value in environ.items() if name in wanted or name.startswith("OTEL_")}
