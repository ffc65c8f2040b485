"""An image and the names of system packages go in; what it lacks of them comes out, pinned, then brought."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from lading.core.bases import Distribution as Record
from lading.core.errors import Issue, LockError
from lading.core.lock import LockedBase, LockedDeb
from lading.core.platform import Platform
from lading.core.ports import Event
from lading.fetch import HttpFetch
from lading.lock import debian, system_packages
from lading.lock.debian_mirror import Mirror, find_mirror
from lading.lock.distribution import BY_NAME, DEBIAN, Distribution
from lading.pipeline.context import Context


def add(
    context: Context, record: Record, platform: Platform, names: Sequence[str], where: str
) -> tuple[str | None, tuple[LockedDeb, ...]]:
    """Pin what an image lacks of the system packages asked for; return it after the release it is from.

    LockError where the image is not of Debian or Ubuntu, or one of its own packages would have to change.
    """
    if not names:
        return None, ()
    distribution = BY_NAME.get(record.identifier)
    if distribution is None or not record.codename or not record.status.strip():
        got = f"{record.identifier} {record.codename}".strip() or "no distribution that it tells of"
        what = f"{where} is {got}, expected Debian or Ubuntu with dpkg's record of what is installed"
        raise LockError(Issue("system_packages", what, "take another base, or put them into the image"))
    architecture = platform.architecture
    mirror, fetch = _archive(context, distribution, architecture)
    debs = system_packages.add(
        record.status,
        record.codename,
        architecture,
        names,
        fetch=fetch,
        mirror=mirror,
        cache=context.settings.cache / "debian",
    )
    added = ", ".join(one.name for one in debs) or "nothing: it has them all"
    context.events(Event("lock", "step", f"added to {where}: {added}"))
    return (f"{distribution.name}:{record.codename}", debs) if debs else (None, ())


def bring(context: Context, base: LockedBase, platform: Platform) -> Callable[[LockedDeb], Path]:
    """Return what brings the packages of a base here, each from its distribution's archive."""
    distribution = BY_NAME.get((base.suite or "").partition(":")[0], DEBIAN)
    if distribution == DEBIAN or not base.packages:
        return context.deb
    mirror, fetch = _archive(context, distribution, platform.architecture)
    return partial(debian.download, fetch=fetch, mirror=mirror)


def _archive(context: Context, distribution: Distribution, architecture: str) -> tuple[Mirror, HttpFetch]:
    if distribution == DEBIAN:
        return context.mirror, context.fetch_debian
    mirror = find_mirror(context.settings.ubuntu_mirror, distribution=distribution, architecture=architecture)
    return mirror, context.fetch_from(mirror)
