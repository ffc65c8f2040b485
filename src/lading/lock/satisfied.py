"""Requirements and a finished environment in; what is missing from it, or there in another version, out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lading.core.errors import Issue
from lading.core.model import Requirement
from lading.core.platform import Platform
from lading.lock.python import MACHINES
from lading.lock.sources import normalise

_GUESSED = "installed"
"""The version installed where the model was packed: not asked for by anybody."""


def problems(
    requirements: Iterable[Requirement],
    versions: Mapping[str, str],
    python: str,
    platform: Platform,
    where: str,
) -> list[Issue]:
    """Name each requirement that an environment does not meet; `versions` are its packages, by name."""
    from packaging.requirements import Requirement as Parsed

    there = {normalise(name): version for name, version in versions.items()}
    markers = {
        "python_version": ".".join(python.split(".")[:2]),
        "python_full_version": python,
        "sys_platform": "linux",
        "platform_system": "Linux",
        "os_name": "posix",
        "platform_machine": MACHINES[platform.architecture],
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }
    found = []
    for one in requirements:
        read = Parsed(one.text)
        if read.marker and not read.marker.evaluate(markers):
            continue
        version = there.get(normalise(read.name))
        if version is None:
            what = f"{where} has no {read.name}"
        elif one.origin != _GUESSED and not read.specifier.contains(version, prereleases=True):
            what = f"{where} has {read.name} {version}"
        else:
            continue
        found.append(Issue(f"requirement {one.text!r} ({one.origin})", what, "take another environment"))
    return found
