"""Any image in the store, whoever made it: what its manifest and its config say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lading.core import canonical
from lading.core.descriptor import Descriptor
from lading.core.errors import IntegrityError, LadingError
from lading.core.platform import Platform
from lading.core.ports import BlobSource, Event
from lading.core.reference import Reference
from lading.pipeline import shelf
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


def listed(context: Context) -> Iterator[Listed]:
    """List what has a name, in order; what cannot be read is told and passed over."""
    for reference, _ in context.store.tags():
        try:
            found = look(context, str(reference))
            every = tuple(look(context, str(reference), one) for one in _platforms(context, found))
            yield Listed(reference, found, every or (found,))
        except LadingError as error:
            context.events(Event("list", "warning", f"{reference}: {error.issues[0].what}"))


def _platforms(context: Context, found: shelf.Package | Foreign) -> list[Platform]:
    """List what an index has images for; what builders put beside them is for "unknown"."""
    if not documents.is_index(found.descriptor):
        return []
    children = documents.children(context.store, found.descriptor)
    return [one.platform for one in children if one.platform and one.platform.os != "unknown"]


def platform_of(source: BlobSource, manifest: Descriptor) -> str | None:
    """Read which platform an image is for: what its index says, else its config; None where neither tells."""
    if manifest.platform:
        return str(manifest.platform)
    config = _config(source, manifest)
    parts = [config.get("os"), config.get("architecture"), config.get("variant")]
    return "/".join(map(str, filter(None, parts))) or None


def _foreign(source: BlobSource, descriptor: Descriptor, manifest: Descriptor) -> Foreign:
    parts = documents.children(source, manifest)
    size_bytes = manifest.size_bytes + sum(one.size_bytes for one in parts)
    settings = _config(source, manifest).get("config")
    told = {key: settings[key] for key in _TOLD if settings.get(key)} if isinstance(settings, dict) else {}
    return Foreign(descriptor, platform_of(source, manifest), size_bytes, told, parts[1:])


def _config(source: BlobSource, manifest: Descriptor) -> dict[str, Any]:
    parts = documents.children(source, manifest)
    if not parts:
        return {}
    try:
        config = canonical.decode(documents.read(source, parts[0]), str(parts[0].digest))
    except IntegrityError:
        return {}  # an artefact's config may be anything
    return config if isinstance(config, dict) else {}
