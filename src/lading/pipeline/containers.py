"""A package goes in; it runs in a container engine, or in lading's own sandbox where there is none."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import IO

from lading.core import canonical
from lading.core.errors import Issue, RegistryError, SpecError
from lading.core.image import Image
from lading.core.platform import Platform
from lading.core.ports import Event
from lading.core.reference import Reference
from lading.pipeline import delivery, shelf, transfer
from lading.pipeline.context import Context
from lading.pipeline.mend import dropping_damaged
from lading.pipeline.publish import Published, free_port, refuse_taken, url
from lading.pipeline.running import on_port, temporary_folder
from lading.pipeline.serving import refuse_untold, serve_package
from lading.sandbox import Engine, Order
from lading.sandbox import engine as find_engine
from lading.store import documents
from lading.store import export as exports
from lading.store.disk import translated

SANDBOX = "sandbox"
# where an engine keeps what lading gave it: no registry has this name, so nothing is taken for another
_REGISTRY = "lading.local"
_OTHER = "choose another with --publish"
_GRACE_S = 25.0
_PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a package is to run, as the command line has it."""

    engine: str | None = None
    """docker, podman or sandbox; None is the first that works."""
    publish: tuple[str, ...] = ()
    environment: Mapping[str, str] | None = None
    arguments: tuple[str, ...] = ()
    network: str | None = None
    name: str | None = None
    platform: Platform | None = None
    compiled: bool = True
    """Whether a compiled form may answer in its model's place."""


@dataclass(frozen=True, slots=True)
class Started:
    """A container that was left running."""

    engine: str
    container: str
    addresses: tuple[str, ...]


def run_package(context: Context, text: str, wanted: Wanted, *, log: IO[bytes]) -> int:
    """Run a package until it ends or is interrupted; return its exit status and leave no container behind.

    Raises SpecError where a port or name is taken, DeployError where the engine asked for does not work.
    """
    published = [Published.parse(one) for one in wanted.publish]
    package, wanted = _named(context, text, wanted)
    engine = _engine(context, wanted, package)
    if engine is None:
        return _run_in_sandbox(context, package, wanted, published, log)
    order, published = _order(context, package, wanted, published, engine)

    def tell(container: str) -> None:
        for address in _addresses(engine, container, published, _scheme(order.environment)):
            context.events(Event("run", "stage", f"{engine.name}: {address}"))

    return engine.run(order, log, tell)


def start_package(context: Context, text: str, wanted: Wanted) -> Started:
    """Start a package in an engine and leave it running."""
    published = [Published.parse(one) for one in wanted.publish]
    package, wanted = _named(context, text, wanted)
    engine = _engine(context, wanted, package)
    if engine is None:
        what = "the sandbox ends with lading, so it cannot be detached"
        raise SpecError(Issue("--detach", what, "install podman or docker, or leave --detach away"))
    order, published = _order(context, package, wanted, published, engine)
    container = engine.start(order)
    return Started(
        engine.name, container, tuple(_addresses(engine, container, published, _scheme(order.environment)))
    )


def _find(context: Context, text: str, wanted: Wanted) -> shelf.Package:
    """Find a package, or that of its model, here; else in the registry that its name begins with."""
    package = _find_here(context, text, wanted.platform)
    return package if wanted.compiled else shelf.original(context, package)


def _named(context: Context, text: str, wanted: Wanted) -> tuple[shelf.Package, Wanted]:
    """Find a package, and add to what the user sets what an image cannot know: its digest and its tag."""
    package = _find(context, text, wanted)
    told = {**shelf.identity(package, *shelf.served_as(context, text, package)), **(wanted.environment or {})}
    return package, replace(wanted, environment=told)


def _find_here(context: Context, text: str, platform: Platform | None) -> shelf.Package:
    try:
        return shelf.find(context, text, platform)
    except RegistryError:
        try:
            is_here = Reference.parse(text).registry is None
        except SpecError:
            is_here = True
        if is_here:
            raise
    moved = transfer.pull(context, text, platform=platform)
    context.events(Event("pull", "stage", f"{text}: {moved.digest}"))
    return shelf.find(context, text, platform)


def _engine(context: Context, wanted: Wanted, package: shelf.Package) -> Engine | None:
    if wanted.engine == SANDBOX:
        return None
    folder = context.settings.cache / "unpacked"
    with translated(folder):
        folder.mkdir(parents=True, exist_ok=True)
        return find_engine(wanted.engine, folder, package.image.platform)


def _order(
    context: Context, package: shelf.Package, wanted: Wanted, published: list[Published], engine: Engine
) -> tuple[Order, list[Published]]:
    """Say what to run, after the image was given to the engine."""
    environment = dict(wanted.environment or {})
    network = wanted.network
    if network is None and engine.name == "docker" and engine.ask("network", "inspect", "bridge") is None:
        what = "docker has no network of its own here: this machine's is used"
        context.events(Event("run", "warning", what))
        network = "host"
    default = environment.get("LADING_PORT") or str(package.bill.server.port)
    if not published and network in {None, "bridge"}:
        published = [Published.parse(f"127.0.0.1:{default}:{default}")]
    if network == "host":
        published = [_on_host(published, environment, int(default))]
    if _is_near():
        for one in published:
            if one.port:
                refuse_taken("run", one.host, one.port, _OTHER)
    lent = delivery.lend(context, package.bill)
    environment = {**lent.env, **environment}
    order = Order(
        mounts=lent.mounts,
        image=_image(context, package, engine),
        arguments=wanted.arguments,
        environment=environment,
        publish=() if network == "host" else tuple(one.text for one in published),
        network=network,
        name=wanted.name,
        stop_s=_stop_s(environment),
    )
    return order, published


