"""Any image in the store, whoever made it: what its manifest and its config say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lading.core.descriptor import ASSET, Descriptor
from lading.core.errors import LadingError
from lading.core.platform import Platform
from lading.core.ports import BlobSource, Event
from lading.core.reference import Reference
from lading.pipeline import platforms, shelf
from lading.pipeline.context import Context
from lading.store import documents

_TOLD = ("Entrypoint", "Cmd", "User", "WorkingDir", "ExposedPorts", "Labels")


@dataclass(frozen=True, slots=True)
class Foreign:
    """One platform of an image that is no package of lading's."""

    descriptor: Descriptor
    """What the name names: a manifest, or an index of several platforms."""
    platform: str | None
    size_bytes: int
    settings: dict[str, Any]
    """How a container of it starts, by Docker's words; no variables, which may be secrets."""
    layers: tuple[Descriptor, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "digest": str(self.descriptor.digest),
            "platform": self.platform,
            "size_bytes": self.size_bytes,
            "bill": None,
            "config": self.settings,
            "layers": [one.to_json() for one in self.layers],
        }


@dataclass(frozen=True, slots=True)
class Listed:
    """What stands under a name."""

    reference: Reference
    found: shelf.Package | Foreign
    """For this machine's platform, or the first."""
    every: tuple[shelf.Package | Foreign, ...]
    """For each of its platforms."""


def look(context: Context, text: str, platform: Platform | None = None) -> shelf.Package | Foreign:
    """Find a package, or an image that is none, by a name, a digest or the beginning of one."""
    try:
        return shelf.find(context, text, platform)
    except shelf.NoPackageError:
        descriptor = context.store.find(text)
        return _foreign(context.store, descriptor, shelf.choose(context, text, descriptor, platform))
    except shelf.NoPlatformError:
        if platform:
            raise
        return _others(context.store, context.store.find(text))[0]


def listed(context: Context) -> Iterator[Listed]:
    """List what has a name, in order, but for assets; what cannot be read is told and passed over."""
    for reference, descriptor in context.store.tags():
        if (descriptor.artifact_type or "").startswith(ASSET):
            continue
        try:
            found = look(context, str(reference))
            yield Listed(reference, found, _every(context, str(reference), found))
        except LadingError as error:
            context.events(Event("list", "warning", f"{reference}: {error.issues[0].what}"))


def _every(
    context: Context, text: str, found: shelf.Package | Foreign
) -> tuple[shelf.Package | Foreign, ...]:
    """Look at each platform of an index; what builders put beside them is for "unknown"."""
    if not documents.is_index(found.descriptor):
        return (found,)
    images = platforms.images(context.store, found.descriptor)
    if not images:
        return tuple(_others(context.store, found.descriptor))
    return tuple(look(context, text, one.platform) for one in images)


def _others(source: BlobSource, index: Descriptor) -> list[Foreign]:
    """Read the images of an index that has none for a platform of packages, or that has none at all."""
    found = platforms.others(source, index).values()
    return [_foreign(source, index, one) for one in found] or [Foreign(index, None, index.size_bytes, {}, ())]


def _foreign(source: BlobSource, descriptor: Descriptor, manifest: Descriptor) -> Foreign:
    parts = documents.children(source, manifest)
    size_bytes = manifest.size_bytes + sum(one.size_bytes for one in parts)
    settings = platforms.config(source, manifest).get("config")
    told = {key: settings[key] for key in _TOLD if settings.get(key)} if isinstance(settings, dict) else {}
    return Foreign(descriptor, platforms.platform_of(source, manifest), size_bytes, told, parts[1:])
