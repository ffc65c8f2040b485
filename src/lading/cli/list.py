"""`lading list`."""

from __future__ import annotations

from lading import pipeline
from lading.cli.console import Common, Console, size


def run(*, common: Common = Common()) -> int:  # noqa: B008 - frozen
    """List the packages in the store.

    For example:

        lading list

        lading list --json
    """
    console = Console(common)
    found = list(pipeline.packages(pipeline.Context(common.settings(), console.event)))
    rows = [
        [
            str(name),
            package.descriptor.digest.short,
            str(package.image.platform),
            size(package.image.size_bytes),
            "verified" if package.report and package.report["passed"] else "not verified",
            package.bill.model.flavour,
        ]
        for name, package in found
    ]
    document = [
        {
            "name": str(name),
            "digest": str(package.descriptor.digest),
            "platform": str(package.image.platform),
            "size_bytes": package.image.size_bytes,
            "verified": bool(package.report and package.report["passed"]),
            "model": package.bill.model.flavour,
        }
        for name, package in found
    ]
    console.table(["NAME", "DIGEST", "PLATFORM", "SIZE", "VERIFIED", "MODEL"], rows, document)
    return 0
