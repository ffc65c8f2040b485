"""Named things of known size in; which of them share a layer, out.

Law: adding or removing one changes no group but one, beside its own layer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Protocol, TypeVar


class Sized(Protocol):
    """What can be grouped."""

    @property
    def name(self) -> str:
        """Tell one from another."""
        ...

    @property
    def size_bytes(self) -> int:
        """Weigh it."""
        ...


T = TypeVar("T", bound=Sized)


def group(items: Sequence[T], *, alone: int, shared: int) -> list[tuple[T, ...]]:
    """Put the `alone` largest in a group each, the others in `shared` groups by a hash of their name.

    The order depends on names and sizes alone; empty groups are left out.
    """
    by_size = sorted(items, key=lambda item: (-item.size_bytes, item.name))
    groups: list[list[T]] = [[] for _ in range(shared)]
    for item in sorted(by_size[alone:], key=lambda item: item.name):
        bucket = int.from_bytes(hashlib.sha256(item.name.encode()).digest()[:8], "big") % shared
        groups[bucket].append(item)
    return [(item,) for item in by_size[:alone]] + [tuple(one) for one in groups if one]
