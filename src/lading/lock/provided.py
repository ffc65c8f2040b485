"""Python distributions that conda packages hold → what uv is told: they are there, and stay as they are.

For each an empty wheel of its name and version is written, and a constraint that names it: uv takes it where
anything asks for the distribution, says so where that clashes, and follows none of its dependencies, which
conda has settled.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from lading.core.lock import LockedConda


def versions(packages: Iterable[LockedConda]) -> dict[str, str]:
    """Return the version of each distribution in conda packages, by normalised name."""
    pairs = (one.partition("==") for package in packages for one in package.distributions)
    return {name: version for name, _, version in pairs if _is_version(version)}


def constraints(provided: Mapping[str, str], folder: Path) -> tuple[str, ...]:
    """Write an empty wheel of each distribution into a folder, and return the constraints that name them."""
    return tuple(
        f"{name} @ {_wheel(name, version, folder).as_uri()}" for name, version in sorted(provided.items())
    )


def _wheel(name: str, version: str, folder: Path) -> Path:
    stem = f"{name.replace('-', '_')}-{version}"
    path = folder / f"{stem}-py3-none-any.whl"
    info = f"{stem}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        archive.writestr(zipfile.ZipInfo(f"{info}/METADATA"), metadata)
        tags = "Wheel-Version: 1.0\nGenerator: lading\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        archive.writestr(zipfile.ZipInfo(f"{info}/WHEEL"), tags)
        record = f"{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n"
        archive.writestr(zipfile.ZipInfo(f"{info}/RECORD"), record)
    return path


def _is_version(text: str) -> bool:
    from packaging.version import InvalidVersion, Version

    try:
        Version(text)
    except InvalidVersion:
        return False
    return True
