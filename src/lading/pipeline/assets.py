"""References go in; assets come out, of the workspace at hand or a declared registry, with their files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from lading.core.assets import Asset, AssetDraft, AssetFile, AssetKind, AssetReference, plural
from lading.core.descriptor import Descriptor
from lading.core.digest import Digest
from lading.core.errors import IntegrityError, Issue, ModelError, SpecError
from lading.core.model import ModelFile
from lading.core.ports import Event
from lading.core.reference import Reference
from lading.pipeline import registries, tracked
from lading.pipeline.context import Context, keeping
from lading.settings import Place
from lading.store import LayoutStore, RegistryStore
from lading.workspace import Created, Shelf, Workspace, list_files, types
from lading.workspace.artefact import FILE
from lading.workspace.tally import Tally

PREFIX = "assets/"
"""What the repositories of assets begin with, in the store as in a registry."""
_AT_ONCE = 8
ANONYMOUS_ENVIRONMENT = "CliV2AnonymousEnvironment"
"""Azure's name for an environment that stands in a deployment's file; its version is its content."""


@dataclass(frozen=True)
class Found:
    """An asset, and where it was found."""

    asset: Asset
    workspace: Workspace
    reference: AssetReference
    """With the version that was found, and the registry or workspace it lies in."""


def here(context: Context) -> Workspace:
    """Open the workspace at hand: the one named in the settings, or this machine's store."""
    return _opened(context, *_here(context))


def registry(context: Context, name: str) -> Workspace:
    """Open a declared registry; SpecError, with those that are declared, for another."""
    return _opened(context, *_registry(context, name))


def place_of(context: Context, reference: AssetReference, *, writing: bool = False) -> Workspace:
    """Open what a reference leads to; a workspace that nobody declared is the one at hand, and that is told.

    SpecError for such a workspace where something is to be written, and for a registry that is not declared.
    """
    return _opened(context, *where(context, reference, writing=writing))


def where(context: Context, reference: AssetReference, *, writing: bool = False) -> tuple[Place | None, str]:
    """Tell what a reference leads to, None for this machine's store, and what people call it."""
    if reference.registry:
        return _registry(context, reference.registry)
    if reference.workspace is None:
        return _here(context)
    place = context.settings.workspaces.get(reference.workspace)
    named = f"workspace {reference.workspace!r}"
    if place is not None:
        return place, named
    if writing and reference.workspace != context.settings.workspace:
        fix = "declare it in the configuration, under [workspaces], or leave the location out"
        raise SpecError(Issue(named, "is not declared, so nothing can be created there", fix))
    what = f"{named} is not declared: {reference.name!r} is looked up by name in the one at hand"
    context.events(Event("assets", "warning", what))
    return _here(context)


def _here(context: Context) -> tuple[Place | None, str]:
    name = context.settings.workspace
    if not name:
        return None, "the workspace"
    place = context.settings.workspaces.get(name)
    if place is None:
        try:
            place = Place.parse(name)
        except SpecError as error:
            known = ", ".join(context.settings.workspaces) or "none"
            what = f"is not declared; known: {known}"
            raise SpecError(Issue(f"workspace {name!r}", what, error.issues[0].what)) from error
    return place, f"workspace {name!r}"


def _registry(context: Context, name: str) -> tuple[Place, str]:
    return registries.place(context.settings, name), f"registry {name!r}"


def _opened(context: Context, place: Place | None, name: str) -> Workspace:
    return _local(context, context.store, name) if place is None else _open(context, place, name)


def resolve(context: Context, text: str | AssetReference, kind: AssetKind) -> Found:
    """Find what a reference in any form means now; the version found is in the answer, whatever was asked by.

    SpecError for what is no reference, RegistryError, with near names, for what is not there.
    """
    reference = AssetReference.parse(text, kind) if isinstance(text, str) else text
    workspace = place_of(context, reference)
    asset = workspace.get(reference)
    if reference.version is None:
        asked = f"@{reference.label}" if reference.label else " without a version"
        what = f"{kind} {reference.name}{asked} is version {asset.version}"
        context.events(Event("assets", "step", what))
    declared = reference.workspace if reference.workspace in context.settings.workspaces else None
    return Found(asset, workspace, replace(reference.at(asset.version), workspace=declared))


@keeping
def create(context: Context, draft: AssetDraft, *, registry_name: str | None = None) -> Created:
    """Keep an asset in the workspace at hand, or in a registry; its files are read where the draft says."""
    workspace = registry(context, registry_name) if registry_name else here(context)
    draft = tracked.asset(context, draft)
    files = list_files(draft.path, keeps_name=draft.kind in {"model", "code"}) if draft.path else ()
    if draft.kind == "model":
        _check_model(context, draft, files)
    return workspace.create(draft, files, digest_of=context.digests.of)


def _check_model(context: Context, draft: AssetDraft, files: Sequence[ModelFile]) -> None:
    """Raise SpecError where the files are no model of the type; tell where they look like another."""
    kind = draft.document.get("type", "custom_model")
    where = str(draft.path)
    if issues := list(types.problems(kind, files, where)):
        raise SpecError(*issues)
    if kind == "custom_model" and types.looks_like_mlflow(files):
        what = f"{where} looks like an MLflow model: with type: mlflow_model it needs no scoring script"
        context.events(Event("assets", "warning", what))


@keeping
def anonymous(context: Context, draft: AssetDraft) -> Found:
    """Keep an environment that stands in another's file: the same content is the same version."""
    files = list_files(draft.path, keeps_name=False) if draft.path else ()
    workspace = here(context)
    probe = workspace.content_of(draft, files, digest_of=context.digests.of)
    named = replace(draft, name=ANONYMOUS_ENVIRONMENT, version=probe.hex)
    asset = workspace.create(named, files, digest_of=context.digests.of).asset
    return Found(asset, workspace, asset.reference)


