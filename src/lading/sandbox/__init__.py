"""Sealed layers in; a sandbox in which commands run on them out.

The kinds, in the order in which they are tried: `unshare`, `bwrap`, `podman`, `docker`.
"""

from __future__ import annotations

from lading.sandbox.builders import build
from lading.sandbox.containers import Engine, Order
from lading.sandbox.flatten import flatten
from lading.sandbox.kinds import KINDS, Availability, available, choose, engine
from lading.sandbox.kinds import open as open  # noqa: A004 - `sandbox.open`
from lading.sandbox.relay import relayed

__all__ = [
    "KINDS",
    "Availability",
    "Engine",
    "Order",
    "available",
    "build",
    "choose",
    "engine",
    "flatten",
    "open",
    "relayed",
]
