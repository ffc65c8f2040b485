"""What was built goes in; sealed, verified and named it comes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lading import image
from lading.core import typed
from lading.core.bill import Bill, BilledSlim
from lading.core.descriptor import BILL, Descriptor
from lading.core.digest import Digest
from lading.core.image import Image, Layer
from lading.core.platform import Platform
from lading.core.ports import Event
from lading.core.reference import Reference
from lading.core.report import Report
from lading.core.spec import Example
from lading.pipeline import delivery, summary
from lading.pipeline.context import Context
from lading.pipeline.running import Original, attach, attach_original, can_verify, verify_image
from lading.store import documents


@dataclass(frozen=True, slots=True)
class Packed:
    """What packing made."""

    references: tuple[Reference, ...]
    descriptor: Descriptor
    images: tuple[Image, ...]
    reports: tuple[Report, ...]
    """Of each platform that was run, this machine's own first."""
    slim: tuple[BilledSlim, ...] | None = None
    """What was left out of the wheels of the first platform; None where they are whole."""

    @property
    def digest(self) -> Digest:
        """The package's digest: of its manifest, or of the index of several platforms."""
        return self.descriptor.digest

    @property
    def size_bytes(self) -> int:
        """What a registry stores of it, layers that platforms share counted once."""
        sizes = {
            one.descriptor.digest: one.descriptor.size_bytes for each in self.images for one in each.layers
        }
        return sum(sizes.values()) + sum(len(one.config) + len(one.manifest) for one in self.images)

    def to_json(self) -> dict[str, Any]:
        """Return what was made, as JSON values."""
        return {
            "references": [str(one) for one in self.references],
            "digest": str(self.digest),
            "size_bytes": self.size_bytes,
            "platforms": [str(one.platform) for one in self.images],
            "layers": [len(one.layers) for one in self.images],
            "report": self.reports[0].to_json() if self.reports else None,
            "reports": [one.to_json() for one in self.reports],
            **({} if self.slim is None else {"slim": [typed.to_json(one) for one in self.slim]}),
        }


@dataclass(frozen=True, slots=True)
class Built:
    """One platform's image, its bill, what verification replays, and how many layers were there already."""

    image: Image
    bill: Bill
    examples: tuple[Example, ...]
    cached: int
    files: Mapping[Digest, Path] = field(default_factory=dict)
    """Those that a start fetches, where they lie here."""
    original: Built | None = None
    """What the model itself answers in, where a form answers in this one."""
    proof: Mapping[str, Any] = field(default_factory=dict)
    """Of that form; where there is none, the `reason`."""

    @property
    def layers(self) -> tuple[Layer, ...]:
        """All layers, those of the original among them, each once."""
        of_original = self.original.image.layers if self.original else ()
        return (*self.image.layers, *(one for one in of_original if one not in self.image.layers))


def finish(
    context: Context,
    built: Sequence[Built],
    references: tuple[Reference, ...],
    *,
    verify: bool,
    sandbox: str | None,
) -> Packed:
    """Seal what was built, verify it, and only then name it."""
    cached = sum(one.cached for each in built for one in (each, each.original) if one)
    layers = [layer for one in built for layer in one.layers]
    context.events(Event("assemble", "stage", summary.of_layers(layers, cached)))
    slim = _slim(built)
    if slim is not None:
        context.events(Event("slim", "stage", summary.of_slim(slim)))
    descriptor = seal_images(context, built)
    reports = _verify(context, built, sandbox) if verify else ()
    for reference in references:
        context.store.tag(reference, descriptor)
    return Packed(references, descriptor, tuple(one.image for one in built), reports, slim)


def _slim(built: Sequence[Built]) -> tuple[BilledSlim, ...] | None:
    """Return what was left out of the first platform's wheels; those of the model, where it is compiled."""
    return (built[0].original or built[0]).bill.environment.slim


def seal_images(context: Context, built: Sequence[Built]) -> Descriptor:
    """Write configs and manifests, the index where there are several platforms, and attach the bills."""
    for one in (each for pair in built for each in (pair.original, pair) if each):
        documents.write(context.store, one.image.config)
        documents.write(context.store, one.image.manifest)
        attach(context, one.image.descriptor, one.bill.encode(), BILL)
        delivery.keep(context, one.image.descriptor, one.bill, one.files)
        if one.original:
            attach_original(context, one.image.descriptor, one.original.image.descriptor)
    if len(built) == 1:
        return built[0].image.descriptor
    data, descriptor = image.index([one.image for one in built], {})
    documents.write(context.store, data)
    return descriptor


def _verify(context: Context, built: Sequence[Built], sandbox: str | None) -> tuple[Report, ...]:
    """Verify the image of each platform that can be run here, this machine's own first."""
    own_first = sorted(built, key=lambda one: one.image.platform != Platform.current())
    return tuple(
        _verify_one(context, one, sandbox)
        for one in own_first
        if can_verify(context, one.image, one.bill, sandbox)
    )


def _verify_one(context: Context, one: Built, sandbox: str | None) -> Report:
    original = Original(one.original.image, one.original.bill) if one.original else None
    return verify_image(
        context,
        one.image,
        one.bill,
        one.examples,
        sandbox=sandbox,
        again=False,
        original=original,
        proof=one.proof,
    )
