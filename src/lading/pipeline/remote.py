"""A repository in a registry goes in; its tags, with what each stands for, come out."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from lading.core.descriptor import Descriptor
from lading.core.errors import Issue, RegistryError
from lading.core.reference import Reference
from lading.pipeline import places
from lading.pipeline.context import Context
from lading.pipeline.foreign import platform_of
from lading.store import RegistryStore, documents

_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Tagged:
    """A tag in a registry."""

    reference: Reference
    descriptor: Descriptor
    platforms: tuple[str, ...]
    size_bytes: int
    """What the registry stores of it, what platforms share counted once."""

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "name": str(self.reference),
            "digest": str(self.descriptor.digest),
            "platforms": list(self.platforms),
            "size_bytes": self.size_bytes,
        }


def tags(context: Context, text: str, *, plain_http: bool = False) -> list[Tagged]:
    """List the tags of `registry/repository`, in order; RegistryError where it is unknown or out of reach."""
    reference = places.repository(text)
    with context.registry(reference, plain_http=plain_http) as store, ThreadPoolExecutor(_AT_ONCE) as pool:
        found = list(store.tags())
        if not found:
            raise RegistryError(Issue(repr(text), "has no tags, or is not known to the registry"))
        described = pool.map(lambda one: _describe(store, one[1]), found)
        return [
            Tagged(replace(reference, tag=name.tag), descriptor, *rest)
            for (name, descriptor), rest in zip(found, described, strict=True)
        ]


def _describe(store: RegistryStore, descriptor: Descriptor) -> tuple[tuple[str, ...], int]:
    """Read the platforms of an image, and what it weighs."""
    parts = {one.digest: one for one in documents.walk(store, descriptor)}
    images = documents.children(store, descriptor) if documents.is_index(descriptor) else (descriptor,)
    platforms = dict.fromkeys(platform_of(store, one) for one in images)
    return tuple(filter(None, platforms)), sum(one.size_bytes for one in parts.values())
