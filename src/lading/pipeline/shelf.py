"""What is done to packages that exist: list, show, name, remove, export."""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lading.core import canonical
from lading.core.bill import Bill
from lading.core.descriptor import REPORT, Descriptor
from lading.core.digest import Digest
from lading.core.errors import IntegrityError, Issue, RegistryError, SpecError
from lading.core.image import Image, Layer
from lading.core.platform import Platform
from lading.core.ports import Event
from lading.core.reference import Reference
from lading.layers import tar
from lading.pipeline import platforms
from lading.pipeline.context import Context, keeping
from lading.pipeline.mend import dropping_damaged
from lading.store import documents
from lading.store import export as exports

BILL_FILE = "opt/lading/bill.json"
_MAX_BILL_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Package:
    """A package in the store, for one platform."""

    descriptor: Descriptor
    """What the name names: a manifest, or an index of several platforms."""
    image: Image
    bill: Bill
    report: dict[str, Any] | None
    """The last report of a verification, as JSON values."""

    def to_json(self) -> dict[str, Any]:
        """Return bill, report and sizes as JSON values."""
        return {
            "digest": str(self.descriptor.digest),
            "size_bytes": self.image.size_bytes,
            "bill": self.bill.to_json(),
            "report": self.report,
        }


class NoPackageError(IntegrityError):
    """An image that is sound, and no package of lading's."""


class NoPlatformError(SpecError):
    """An image that is not there for a platform."""


def find(context: Context, text: str, platform: Platform | None = None) -> Package:
    """Read the package that a name, a digest or the beginning of one means.

    Raises NoPackageError for another image.
    """
    store = context.store
    descriptor = store.find(text)
    chosen = choose(context, text, descriptor, platform)
    manifest = documents.read(store, chosen)
    layers = documents.children(store, chosen)
    config = documents.read(store, layers[0]) if layers else b""
    # the last layer of another image may be large, so it is not searched for a bill
    if len(layers) < 2 or b'"bill of lading"' not in config:
        raise NoPackageError(Issue(repr(text), "is no package of lading's: it has no bill"))
    bill = _bill(context, text, layers[-1])
    if platform and platform != bill.platform:
        raise _no_platform(text, platform, [str(bill.platform)])
    image = Image(bill.platform, _layers(text, bill, layers[1:], config), config, manifest)
    return Package(descriptor, image, bill, report(context, chosen.digest))


def served_as(context: Context, text: str, package: Package) -> tuple[str, str]:
    """Return the name and version that a package is served under: those of the tag that it was asked for by.

    Its own stand for what no tag says, and for a package that was asked for by digest.
    """
    version = package.bill.version or "1"
    is_name = "@" in text or any(str(name) == text for name, _ in context.store.tags())
    if not is_name:
        return package.bill.name, version
    reference = Reference.parse(text)
    return reference.repository.rpartition("/")[2], reference.tag or version


def identity(package: Package, name: str, version: str) -> dict[str, str]:
    """Return what no image can know of itself, and a server is told: its digest, and what its tag says."""
    return {
        "LADING_PACKAGE_DIGEST": str(package.image.descriptor.digest),
        "LADING_SERVED_NAME": name,
        "LADING_SERVED_VERSION": version,
    }


def original(context: Context, package: Package) -> Package:
    """Return the package of the model itself, where a compiled form answers in this one; else this one.

    Raises RegistryError where it has been left behind.
    """
    form = package.bill.model.compiled
    if form is None:
        return package
    try:
        return find(context, str(form.original))
    except RegistryError as error:
        what = f"its model is in the image {form.original}, which is not in the store"
        fix = "fetch it with `lading pull`, which brings what is attached: other tools leave that behind"
        raise RegistryError(Issue(repr(package.bill.name), what, fix)) from error


def find_each(context: Context, text: str) -> list[Package]:
    """Read a package for each of its platforms."""
    descriptor = context.store.find(text)
    if not documents.is_index(descriptor):
        return [find(context, text)]
    images = platforms.images(context.store, descriptor)
    return [find(context, text, one.platform) for one in images] or [find(context, text)]


def choose(context: Context, text: str, descriptor: Descriptor, platform: Platform | None) -> Descriptor:
    """Take one platform of an index: the one asked for, else this machine's, else the first."""
    if not documents.is_index(descriptor):
        return descriptor
    found = platforms.images(context.store, descriptor)
    wanted = platform or Platform.current()
    for one in found:
        if one.platform == wanted:
            return one
    if platform or not found:
        known = [str(one.platform) for one in found]
        raise _no_platform(text, wanted, known or list(platforms.others(context.store, descriptor)))
    return found[0]


def _no_platform(text: str, wanted: Platform, found: Sequence[str]) -> NoPlatformError:
    known = ", ".join(found) or "none"
    return NoPlatformError(Issue(repr(text), f"got platform {str(wanted)!r}, expected one of: {known}"))