def _run_in_sandbox(
    context: Context, package: shelf.Package, wanted: Wanted, published: list[Published], log: IO[bytes]
) -> int:
    for option, value in (("--name", wanted.name), ("--network", wanted.network)):
        if value not in {None, "host"}:
            fix = "install podman or docker, or leave it away"
            raise SpecError(Issue(option, "lading's sandbox has this machine's network and no names", fix))
    environment = dict(wanted.environment or {})
    default = environment.get("LADING_PORT") or str(package.bill.server.port)
    place = _on_host(published, environment, int(default) if default.isdecimal() else 0)
    own = wanted.arguments or [one for one in environment if not one.startswith("LADING_")]
    if not own:  # which may say it in the server's way
        port = package.bill.server.port
        refuse_untold(package.bill, "--publish", place.port, f"-p {port}:{port}, or use podman or docker")
    refuse_taken("run", place.host, place.port, _OTHER)
    context.events(Event("run", "stage", f"sandbox: {place.url(_scheme(environment))}"))
    argv, env = on_port(package.image, package.bill, place.host, place.port, wanted.arguments)
    env |= environment
    # what somebody else's arguments start may be no server
    at = None if wanted.arguments else (place.host, place.port)
    return serve_package(context, package, argv, env, at=at, sandbox=None, log=log)


def _on_host(published: list[Published], environment: dict[str, str], default: int) -> Published:
    """Let the server itself listen where a port would have been published: there is no network between."""
    if len(published) > 1:
        what = f"got {len(published)} ports, but on this machine's own network the server listens on one"
        raise SpecError(Issue("--publish", what, "name one port, or use podman or docker with a network"))
    host = environment.get("LADING_HOST") or "127.0.0.1"
    place = published[0] if published else Published(host, default, default, "")
    if not place.port:
        place = replace(place, port=free_port(place.host))
    environment["LADING_HOST"], environment["LADING_PORT"] = place.host, str(place.port)
    environment.setdefault("LADING_GRPC_PORT", "0")  # it would be this machine's
    return place


def _image(context: Context, package: shelf.Package, engine: Engine) -> str:
    """Return the ID of the package's image in the engine, bringing it there where it is not."""
    image = package.image
    config = documents.children(context.store, image.descriptor)[0]
    name = Reference(_REGISTRY, _word(package.bill.name), image.descriptor.digest.hex[:12])
    # docker with containerd's store names an image by its manifest, all others by its config
    digests = {one.hex: str(one) for one in (config.digest, image.descriptor.digest)}
    for known in (str(name), *digests.values()):
        made = engine.ask("image", "inspect", "--format", "{{.Id}}", known)
        if made is not None and made.removeprefix("sha256:") in digests:
            return known
    context.events(Event("run", "step", f"{engine.name} is given the image"))
    store = context.store
    with store.keeping(), dropping_damaged(store, documents.walk(store, image.descriptor)):
        store.ask_for(image.descriptor)
        if engine.name == "docker":
            events = context.events
            engine.tell(
                "load",
                "--quiet",
                stdin=lambda pipe: exports.stream(context.store, image.descriptor, pipe, name, events=events),
            )
        else:
            _give_layout(context, image, engine, str(name))
    return str(name)


def _give_layout(context: Context, image: Image, engine: Engine, name: str) -> None:
    """Let podman read the store's own blobs: it keeps the manifest, and with it the digest, as it is."""
    with temporary_folder() as tmp:
        folder = tmp / f"lading-{image.descriptor.digest.hex[:12]}"
        folder.mkdir()
        exports.link(context.store, image.descriptor, folder)
        made = engine.tell("pull", "--quiet", f"oci:{folder.name}", cwd=tmp).splitlines()[-1]
        engine.tell("tag", made, name)
        # some versions have made a name of the folder's
        shown = canonical.decode(engine.tell("image", "inspect", made).encode(), "podman image")
        for path_name in shown[0]["RepoTags"]:
            if folder.name in path_name:
                engine.tell("untag", made, path_name)


def _scheme(environment: Mapping[str, str] | None) -> str:
    return "https" if (environment or {}).get("LADING_TLS_CERTIFICATE") else "http"


def _addresses(engine: Engine, container: str, published: list[Published], scheme: str) -> list[str]:
    if all(one.port for one in published):
        return [one.url(scheme) for one in published]
    found = []
    for line in engine.ports(container):
        host, _, port = line.rpartition(":")
        found.append(url(host.strip("[]"), int(port), scheme))
    return sorted(set(found))


def _is_near() -> bool:
    """Tell whether the engine's ports are this machine's, as far as its client's variables say."""
    places = [os.environ.get(name, "") for name in ("DOCKER_HOST", "CONTAINER_HOST")]
    return "DOCKER_CONTEXT" not in os.environ and all(
        not place or place.startswith("unix:") for place in places
    )


def _stop_s(environment: Mapping[str, str]) -> float:
    """Return how long the server may take to end: its lame duck is within its grace."""
    try:
        return float(environment.get("LADING_GRACE_S", _GRACE_S)) + _PATIENCE_S
    except ValueError:
        return _GRACE_S + _PATIENCE_S


def _word(name: str) -> str:
    """Write a package's name as a repository's."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "package"
