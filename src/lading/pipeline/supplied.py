"""What a model package names besides its one model, and where a download comes from → Inputs and sources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from lading.core.assets import AssetKind, AssetReference, Used, tag_of
from lading.core.digest import Digest
from lading.core.errors import Issue, LadingError, SpecError
from lading.core.spec import Indexes, Input
from lading.pipeline import assets
from lading.pipeline.assets import Found
from lading.pipeline.context import Context
from lading.spec.azureml import package as azure
from lading.spec.azureml.package import InputPath, ModelPackage

IMAGES = "packages/"
"""What the repositories of images begin with, where assets are kept in an OCI registry."""
_APP = "/var/azureml-app"
"""What a relative mount path of an input begins at."""
_KINDS: tuple[AssetKind, ...] = ("data", "model")
_MOST_BYTES = 1 << 30


def sources(found: Found) -> tuple[str, ...]:
    """Return where an asset's files are had by their digests; nothing where it is on this machine alone."""
    shelf = found.workspace.shelf_of(found.asset.kind)
    there = shelf.repository
    if there.registry is None:
        return ()
    tag = tag_of(found.asset.name, found.asset.version)
    digest = shelf.store.resolve(there.with_tag(tag)).digest
    return (f"oci://{there.registry}/{there.repository}@{digest}",)


def beside(context: Context, target: AssetReference, name: str) -> tuple[str, ...]:
    """Tell where files are that are pushed beside an image, if its target lies in a registry of OCI's."""
    place, _ = assets.where(context, target)
    if place is None or place.repository is None:
        return ()
    path = "/".join(filter(None, (place.repository.path, IMAGES + name)))
    return (f"oci://{place.repository.registry}/{path}",)


def named(inputs: Sequence[azure.Input], used: Sequence[Used]) -> tuple[azure.Input, ...]:
    """Name inputs by what was found."""
    found = {one.role: one.reference for one in used}
    return tuple(
        replace(one, path=InputPath("path_id", resource_id=reference))
        if (reference := found.get(f"inputs[{number}]"))
        else one
        for number, one in enumerate(inputs)
    )


def inputs(context: Context, package: ModelPackage) -> tuple[tuple[Input, ...], tuple[Used, ...]]:
    """Find what a package's `inputs` name; raise SpecError, with every issue, for what is not there."""
    found: list[Input] = []
    used: list[Used] = []
    issues: list[Issue] = []
    for number, one in enumerate(package.inputs):
        where = f"inputs[{number}]"
        try:
            made, named = _input(context, one, where)
        except LadingError as error:
            issues += [
                Issue(f"{where}.path", f"{issue.where}: {issue.what}", issue.fix) for issue in error.issues
            ]
            continue
        is_folder = made.source.is_dir()
        if one.type and (one.type == "uri_folder") != is_folder:
            what = f"got {one.type}, and it is a {'folder' if is_folder else 'file'}"
            issues.append(Issue(f"{where}.type", what))
        found.append(made)
        used += filter(None, (named,))
    if issues:
        raise SpecError(*issues)
    return tuple(found), tuple(used)


def _input(context: Context, one: azure.Input, where: str) -> tuple[Input, Used | None]:
    path = one.path or InputPath()
    if path.url is not None:
        source = _fetched(context, path.url, where)
        web = (path.url,) if path.url.startswith(("http://", "https://")) else ()
        return _made(one, source, web, source.name), None
    text = path.resource_id or f"{path.resource_name}:{path.resource_version}"
    asset = _asset(context, text)
    folder = assets.materialise(context, asset)
    is_whole = asset.asset.kind == "data" and one.type == "uri_folder"
    source = folder if is_whole else assets.root(folder, asset.asset)
    used = Used(where, str(asset.reference), asset.asset.content)
    return _made(one, source, sources(asset), asset.asset.name), used


def _made(one: azure.Input, source: Path, places: tuple[str, ...], name: str) -> Input:
    mount = str(Path(_APP) / (one.mount_path if one.mount_path is not None else f"inputs/{name}"))
    return Input(source, mount, one.delivery, places if one.delivery == "download" else ())


def _asset(context: Context, text: str) -> Found:
    """Find data, or a model: Azure's short references do not tell which."""
    problems: list[LadingError] = []
    for kind in _KINDS:
        try:
            return assets.resolve(context, text, kind)
        except LadingError as error:
            problems.append(error)
    raise problems[0]


def _fetched(context: Context, url: str, where: str) -> Path:
    """Return a file or folder that a URL names, brought here where it is on the web."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    if parts.scheme not in {"http", "https"} or url.endswith("/"):
        fix = "name a file of http, https or file, or keep it as an asset and name that"
        raise SpecError(Issue(where, f"got {parts.scheme or 'no'} URL, which cannot be read here", fix))
    data = context.fetch(Indexes()).text(url, _MOST_BYTES)
    name = unquote(parts.path).rpartition("/")[2] or "input"
    path = context.settings.cache / "assets" / f"url-{Digest.of(data).hex}" / name
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return path
