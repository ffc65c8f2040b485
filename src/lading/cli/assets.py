"""What commands on assets have in common: how one is named, where it is, and how it is told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from lading.cli.console import Console, size
from lading.core.assets import Asset, AssetKind, AssetReference
from lading.core.errors import Issue, SpecError
from lading.pipeline import assets
from lading.pipeline.context import Context
from lading.workspace import Created, Workspace

File = Annotated[Path | None, Parameter(name=["--file", "-f"], help="The YAML file, as Azure ML has it.")]
Set = Annotated[
    tuple[str, ...],
    Parameter(name="--set", negative="", consume_multiple=True, help="KEY=VALUE, over the file: tags.a=b."),
]
Tags = Annotated[
    tuple[str, ...], Parameter(negative="", consume_multiple=True, help="KEY=VALUE; may be repeated.")
]
Name = Annotated[str | None, Parameter(name=["--name", "-n"], help="Its name.")]
Named = Annotated[str, Parameter(name=["--name", "-n"], help="Its name.")]
Version = Annotated[str | None, Parameter(name=["--version", "-v"], help="Its version; default: the next.")]
WorkspaceName = Annotated[
    str | None,
    Parameter(
        name=["--workspace", "--workspace-name", "-w"],
        help="Declared name, registry/path or folder; default: this machine's store.",
    ),
]
Reference = Annotated[
    str | None, Parameter(help="NAME:VERSION, NAME@LABEL, or another reference of Azure's.")
]


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class Where:
    """Where assets are kept."""

    workspace: WorkspaceName = None
    registry_name: Annotated[str | None, Parameter(help="A declared registry, for a workspace.")] = None


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class One:
    """Which asset."""

    name: Name = None
    version: Annotated[str | None, Parameter(name=["--version", "-v"], help="Its version.")] = None
    label: Annotated[str | None, Parameter(name=["--label", "-l"], help="One of its labels: latest.")] = None

    def reference(self, kind: AssetKind, asset: str | None, where: Where) -> AssetReference:
        """Read it, or the reference in its place; SpecError where nothing is named, or two things are."""
        if (asset is None) == (self.name is None):
            what = "nothing is named" if self.name is None else "two are named"
            raise SpecError(Issue(kind, what, "give -n NAME -v VERSION, or NAME:VERSION"))
        if self.version and self.label:
            raise SpecError(Issue(kind, "got a version and a label, expected one of them"))
        found = AssetReference.parse(f"{self.name}" if asset is None else asset, kind)
        if self.version or self.label:
            found = replace(found, version=self.version, label=self.label)
            found = AssetReference.parse(str(found), kind)
        return replace(found, registry=where.registry_name) if where.registry_name else found


@contextmanager
def opened(console: Console, where: Where, *, offline: bool = False) -> Iterator[Context]:
    """Open what a command works on, with the workspace that it names."""
    settings = console.common.settings()
    if where.workspace and where.registry_name:
        what = "got a workspace and a registry, expected one of them"
        raise SpecError(Issue("--registry-name", what))
    if where.workspace:
        settings = replace(settings, workspace=where.workspace)
    with Context(settings, console.event, offline=offline) as context:
        yield context


def place(context: Context, where: Where) -> Workspace:
    """Open the registry or workspace that a command names."""
    return assets.registry(context, where.registry_name) if where.registry_name else assets.here(context)


def pairs(words: Sequence[str], option: str = "--tags") -> dict[str, str]:
    """Read KEY=VALUE."""
    if wrong := [word for word in words if "=" not in word]:
        raise SpecError(*(Issue(option, f"got {word!r}, expected KEY=VALUE") for word in wrong))
    return dict(word.split("=", 1) for word in words)


def document(asset: Asset, labels: Sequence[str] = (), registry: str | None = None) -> dict[str, Any]:
    """Return an asset as JSON values, in the words of its YAML."""
    reference = replace(asset.reference, registry=registry)
    return {
        "id": str(reference),
        "name": asset.name,
        "version": asset.version,
        "description": asset.description,
        "tags": dict(asset.tags),
        "properties": dict(asset.properties),
        **asset.document,
        "labels": list(labels),
        "archived": asset.archived,
        "created": asset.created,
        "content": str(asset.content),
        "size_bytes": asset.size_bytes,
        "files": [
            {"path": one.path, "digest": str(one.digest), "size_bytes": one.size_bytes} for one in asset.files
        ],
    }


def tell_created(console: Console, made: Created, where: Where) -> None:
    """Print what creating came to."""
    asset = made.asset
    how = {"reused": "reused: the same content was there", "updated": "edited: the same content was there"}
    told = how.get(made.how, "created")
    console.result(
        "  ".join(filter(None, (f"{asset.name}:{asset.version}", asset.content.short, amount(asset), told))),
        {**document(asset, registry=where.registry_name), "how": made.how},
    )


def amount(asset: Asset) -> str:
    """Say how large the files of an asset are; nothing where it has none."""
    if not asset.files:
        return ""
    count = len(asset.files)
    return f"{size(asset.size_bytes)} in {count} {'file' if count == 1 else 'files'}"
