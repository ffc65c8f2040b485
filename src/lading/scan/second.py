"""A second opinion: a path goes in, what picklescan says of it comes out.

Its list is of what is known to be bad, so that it misses what nobody has thought of; what it finds beyond the
allow-list is worth a look all the same.
"""

from __future__ import annotations

import importlib.metadata
import logging
import zipfile
from collections.abc import Iterator
from pathlib import Path

from lading.core.errors import Issue, SpecError
from lading.core.scan import Finding
from lading.scan import rules

_DENSE_RATIO = 100
_MOST_DENSE_BYTES = 256 << 20


def version() -> str:
    """Return the scanner and its version; raise SpecError where it is not installed."""
    try:
        return f"picklescan {importlib.metadata.version('picklescan')}"
    except importlib.metadata.PackageNotFoundError as error:
        issue = Issue(
            "--second-opinion", "needs picklescan, which is not installed", "pip install 'lading[scan]'"
        )
        raise SpecError(issue) from error


def ask(path: Path, name: str) -> Iterator[Finding]:
    """Scan one file; what it calls innocuous or merely suspicious is left to the allow-list."""
    from picklescan.scanner import (  # type: ignore[import-untyped,import-not-found,unused-ignore]
        SafetyLevel,
        scan_file_path,
    )

    if _is_blown_up(path):
        return
    logging.getLogger("picklescan").setLevel(logging.CRITICAL)
    try:
        found = scan_file_path(str(path)).globals
    except Exception:  # noqa: BLE001 - what it cannot read is no opinion: the walk has said what that means
        return
    for one in found:
        if one.safety == SafetyLevel.Dangerous:
            yield Finding(
                rules.SECOND_OPINION, name, name, f"{one.module}.{one.name}", "picklescan: dangerous"
            )


def _is_blown_up(path: Path) -> bool:
    """Tell whether a small zip holds so much that it would fill the memory, for members are read whole."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False
    dense = (one.file_size for one in entries if one.file_size > _DENSE_RATIO * one.compress_size)
    return sum(dense) > _MOST_DENSE_BYTES
