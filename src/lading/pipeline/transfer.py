"""Packages between this store and registries: push, pull, copy; one platform of any image, for a base."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from lading.core.descriptor import Descriptor
from lading.core.digest import Digest
from lading.core.errors import IntegrityError, Issue, LadingError, RegistryError, SpecError
from lading.core.platform import Platform
from lading.core.ports import BlobSource, Event, Store
from lading.core.reference import Reference
from lading.pipeline import delivery, places, platforms, shelf
from lading.pipeline.context import Context, in_full, keeping
from lading.pipeline.mend import dropping_damaged
from lading.store import RegistryStore, documents
from lading.store.copy import copy as copy_blobs

_T = TypeVar("_T")
_MOST_ATTACHED = 1000
"""More are not carried along: a registry could go on for ever."""


@dataclass(frozen=True, slots=True)
class Moved:
    """What was pushed, pulled or copied."""

    reference: Reference
    """Where it is had: in the registry."""
    descriptor: Descriptor
    size_bytes: int
    """What a registry stores of it, what platforms share counted once, with what is attached."""
    attached: int
    """How many bills, reports and other referrers went along."""
    moved_bytes: int
    """What had to travel, all that is attached counted in; the rest was there already."""
    names: tuple[Reference, ...] = ()
    """Its names in this store, where it was pulled."""

    @property
    def digest(self) -> Digest:
        """The digest, which is the same everywhere."""
        return self.descriptor.digest

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "reference": str(self.reference),
            "digest": str(self.digest),
            "media_type": self.descriptor.media_type,
            "size_bytes": self.size_bytes,
            "attached": self.attached,
            "moved_bytes": self.moved_bytes,
            **({"names": [str(one) for one in self.names]} if self.names else {}),
        }


@keeping
def push(context: Context, text: str, destination: str | None, *, plain_http: bool = False) -> Moved:
    """Send a package, then what is attached to it, then give it its name in the registry."""
    descriptor = context.store.find(text)
    context.store.ask_for(descriptor)
    target = places.destination(text, destination)
    with context.registry(target, plain_http=plain_http) as remote:
        moved = send(context, descriptor, remote, target)
        remote.tag(in_full(target), descriptor)
    with suppress(LadingError):  # another image than a package
        delivery.advise(context, shelf.find(context, str(descriptor.digest)).bill, target)
    return moved


def send(context: Context, descriptor: Descriptor, sink: Store, reference: Reference) -> Moved:
    """Bring an image of this machine's store, and what is attached to it, into another, without a name."""
    with dropping_damaged(context.store, documents.walk(context.store, descriptor)):
        return _carry(context, "push", context.store, sink, descriptor, reference=reference)


@keeping
def pull(
    context: Context,
    text: str,
    *,
    names: Sequence[str] = (),
    platform: Platform | None = None,
    plain_http: bool = False,
) -> Moved:
    """Fetch a package or any image, then what is attached to it, then name it in this store."""
    reference = places.image(text)
    named = tuple(map(Reference.parse, names)) or (replace(reference, digest=None),)

    def fetch(remote: RegistryStore, there: Reference) -> Moved:
        descriptor = _one_platform(remote, remote.resolve(there), platform, reference)
        moved = _carry(context, "pull", remote, context.store, descriptor, reference=reference)
        for name in named:
            context.store.tag(name, descriptor)
        if documents.is_index(descriptor) and not platforms.images(context.store, descriptor):
            known = ", ".join(platforms.others(context.store, descriptor))
            what = f"is for {known} alone, so it runs nowhere here" if known else "has no image in it"
            context.events(Event("pull", "warning", f"{reference} {what}"))
        return replace(moved, names=named)

    return _first(context, reference, fetch, plain_http=plain_http)


def receive(context: Context, source: Store, reference: Reference) -> Moved:
    """Bring an image, and what is attached to it, from another store into this machine's, without a name."""
    return _carry(context, "pull", source, context.store, source.resolve(reference), reference=reference)


def is_whole(context: Context, digest: Digest) -> bool:
    """Tell whether an image is in this machine's store with all that it names, for every platform."""
    store = context.store
    descriptor = documents.describe(store, digest)
    if descriptor is None:
        return False
    try:
        return all(
            store.size_bytes(one.digest) == one.size_bytes for one in documents.walk(store, descriptor)
        )
    except RegistryError:
        return False


def copy(
    context: Context,
    source: str,
    destination: str,
    *,
    platform: Platform | None = None,
    plain_http: tuple[bool, bool] = (False, False),
) -> Moved:
    """Move an image and what is attached to it between registries; nothing of it lands on this disk.

    `plain_http` is of the source and of the destination.
    """
    reference = places.image(source)
    target = places.destination(source, destination)

    def move(remote: RegistryStore, there: Reference) -> Moved:
        with context.registry(target, plain_http=plain_http[1]) as sink:
            if remote.registry == sink.registry:
                sink.knows(remote.repository)
            descriptor = _one_platform(remote, remote.resolve(there), platform, reference)
            moved = _carry(context, "copy", remote, sink, descriptor, reference=target)
            sink.tag(in_full(target), descriptor)
        return moved

    return _first(context, reference, move, plain_http=plain_http[0])


