"""An image goes in; which platforms it is for comes out, from its index or from its config."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

from lading.core import canonical
from lading.core.descriptor import Descriptor
from lading.core.errors import IntegrityError, LadingError, SpecError
from lading.core.platform import Platform
from lading.core.ports import BlobSource
from lading.store import documents


def platform_of(source: BlobSource, manifest: Descriptor) -> str | None:
    """Read which platform an image is for: what its index says, else its config; None where neither tells."""
    if manifest.platform:
        return str(manifest.platform)
    told = config(source, manifest)
    parts = [told.get("os"), told.get("architecture"), told.get("variant")]
    return "/".join(map(str, filter(None, parts))) or None


def images(source: BlobSource, index: Descriptor) -> list[Descriptor]:
    """List the images of an index that packages can be made for, each with its platform.

    Where the index itself names none, as it need not (OCI image-index.md), the images' configs are asked.
    """
    children = documents.children(source, index)
    return [one for one in children if one.platform] or list(_configured(source, children))


def _configured(source: BlobSource, children: tuple[Descriptor, ...]) -> Iterator[Descriptor]:
    for child in filter(documents.is_manifest, children):
        with suppress(SpecError):
            yield replace(child, platform=Platform.parse(_told(source, child) or "unknown"))


def others(source: BlobSource, index: Descriptor) -> dict[str, Descriptor]:
    """List the images of an index that has none for a platform of packages; what builders add is left out."""
    found = {}
    for child in filter(documents.is_manifest, documents.children(source, index)):
        told = _told(source, child)
        if told and not told.startswith("unknown"):
            found[told] = child
    return found


def _told(source: BlobSource, manifest: Descriptor) -> str | None:
    try:
        return platform_of(source, manifest)
    except LadingError:  # an index may name what is not here
        return None


def config(source: BlobSource, manifest: Descriptor) -> dict[str, Any]:
    """Read an image's config; empty where it is none, as an artefact's may be anything."""
    parts = documents.children(source, manifest)
    if not parts:
        return {}
    try:
        found = canonical.decode(documents.read(source, parts[0]), str(parts[0].digest))
    except IntegrityError:
        return {}
    return found if isinstance(found, dict) else {}
