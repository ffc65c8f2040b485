"""Files and a bill in; how they are billed, and the layer that has the bill, out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from lading.core.bill import Bill, BilledFile, BilledInput
from lading.core.digest import Digest
from lading.core.spec import PackageSpec
from lading.image.bill import BILL_PATH
from lading.layers import FileDigests, Recipe, arriving
from lading.layers.files import Content
from lading.layers.tar import LayerWriter


def billed(contents: Sequence[Content], folder: str) -> tuple[BilledFile, ...]:
    """Bill files, by their paths relative to a folder of the image."""
    found = (BilledFile(one.path.removeprefix(f"{folder}/"), one.size_bytes, one.digest) for one in contents)
    return tuple(found)


def billed_inputs(what: PackageSpec, digests: FileDigests) -> list[BilledInput]:
    """Bill the further assets of a package."""
    return [
        BilledInput(one.path, billed(arriving.contents(one, digests), one.path[1:]), one.mode, one.sources)
        for one in what.inputs
    ]


def bill_recipe(bill: Bill, beside: Mapping[str, bytes]) -> Recipe:
    """Lay the lock beside the bill, which has its digest, and what the lock pins of a base's image."""
    data = bill.encode()

    def write(_: Sequence[Path], writer: LayerWriter) -> None:
        for path, contents in sorted({BILL_PATH: data, **beside}.items()):
            writer.file(path[1:], contents)

    return Recipe("bill", "bill of lading", {"bill": str(Digest.of(data))}, write)
