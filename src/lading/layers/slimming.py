"""A slim cargo in; what is left out of its wheels, counted by library and kind, out.

It is noted in the cache of layers: where these are all there, no wheel has to be.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

from lading.core import typed
from lading.core.bill import BilledSlim
from lading.core.errors import IntegrityError
from lading.core.lock import LockedWheel
from lading.core.ports import LayerCache
from lading.layers import slim, wheel
from lading.layers.cache import key
from lading.layers.cargo import Cargo
from lading.layers.recipes import model_environment


def figures(cargo: Cargo, bring: Callable[[LockedWheel], Path], cache: LayerCache) -> tuple[BilledSlim, ...]:
    """Count what a slim cargo does without, by name and kind; wheels are brought where that is not known."""
    target = model_environment(cargo)
    found: list[BilledSlim] = []
    for one in cargo.lock.model:
        rows = _recall(one, cache)
        if rows is None:
            rows = _counted(one, bring(one), target)
            _note(one, rows, cache)
        found += rows
    return tuple(sorted(found, key=lambda one: (one.name, one.kind)))


def known(cargo: Cargo, rows: Iterable[BilledSlim], cache: LayerCache) -> None:
    """Note what another package's bill tells of the same wheels."""
    by_name: dict[str, list[BilledSlim]] = defaultdict(list)
    for row in rows:
        by_name[row.name].append(row)
    for one in cargo.lock.model:
        if _recall(one, cache) is None:
            _note(one, by_name[one.name], cache)


def _counted(one: LockedWheel, path: Path, target: wheel.Target) -> list[BilledSlim]:
    by_kind: dict[str, list[wheel.Placed]] = defaultdict(list)
    for kind, placed in wheel.plan(path, target, filename=one.filename).slimmed:
        by_kind[kind].append(placed)
    return [
        BilledSlim(
            one.name,
            kind,
            files=len(found),
            size_bytes=sum(each.size_bytes for each in found),
            packed_bytes=sum(each.packed_bytes for each in found),
        )
        for kind, found in sorted(by_kind.items())
    ]


def _key(one: LockedWheel) -> str:
    return key({"slimmed": [one.filename, str(one.digest)], "slim": slim.VERSION}, "gzip")


def _note(one: LockedWheel, rows: Iterable[BilledSlim], cache: LayerCache) -> None:
    cache.note(_key(one), [typed.to_json(row) for row in rows])


def _recall(one: LockedWheel, cache: LayerCache) -> list[BilledSlim] | None:
    noted = cache.recall(_key(one))
    try:
        return [typed.from_json(BilledSlim, row, "slim") for row in noted]
    except (TypeError, IntegrityError):
        return None
