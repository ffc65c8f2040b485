"""A suite and an architecture in; the packages that a mirror has for them, vouched for by its keys, out."""

from __future__ import annotations

import json
import lzma
import os
import threading
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from lading.core.digest import Digest
from lading.core.errors import IntegrityError, Issue, LockError, RegistryError
from lading.core.lock import LockedDeb
from lading.core.ports import Fetch
from lading.lock.debian_mirror import Mirror
from lading.lock.debian_packages import Packages
from lading.lock.debian_release import Release
from lading.lock.distribution import Distribution

_RECIPE = 2  # part of the cache's key: raise it when answers come out otherwise


def choose(
    question: Any,  # noqa: ANN401 (any JSON value)
    suite: str,
    architecture: str,
    choice: Callable[[Packages], tuple[LockedDeb, ...]],
    *,
    fetch: Fetch,
    mirror: Mirror,
    cache: Path | None,
) -> tuple[LockedDeb, ...]:
    """Choose among the packages of a suite, its updates and its security updates.

    `question` is all that the choice depends on besides; `cache` a folder for answers, kept by it and by the
    digests of the signed indexes. LockError for an unknown suite; IntegrityError for indexes that are not
    what they should be; RegistryError for a mirror out of reach.
    """
    places = [(mirror.main, suite), (mirror.main, f"{suite}-updates")]
    if mirror.security:
        places.append((mirror.security, f"{suite}-security"))
    with ThreadPoolExecutor(len(places)) as pool:
        releases = list(pool.map(lambda place: _release(place[0], place[1], mirror, fetch), places))
        asked = [_RECIPE, question, suite, architecture, [str(release.digest) for release in releases]]
        answer = cache / f"debian-{Digest.of(json.dumps(asked).encode()).hex}.json" if cache else None
        debs = _recall(answer)
        if not debs:
            sources = [
                (archive, release, component)
                for (archive, _), release in zip(places, releases, strict=True)
                for component in mirror.distribution.components
            ]
            texts = list(pool.map(lambda one: _index(one, architecture, mirror.distribution, fetch), sources))
            debs = choice(Packages(texts, f"{mirror.distribution.name}:{suite}"))
            _remember(answer, debs)
    return debs


def _release(archive: str, suite: str, mirror: Mirror, fetch: Fetch) -> Release:
    url = f"{archive}/dists/{suite}/InRelease"
    distribution = mirror.distribution
    try:
        signed = fetch.text(url, 16 << 20)
    except RegistryError as error:
        if not suite.endswith("-security"):
            raise
        fix = f"set {distribution.security_variable} to its URI, or to 'none' to do without security updates"
        raise RegistryError(
            *error.issues, Issue(suite, "the security archive cannot be read", fix)
        ) from error
    release = Release.read(signed, suite, where=url, keyrings=mirror.keyrings, distribution=distribution)
    now = datetime.now(timezone.utc)
    if mirror.checks_valid_until and release.valid_until and release.valid_until < now:
        what = (
            f"the index was valid until {release.valid_until:%Y-%m-%d}: somebody may be holding back updates"
        )
        fix = (
            "take another mirror; for a snapshot set Acquire::Check-Valid-Until false in apt's configuration"
        )
        raise LockError(Issue(url, what, fix))
    return release


def _index(
    place: tuple[str, Release, str], architecture: str, distribution: Distribution, fetch: Fetch
) -> bytes:
    """Fetch and uncompress the Packages file of a component, by its hash where the mirror offers that."""
    archive, release, component = place
    folder = f"{component}/binary-{architecture}"
    packed = next((one for one in (".xz", ".gz") if f"{folder}/Packages{one}" in release.files), None)
    plain = release.files.get(f"{folder}/Packages")
    if packed is None or plain is None:
        variable = distribution.ports_variable
        fix = f"name the mirror of that architecture in {variable}" if variable else None
        what = f"the mirror has no packages for {architecture!r} in {component}"
        raise LockError(Issue(release.suite, what, fix))
    digest, size_bytes = release.files[f"{folder}/Packages{packed}"]
    url = f"{archive}/dists/{release.suite}/{folder}"
    try:
        name = f"by-hash/SHA256/{digest.hex}" if release.by_hash else f"Packages{packed}"
        path = fetch.file(f"{url}/{name}", digest, size_bytes)
    except RegistryError:
        if not release.by_hash:
            raise
        path = fetch.file(f"{url}/Packages{packed}", digest, size_bytes)
    return _uncompress(path, packed, plain[1], f"{url}/Packages{packed}")


def _uncompress(path: Path, suffix: str, size_bytes: int, where: str) -> bytes:
    """Uncompress a file to the length the signed index gives, and no further."""
    data = path.read_bytes()
    try:
        if suffix == ".xz":
            text = lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(data, size_bytes + 1)
        else:
            text = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(data, size_bytes + 1)
    except (lzma.LZMAError, zlib.error) as error:
        raise IntegrityError(Issue(where, f"cannot be uncompressed: {error}")) from error
    if len(text) != size_bytes:
        raise IntegrityError(Issue(where, f"does not uncompress to the {size_bytes} bytes the index names"))
    return text


def _recall(answer: Path | None) -> tuple[LockedDeb, ...]:
    """Read a kept answer; empty where there is none that can be read."""
    try:
        rows = json.loads(answer.read_bytes()) if answer else []
        return tuple(LockedDeb(**{**row, "digest": Digest.parse(row["digest"])}) for row in rows)
    except (OSError, ValueError, TypeError, KeyError, IntegrityError):
        return ()


def _remember(answer: Path | None, debs: tuple[LockedDeb, ...]) -> None:
    """Keep an answer; another process may be keeping the same."""
    if answer is None:
        return
    rows = [{**asdict(deb), "digest": str(deb.digest)} for deb in debs]
    answer.parent.mkdir(parents=True, exist_ok=True)
    part = answer.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
    part.write_text(json.dumps(rows), encoding="utf-8")
    part.replace(answer)
