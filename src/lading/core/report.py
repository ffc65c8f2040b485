"""What verification saw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lading.core import typed
from lading.core.lock import Dropped


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at. `detail` says what was seen and, when it failed, by how much it differed."""

    name: str
    passed: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of one verification of one image."""

    image: str
    """Digest of the manifest."""
    sandbox: str
    """What it ran in: `unshare`, `bwrap`, `podman` or `docker`; `unshare, qemu-aarch64` where emulated."""
    checks: tuple[Check, ...]
    predictions: int = 0
    """Recorded rows replayed."""
    matched: int = 0
    ready_s: float = 0.0
    """Seconds from exec to ready."""
    peak_memory_bytes: int = 0
    latency_ms: float = 0.0
    """Median of one request."""
    output: str = ""
    """The last lines that server and worker wrote."""
    figures: Mapping[str, float] = field(default_factory=dict)
    proof: Mapping[str, Any] = field(default_factory=dict)
    """How a compiled form was held against its model; where the model itself answers, why, or nothing."""
    dropped: tuple[Dropped, ...] = ()
    """The libraries that were left out, and that it did not need."""

    @property
    def emulator(self) -> str:
        """Name what emulated the package's processor; empty where none did.

        What ran emulated has no figures but `ready_s`: its memory and times are the emulator's.
        """
        return self.sandbox.partition(", ")[2]

    @property
    def saved_bytes(self) -> int:
        """What the wheels would take that were left out."""
        return sum(one.size_bytes for one in self.dropped)

    @property
    def passed(self) -> bool:
        """Tell whether every check passed."""
        return all(check.passed for check in self.checks)

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {**typed.to_json(self), "passed": self.passed, "saved_bytes": self.saved_bytes}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Report:
        """Read what `to_json` wrote; raise IntegrityError where it is malformed."""
        return typed.from_json(cls, document, "report")
