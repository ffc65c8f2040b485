"""`lading du`."""

from __future__ import annotations

from lading.cli.console import Common, Console, size
from lading.pipeline import care
from lading.pipeline.context import Context


def run(*, common: Common = Common()) -> int:
    """Tell what the store and the caches take, and what of it packages share.

    A package's own bytes are those that no other needs: what removing it, then `lading gc`, would free.

    For example:

        lading du

        lading du --json | jq .store.saved_bytes
    """
    console = Console(common)
    taken = care.taken(Context(common.settings(), console.event))
    store = taken.store
    rows = [
        [one.digest.short, size(one.bytes), size(one.own_bytes), ", ".join(one.names) or "(no name)"]
        for one in sorted(store.shares, key=lambda one: -one.own_bytes)
    ]
    header = ["DIGEST", "SIZE", "OWN", "NAMES"]
    widths = [max(len(row[n]) for row in (header, *rows)) for n in range(3)]
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]])
        for row in (header, *rows)
        if rows
    ]
    if rows:
        lines.append("")
    alone = f"the packages alone would take {size(store.sum_bytes)}"
    lines.append(f"store   {size(store.bytes):>8}  {store.blobs} blobs; {alone}")
    lines.append(f"        {size(store.bytes - store.reached_bytes):>8}  of it no package needs (lading gc)")
    if store.unfinished_bytes:
        left = "being written, or left by what was killed (lading gc --older-than-s 0)"
        lines.append(f"        {size(store.unfinished_bytes):>8}  {left}")
    lines.append(f"caches  {size(sum(taken.caches.values())):>8}  (lading gc --cache)")
    lines += [
        f"        {size(size_bytes):>8}  {kind}"
        for kind, size_bytes in sorted(taken.caches.items(), key=lambda one: -one[1])
    ]
    console.result("\n".join(lines), {"home": str(common.settings().home), **taken.to_json()})
    return 0
