"""A repository in a registry goes in; its tags, with what each stands for, come out."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from lading.core.descriptor import Descriptor
from lading.core.errors import IntegrityError, Issue, LadingError, RegistryError
from lading.core.ports import Event
from lading.core.reference import Reference
from lading.pipeline import places
from lading.pipeline.context import Context
from lading.pipeline.platforms import platform_of
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
    """List the tags of `registry/repository`, in order; what cannot be read is told and passed over.

    RegistryError where the repository is unknown or out of reach; IntegrityError where no tag can be read.
    """
    reference = places.repository(text)
    with context.registry(reference, plain_http=plain_http) as store, ThreadPoolExecutor(_AT_ONCE) as pool:
        found = list(store.tags())
        if not found:
            fix = f"check how it is spelled, or log in: lading login {reference.registry}"
            raise RegistryError(Issue(repr(text), "has no tags, or is not known to the registry", fix))
        described = list(
            pool.map(lambda one: _tagged(store, replace(reference, tag=one[0].tag), one[1]), found)
        )
    listed = [one for one in described if isinstance(one, Tagged)]
    failures = [one for one in described if isinstance(one, LadingError)]
    if not listed:
        raise failures[0]
    for failure in failures:
        context.events(Event("list", "warning", f"{failure.issues[0].where}: {failure.issues[0].what}"))
    return listed


def _tagged(store: RegistryStore, name: Reference, descriptor: Descriptor) -> Tagged | LadingError:
    """Read what a tag stands for; return, with the tag's name, why that cannot be done."""
    try:
        return Tagged(name, descriptor, *_describe(store, descriptor))
    except (IntegrityError, RegistryError) as error:
        (first, *others) = error.issues
        return type(error)(Issue(str(name), f"{first.where}: {first.what}", first.fix), *others)


def _describe(store: RegistryStore, descriptor: Descriptor) -> tuple[tuple[str, ...], int]:
    """Read the platforms of an image, and what it weighs."""
    parts = {one.digest: one for one in documents.walk(store, descriptor)}
    images = documents.children(store, descriptor) if documents.is_index(descriptor) else (descriptor,)
    platforms = dict.fromkeys(platform_of(store, one) for one in images)
    return tuple(filter(None, platforms)), sum(one.size_bytes for one in parts.values())
