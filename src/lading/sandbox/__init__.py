"""Sealed layers in; a sandbox in which commands run on them out.

The kinds, in the order in which they are tried: `unshare`, `bwrap`, `podman`, `docker`.
"""

from __future__ import annotations

from lading.sandbox.choose import KINDS, Availability, available, choose, engine
from lading.sandbox.choose import open as open  # noqa: A004 - `sandbox.open`
from lading.sandbox.containers import Engine, Order
from lading.sandbox.flatten import flatten

__all__ = ["KINDS", "Availability", "Engine", "Order", "available", "choose", "engine", "flatten", "open"]