@keeping
def fetch_image(context: Context, reference: Reference, platform: Platform) -> Descriptor:
    """Bring one platform of an image into the store, and return its manifest's descriptor.

    What is there already by its digest is not asked for. Raises RegistryError where the image cannot be had,
    SpecError where it has no such platform.
    """
    if reference.digest and (there := _stored(context, reference.digest, platform)):
        return there

    def fetch(remote: RegistryStore, there: Reference) -> Descriptor:
        named = remote.resolve(there)
        manifest = _one_platform(remote, named, platform, reference)
        copy_blobs(remote, manifest, context.store, stage="pull", events=context.events)
        # an index too: offline its digest will say which manifest is meant
        documents.write(context.store, documents.read(remote, named))
        return manifest

    return _first(context, reference, fetch, plain_http=False)


def _carry(
    context: Context, stage: str, source: Store, sink: Store, descriptor: Descriptor, *, reference: Reference
) -> Moved:
    """Copy an image, then what refers to it or to a part of it, and what refers to that."""
    moved_bytes = copy_blobs(source, descriptor, sink, stage=stage, events=context.events).moved_bytes
    parts = {one.digest: one for one in documents.walk(source, descriptor)}
    subjects = [one for one in parts.values() if documents.is_manifest(one) or documents.is_index(one)]
    carried = {one.digest for one in subjects}
    attached = 0
    while subjects and attached < _MOST_ATTACHED:
        subject = subjects.pop()
        for referrer in source.referrers(subject.digest):
            if referrer.digest in carried or not _refers(context, stage, source, referrer, subject=subject):
                continue
            moved_bytes += copy_blobs(source, referrer, sink, stage=stage).moved_bytes
            sink.refer(referrer)
            carried.add(referrer.digest)
            # an index attaches other images, and these have referrers too
            named = {one.digest: one for one in documents.walk(source, referrer)}
            subjects += [
                one for one in named.values() if documents.is_manifest(one) or documents.is_index(one)
            ]
            parts |= named
            attached += 1
    size_bytes = sum(one.size_bytes for one in parts.values())
    what = f"{moved_bytes / 1e6:.1f} MB of {size_bytes / 1e6:.1f} MB had to travel, {attached} attached"
    context.events(Event(stage, "stage", what))
    return Moved(reference, descriptor, size_bytes, attached, moved_bytes)


def _refers(
    context: Context, stage: str, source: Store, referrer: Descriptor, *, subject: Descriptor
) -> bool:
    """Tell whether a referrer is one: a registry may list what it likes, or what has been deleted since."""
    try:
        return documents.subject(source, referrer) == subject.digest
    except RegistryError:
        if source.size_bytes(referrer.digest) is not None:
            raise
    what = f"{referrer.digest} is listed among what is attached, and is not there; left out"
    context.events(Event(stage, "warning", what))
    return False


def _first(
    context: Context,
    reference: Reference,
    act: Callable[[RegistryStore, Reference], _T],
    *,
    plain_http: bool,
) -> _T:
    """Do it with the first of the mirrors that can, else with the registry itself."""
    for mirror in context.settings.mirrors.get(reference.registry or "", ()):
        there = mirror.of(in_full(reference))
        try:
            with context.registry(there, plain_http=mirror.plain_http) as remote:
                return act(remote, there)
        except (RegistryError, IntegrityError) as error:
            what = f"mirror {mirror.registry}: {error.issues[0].what}; going on to the next"
            context.events(Event("pull", "warning", what))
    with context.registry(reference, plain_http=plain_http) as remote:
        return act(remote, in_full(reference))


def _one_platform(
    source: BlobSource, descriptor: Descriptor, platform: Platform | None, reference: Reference
) -> Descriptor:
    """Choose one platform's manifest where one is asked for; SpecError where there is none of it."""
    if platform is None:
        return descriptor
    if documents.is_index(descriptor):
        known = {str(one.platform): one for one in platforms.images(source, descriptor)}
    else:
        known = {}
        if found := platforms.platform_of(source, descriptor):
            with suppress(SpecError):
                known[str(Platform.parse(found))] = replace(descriptor, platform=platform)
    if chosen := known.get(str(platform)):
        return chosen
    what = f"got platform {str(platform)!r}, expected one of: {', '.join(known) or 'none'}"
    raise SpecError(Issue(repr(str(reference)), what))


def _stored(context: Context, digest: Digest, platform: Platform) -> Descriptor | None:
    """Return one platform's manifest where all of it is in the store."""
    store = context.store
    descriptor = documents.describe(store, digest)
    if descriptor is None:
        return None
    try:
        manifest = _one_platform(store, descriptor, platform, Reference(None, "image", digest=digest))
        whole = all(store.size_bytes(one.digest) == one.size_bytes for one in documents.walk(store, manifest))
    except RegistryError:
        return None
    return manifest if whole else None
