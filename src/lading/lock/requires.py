"""Wheels of a lock → what each of them requires, as their own metadata tell."""

from __future__ import annotations

import email
import re
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from lading.core.lock import Lock, LockedWheel, PlatformLock
from lading.lock import sources
from lading.lock.python import Target
from lading.lock.wheels import marker_environment

Bring = Callable[[LockedWheel], Path]

_METADATA = re.compile(r"[^/]+\.dist-info/METADATA")


def closure(names: Iterable[str], lock: Lock, part: PlatformLock, bring: Bring) -> set[str]:
    """Name distributions and all that they require, as far as it is locked; the wheels of these are read."""
    from packaging.requirements import InvalidRequirement, Requirement

    markers = marker_environment(Target(part.platform, part.interpreter.version, part.base.libc))
    wheels = {sources.normalise(one.name): one for one in part.model}
    asked = {sources.name_of(one.text): one.text for one in lock.requirements}
    waiting = [asked.get(name, name) for name in names]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        try:
            wanted = Requirement(waiting.pop())
        except InvalidRequirement:
            continue
        found = sources.normalise(wanted.name), frozenset(wanted.extras)
        if found in seen or found[0] not in wheels:
            continue
        seen.add(found)
        texts = _required(bring(wheels[found[0]]))
        waiting += [one for one in texts if _counts(one, markers, found[1])]
    return {name for name, _ in seen}


def _counts(text: str, markers: Mapping[str, Any], extras: Iterable[str]) -> bool:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        marker = Requirement(text).marker
    except InvalidRequirement:
        return False
    return marker is None or any(marker.evaluate({**markers, "extra": one}) for one in ("", *extras))


def _required(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as archive:
        inside = next((one for one in archive.namelist() if _METADATA.fullmatch(one)), None)
        text = archive.read(inside).decode("utf-8", "replace") if inside else ""
    return [str(one) for one in email.message_from_string(text).get_all("Requires-Dist", [])]
