"""Two packages go in; what differs between them, and whether a client would notice, comes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lading import image
from lading.core import canonical
from lading.core.platform import Platform
from lading.core.spec import Example
from lading.image.diff import Answers, Difference
from lading.pipeline import running, shelf
from lading.pipeline.context import Context
from lading.pipeline.glance import glance
from lading.pipeline.running import temporary_folder
from lading.verify.compare import differences, predictions, rows


@dataclass(frozen=True, slots=True)
class Compared:
    """Two packages and what differs between them."""

    before: shelf.Package
    after: shelf.Package
    difference: Difference

    @property
    def is_same(self) -> bool:
        """Tell whether they are the same bytes."""
        return self.before.image.descriptor.digest == self.after.image.descriptor.digest

    def to_json(self) -> dict[str, Any]:
        """Return digests, sizes and differences as JSON values."""
        both = {
            name: {
                "name": one.bill.name,
                "digest": str(one.image.descriptor.digest),
                "platform": str(one.image.platform),
                "size_bytes": one.image.size_bytes,
            }
            for name, one in (("before", self.before), ("after", self.after))
        }
        return {**both, "same": self.is_same, **self.difference.to_json()}


def diff(context: Context, before: str, after: str, platform: Platform | None = None) -> Compared:
    """Compare two packages by their bills, reports and recorded examples; of several platforms, one.

    Of a package in a registry no more is fetched than these.
    """
    with temporary_folder() as folder:
        there, before = glance(context, before, folder / "before")
        here, after = glance(context, after, folder / "after")
        old = shelf.find(there, before, platform)
        each = [shelf.find(here, after, platform)] if platform else shelf.find_each(here, after)
        # the same platform of both, where there is one
        new = next((one for one in each if one.image.platform == old.image.platform), each[0])
        answers = _answers((there, old), (here, new))
    found = image.compare(old.bill, new.bill, answers=answers, reports=(old.report, new.report))
    return Compared(old, new, found)


def _answers(before: tuple[Context, shelf.Package], after: tuple[Context, shelf.Package]) -> Answers | None:
    """Compare what both recorded for the same requests; None where they have none in common."""
    old, new = (
        {one.digest: one for one in each.bill.examples if one.has_outputs} for _, each in (before, after)
    )
    if not old or not new:
        return None
    if old.keys() == new.keys():  # inputs and outputs are the same bytes
        return Answers(sum(one.rows for one in old.values()), 0)
    asked = {
        canonical.encode(one.inputs, allow_nan=True): one
        for one in running.recorded_examples(*before)
        if _answered(one)
    }
    total = differing = 0
    first = ""
    for one in running.recorded_examples(*after):
        recorded = asked.get(canonical.encode(one.inputs, allow_nan=True))
        if recorded is None or not _answered(one):
            continue
        expected = predictions(recorded.outputs)
        tolerance = max(recorded.tolerance, one.tolerance)
        found = differences(predictions(one.outputs), expected, tolerance)
        count = len(rows(expected))
        total += count
        differing += count if any(each.row is None for each in found) else len(found)
        if found and not first:
            place = "the answer" if found[0].row is None else f"row {found[0].row}"
            column = f", {found[0].column}" if found[0].column else ""
            first = f"{place}{column}: {found[0].expected} → {found[0].got}"
    return Answers(total, differing, first) if total else None


def _answered(example: Example) -> bool:
    return example.outputs is not None
