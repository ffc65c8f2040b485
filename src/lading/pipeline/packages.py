"""Model packages as Azure ML has them: made from a description and a model, found again as environments."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lading.core import typed
from lading.core.assets import Asset, AssetDraft, AssetReference
from lading.core.bill import Bill
from lading.core.digest import Digest
from lading.core.errors import Issue, RegistryError, SpecError
from lading.core.ports import Events, Store
from lading.core.reference import Reference
from lading.core.server import NATIVE
from lading.core.spec import Example
from lading.pipeline import assets, shelf, transfer
from lading.pipeline.assets import Found
from lading.pipeline.context import Context, in_full, keeping
from lading.pipeline.packaging import Composed, compose, repository
from lading.pipeline.packing import pack
from lading.pipeline.sealing import Packed
from lading.pipeline.supplied import IMAGES
from lading.spec.azureml import package as azure
from lading.spec.azureml import text
from lading.spec.azureml.package import ModelPackage
from lading.spec.typed import read_text
from lading.store import LayoutStore
from lading.workspace import Created as Kept
from lading.workspace import Which, Workspace
from lading.workspace.workspace import How

KEY = "package"
"""What an environment's document has of the package that it is."""
_OBJECTS = ("model_configuration", "base_environment_source", "environment_variables")

_WRITTEN = (
    "base_environment_source",
    "inferencing_server",
    "model_configuration",
    "inputs",
    "environment_variables",
    "tags",
)


@dataclass(frozen=True, slots=True)
class Created:
    """What packaging came to: an environment, and the package that it is."""

    environment: Found
    how: How
    packed: Packed
    image: str
    """Where the image is had: a name in this machine's store, or in a registry."""

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            **shown(self.environment),
            "how": self.how,
            "image": self.image,
            "packed": self.packed.to_json(),
        }


def describe(path: Path | None, overrides: Sequence[str], events: Events) -> ModelPackage:
    """Read a package's file, or what overrides alone say; raise SpecError with every issue."""
    return azure.load(path, overrides, events) if path else azure.parse("", None, overrides, events)


def samples(request: Path | None, response: Path | None) -> tuple[Example, ...]:
    """Read a request to verify with, and what it has to be answered; SpecError where they are no JSON."""
    if request is None:
        if response is not None:
            raise SpecError(Issue("--sample-response", "stands without --sample-request"))
        return ()
    return (Example(_json(request), _json(response) if response else None, name="sample request"),)


def _json(path: Path) -> Any:  # noqa: ANN401 - any JSON value
    try:
        return json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise SpecError(Issue(str(path), f"is no JSON: {error}")) from error


def written(found: Found) -> str:
    """Write the file that makes a package again: every reference as it was resolved."""
    record = found.asset.document[KEY]
    is_here = found.reference.registry is None and found.reference.workspace is None
    target = f"{found.asset.name}:{found.asset.version}" if is_here else found.reference
    document = {"target_environment": str(target), **{key: record[key] for key in _WRITTEN if key in record}}
    return text.dump_plain(document)


@keeping
def create(
    context: Context,
    package: ModelPackage,
    model: str | AssetReference,
    *,
    examples: tuple[Example, ...] = (),
    upgrade: bool = False,
    verify: bool = True,
    sandbox: str | None = None,
    allow_unsafe: tuple[str, ...] = (),
) -> Created:
    """Package a model, and keep the package as the environment that the description names.

    A target without a version gets the next one, or that of the same package. Raises the family of the stage
    that fails; nothing has a name then.
    """
    target = package.target
    workspace = assets.place_of(context, target, writing=True)
    composed = compose(context, package, model, examples=examples)
    spec = replace(composed.spec, allow_unsafe=allow_unsafe)
    packed = pack(context, spec, names=None, upgrade=upgrade, verify=verify, sandbox=sandbox)
    with _images(context, target) as (store, name):
        if store is not context.store:
            transfer.send(context, packed.descriptor, store, name)
        draft = AssetDraft(
            "environment",
            target.name,
            target.version,
            tags=package.tags,
            document=_document(context, composed, packed, name),
        )
        made = workspace.create(draft)
        image = name.with_tag(made.asset.version)
        store.tag(in_full(image), packed.descriptor)
    return Created(Found(made.asset, workspace, target.at(made.asset.version)), made.how, packed, str(image))


def find(context: Context, reference: str | AssetReference) -> Found:
    """Find a package by what an environment is referred to by; SpecError where that is none."""
    found = assets.resolve(context, reference, "environment")
    if not is_package(found.asset):
        what = "is an environment, and no package"
        raise SpecError(Issue(str(found.reference), what, "make one with it: lading package create"))
    return found