def files(context: Context, found: Found) -> tuple[ModelFile, ...]:
    """Give an asset's files, each at a path on this machine: a blob of the store, fetched if need be.

    The paths are as in `AZUREML_MODEL_DIR`. IntegrityError where a file is not what the asset says.
    """
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        unique = {one.digest: one for one in found.asset.files}.values()
        shelf, tally = found.workspace.shelf_of(found.asset.kind), Tally("download", unique, context.events)
        list(pool.map(lambda one: _bring(context, shelf, one, tally.of(one)), unique))
    return tuple(
        ModelFile(one.path, context.store.path(one.digest), one.size_bytes) for one in found.asset.files
    )


@keeping
def materialise(context: Context, found: Found) -> Path:
    """Return a folder with an asset's files, to be read alone: hard links to the store, kept in the cache.

    It is made once for the same content, and is never seen in part. A model's folder holds what
    `AZUREML_MODEL_DIR` holds: the registered folder under its own name, or the single file.
    """
    folder = context.settings.cache / "assets" / found.asset.content.hex
    if folder.is_dir():
        if _is_sound(context, found.asset, folder):
            return folder
        shutil.rmtree(folder, ignore_errors=True)
    write(context, found, folder, link=True)
    if not _is_sound(context, found.asset, folder):
        what = "has a file in the store whose bytes were changed"
        raise IntegrityError(Issue(str(found.reference), what, "lading fsck --repair, and create it again"))
    return folder


def _is_sound(context: Context, asset: Asset, folder: Path) -> bool:
    """Tell whether files are what an asset says; those that have not changed since are not read again."""
    try:
        return all(context.digests.of(folder / one.path) == one.digest for one in asset.files)
    except ModelError:
        return False


def root(folder: Path, asset: Asset) -> Path:
    """Return the model in a folder that an asset was written to: its one file, or its one folder."""
    tops = {one.path.partition("/")[0] for one in asset.files}
    return folder / tops.pop() if len(tops) == 1 else folder


@keeping
def download(context: Context, found: Found, destination: Path) -> Path:
    """Write an asset's files into `destination/NAME`, as Azure does; SpecError where that is there."""
    folder = destination / found.asset.name
    if folder.exists():
        raise SpecError(Issue(str(folder), "is there already", "name another folder with --download-path"))
    if not found.asset.files:
        raise SpecError(Issue(f"{found.asset.kind} {found.asset.name!r}", "has no files to download"))
    return write(context, found, folder, link=False)


def write(context: Context, found: Found, folder: Path, *, link: bool) -> Path:
    """Write an asset's files into a folder that is not there yet, and appears whole."""
    partial = folder.with_name(f".partial-{folder.name[:40]}-{os.urandom(4).hex()}")
    try:
        for file, source in zip(found.asset.files, files(context, found), strict=True):
            path = partial / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            if not link or file.is_executable or not _link(source.source, path):
                _copy(source.source, path, file.digest)
                path.chmod(0o755 if file.is_executable else 0o644)
        try:
            partial.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


@keeping
def share(
    context: Context, found: Found, registry_name: str, *, name: str | None = None, version: str | None = None
) -> Created:
    """Copy an asset into a registry, under its own name and version or others."""
    return found.workspace.copy(found.asset, registry(context, registry_name), name=name, version=version)


def _link(source: Path, path: Path) -> bool:
    try:
        os.link(source, path)
    except OSError:  # another disk, or one that has no links
        return False
    return True


def _copy(source: Path, path: Path, digest: Digest) -> None:
    shutil.copyfile(source, path)
    with path.open("rb") as stream:
        if (got := Digest.of_stream(stream)) != digest:
            raise IntegrityError(
                Issue(str(digest), f"got {got}, the bytes were changed", "lading fsck --repair")
            )


def _bring(context: Context, shelf: Shelf, file: AssetFile, told: Callable[[int], None]) -> None:
    """Have a file of an asset in this machine's store."""
    if context.store.size_bytes(file.digest) != file.size_bytes:
        wanted = Descriptor(FILE, file.digest, file.size_bytes)
        context.store.take(wanted, shelf.opens(file.digest), told)


def _local(context: Context, store: LayoutStore, name: str) -> Workspace:
    def shelf_of(kind: AssetKind) -> Shelf:
        repository = Reference(None, PREFIX + plural(kind))

        def tag_names() -> list[str]:
            return [str(one.tag) for one, _ in store.tags() if _is_in(one, repository)]

        return Shelf(kind, store, repository, tag_names, store.lock)

    return Workspace(name, shelf_of, context.events)


def _is_in(reference: Reference, repository: Reference) -> bool:
    return (reference.registry, reference.repository) == (repository.registry, repository.repository)


def _open(context: Context, place: Place, name: str) -> Workspace:
    """Open a place: connections are made once for each kind, and closed with the context."""
    if place.folder is not None:
        return _local(context, LayoutStore(place.folder), name)
    there = place.repository
    assert there is not None
    opened: dict[AssetKind, RegistryStore] = {}

    def shelf_of(kind: AssetKind) -> Shelf:
        repository = there.of(Reference(None, PREFIX + plural(kind)))
        if kind not in opened:
            opened[kind] = context.opened(context.registry(repository, plain_http=there.plain_http))
        store = opened[kind]
        return Shelf(kind, store, repository, store.tag_names, nullcontext, store.open_at)

    return Workspace(name, shelf_of, context.events)