def _bill(context: Context, text: str, layer: Descriptor) -> Bill:
    """Read the bill from the last layer, where it is alone."""
    with reading(context, layer, f"bill of {text}") as archive:
        for member in archive:
            if member.name == BILL_FILE and member.isreg() and member.size <= _MAX_BILL_BYTES:
                stream = archive.extractfile(member)
                assert stream
                return Bill.parse(stream.read(), f"bill of {text}")
    raise NoPackageError(Issue(repr(text), f"is no package of lading's: it has no /{BILL_FILE}"))


@contextmanager
def reading(context: Context, layer: Descriptor, where: str) -> Iterator[tarfile.TarFile]:
    """Open a layer's tar, to be read once; IntegrityError where it cannot be."""
    with dropping_damaged(context.store, [layer]):
        try:
            with context.store.open(layer.digest) as blob, tar.opened(blob) as archive:
                yield archive
        except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
            raise IntegrityError(Issue(where, f"its layer cannot be read: {error}")) from error


def _layers(text: str, bill: Bill, blobs: Sequence[Descriptor], config: bytes) -> tuple[Layer, ...]:
    """Put together what the manifest, the config and the bill each say of the layers."""
    rootfs = canonical.decode(config, f"config of {text}").get("rootfs") or {}
    diff_ids = [Digest.parse(one) for one in rootfs.get("diff_ids") or ()]
    billed = [(one.digest, one.diff_id) for one in bill.layers]
    listed = [(one.digest, diff_id) for one, diff_id in zip(blobs, diff_ids, strict=False)]
    if len(diff_ids) != len(blobs) or billed != listed[:-1]:
        raise IntegrityError(Issue(repr(text), "manifest, config and bill do not list the same layers"))
    kinds = [*((one.kind, one.title) for one in bill.layers), ("bill", "bill of lading")]
    return tuple(Layer(b, d, *kind) for b, d, kind in zip(blobs, diff_ids, kinds, strict=True))


def report(context: Context, image: Digest) -> dict[str, Any] | None:
    """Read the newest report that refers to an image; a damaged one is forgotten: verifying makes another."""
    store = context.store
    for name, referrer in reversed(list(store.listed())):
        if name is not None or referrer.artifact_type != REPORT:
            continue
        try:
            if documents.subject(store, referrer) != image:
                continue
            data = documents.read(store, documents.children(store, referrer)[-1])
            document = canonical.decode(data, "report")
        except IntegrityError:
            store.delete(referrer.digest)
            continue
        return document if isinstance(document, dict) else None
    return None


def tag(context: Context, text: str, names: Sequence[str]) -> Descriptor:
    """Give a package further names."""
    descriptor = context.store.find(text)
    for name in [Reference.parse(name) for name in names]:
        context.store.tag(name, descriptor)
    return descriptor


def untag(context: Context, names: Sequence[str]) -> None:
    """Take names away; raises before the first is taken, if one is wrong."""
    references = [Reference.parse(name) for name in names]
    for reference in references:
        context.store.resolve(reference)
    for reference in references:
        context.store.untag(reference)


def remove(context: Context, texts: Sequence[str]) -> list[Reference]:
    """Remove packages by name, or with every name by digest; `care.collect` frees their space.

    Raises before the first is removed, if one is unknown.
    """
    names = {str(name): name for name, _ in context.store.tags()}
    doomed: dict[Reference, None] = {}
    unnamed: set[Digest] = set()
    for text in texts:
        digest = context.store.find(text).digest
        if text in names:
            doomed[names[text]] = None
        else:
            doomed.update({name: None for name, one in context.store.tags() if one.digest == digest})
            unnamed.add(digest)
    for name in doomed:
        context.store.untag(name)
    # what another tool, or the repair of a lost index, has listed without a name
    context.store.forget(unnamed)
    return list(doomed)


@keeping
def export(
    context: Context,
    text: str,
    destination: Path,
    form: exports.Format,
    *,
    overwrite: bool,
    platform: Platform | None = None,
) -> None:
    """Write a package to a file or folder, under the name it was asked for by.

    A docker-archive holds one platform: this machine's, or the first, where none is named.
    """
    descriptor = context.store.find(text)
    context.store.ask_for(descriptor)
    if platform or (form == "docker-archive" and documents.is_index(descriptor)):
        whole, descriptor = descriptor, find(context, text, platform).image.descriptor
        if not platform and len(documents.children(context.store, whole)) > 1:
            what = f"a {form} holds one platform: {descriptor.platform}; name another with --platform"
            context.events(Event("export", "warning", what))
    names = {str(name): name for name, _ in context.store.tags()}
    with dropping_damaged(context.store, documents.walk(context.store, descriptor)):
        exports.export(
            context.store,
            descriptor,
            destination,
            form,
            name=names.get(text),
            overwrite=overwrite,
            events=context.events,
        )
