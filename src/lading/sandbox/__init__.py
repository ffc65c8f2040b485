"""Sealed layers in; a sandbox in which commands run on them out.

The kinds, in the order in which they are tried: `unshare`, `bwrap`, `podman`, `docker`.
"""

from __future__ import annotations

from lading.sandbox.choose import KINDS, Availability, available, open  # noqa: A004 - `sandbox.open`

__all__ = ["KINDS", "Availability", "available", "open"]
