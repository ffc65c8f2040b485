"""A file or folder and a policy go in, what in it could run code comes out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lading import __version__, scan
from lading.core.ports import Events
from lading.core.scan import Policy, Scan
from lading.spec.policy import read_policy


def look_for_code(path: Path, *, policy: Path | None, second_opinion: bool, events: Events) -> Scan:
    """Scan a path; raise SpecError for a bad policy, ModelError where there is nothing to scan."""
    rules = read_policy(policy) if policy else Policy()
    return scan.scan(path, rules, second_opinion=second_opinion, events=events)


def sarif(found: Scan) -> dict[str, Any]:
    """Return a scan as SARIF 2.1.0."""
    return scan.sarif(found, __version__)