def listed(
    workspace: Workspace, name: str | None = None, *, registry: str | None = None, which: Which = "active"
) -> list[Found]:
    """List the packages of a workspace or registry: the latest of each, or every version of a name."""
    return [
        Found(one, workspace, replace(one.reference, registry=registry))
        for one in workspace.listed("environment", name, which=which)
        if is_package(one)
    ]


def is_package(asset: Asset) -> bool:
    """Tell whether an environment was made by `create`, with all that is read of it."""
    package = asset.document.get(KEY)
    if asset.kind != "environment" or not isinstance(package, dict):
        return False
    server = package.get("inferencing_server")
    known = server if isinstance(server, dict) else {}
    texts = (package.get("model"), package.get("digest"), asset.document.get("image"), known.get("type"))
    routes = asset.document.get("inference_config", {})
    objects = [package.get(key, {}) for key in _OBJECTS] + [known.get("code_configuration", {}), routes]
    is_whole = all(isinstance(one, str) for one in texts) and all(isinstance(one, dict) for one in objects)
    return is_whole and all(
        isinstance(one, dict) and {"port", "path"} <= one.keys() for one in routes.values()
    )


@keeping
def bring(context: Context, found: Found) -> Digest:
    """Have a package's image in this machine's store, and return its digest.

    RegistryError where it is not where the package is kept any more.
    """
    digest = Digest.parse(str(found.asset.document[KEY]["digest"]))
    if transfer.is_whole(context, digest):
        return digest
    with _images(context, found.reference) as (store, name):
        if store is context.store:
            what = f"its image {digest.short} is not in the store any more"
            raise RegistryError(Issue(str(found.reference), what, "make it again: lading package create"))
        transfer.receive(context, store, replace(name, digest=digest))
    return digest


@keeping
def share(
    context: Context, found: Found, registry: str, *, name: str | None = None, version: str | None = None
) -> Kept:
    """Copy an environment into a registry, with its image where it is a package."""
    if not is_package(found.asset):
        return assets.share(context, found, registry, name=name, version=version)
    asset = found.asset
    target = AssetReference("environment", name or asset.name, version or asset.version, registry=registry)
    descriptor = context.store.find(str(bring(context, found)))
    with _images(context, target) as (store, image):
        transfer.send(context, descriptor, store, image)
        draft = AssetDraft(
            "environment",
            target.name,
            target.version,
            asset.description,
            asset.tags,
            asset.properties,
            {**asset.document, "image": f"{image}@{descriptor.digest}"},
        )
        made = assets.place_of(context, target, writing=True).create(draft)
        store.tag(in_full(image.with_tag(made.asset.version)), descriptor)
    return made


def shown(found: Found) -> dict[str, Any]:
    """Return a package as JSON values."""
    asset = found.asset
    return {
        "id": str(found.reference),
        "name": asset.name,
        "version": asset.version,
        "tags": dict(asset.tags),
        "created": asset.created,
        "archived": asset.archived,
        **asset.document,
    }


def routes_of(bill: Bill) -> dict[str, str]:
    """Return where a package's server answers whoever speaks Azure ML's contract, as the native one does."""
    return {**bill.server.routes, **({"scoring": "/score"} if bill.server.name == NATIVE else {})}


@contextmanager
def _images(context: Context, target: AssetReference) -> Iterator[tuple[Store, Reference]]:
    """Open where the images of a package's target are kept, and name their repository."""
    place, _ = assets.where(context, target, writing=True)
    name = Reference(None, repository(target.name))
    if place is None:
        yield context.store, name
    elif place.folder:
        yield LayoutStore(place.folder), name
    else:
        assert place.repository is not None
        there = place.repository.of(replace(name, repository=IMAGES + name.repository))
        with context.registry(there, plain_http=place.repository.plain_http) as store:
            yield store, there


def _document(context: Context, composed: Composed, packed: Packed, name: Reference) -> dict[str, Any]:
    """Write a package down as an environment that serves by itself, with all that was resolved."""
    bill = shelf.find(context, str(packed.digest)).bill
    settings = bill.server.settings
    routes = {}
    paths = routes_of(bill)
    for key, given in (
        ("liveness", settings.liveness),
        ("readiness", settings.readiness),
        ("scoring", settings.scoring),
    ):
        if path := paths.get(key):
            port = given.port if given else bill.server.port
            routes[f"{key}_route"] = {"port": port, "path": path}
    written = text.plain(composed.package, None)
    del written["target_environment"]
    return {
        "image": f"{name}@{packed.digest}",
        **({"inference_config": routes} if routes else {}),
        KEY: {
            "digest": str(packed.digest),
            "model": str(composed.model.reference),
            "used": [typed.to_json(one) for one in composed.spec.used],
            **written,
        },
    }
