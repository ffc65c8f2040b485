"""A sealed package goes in; the same, made again from its own bill and lock, comes out."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from lading import __version__
from lading.core import canonical
from lading.core.digest import Digest
from lading.core.errors import IntegrityError, Issue, LadingError, RegistryError, SpecError
from lading.core.lock import LockedArchive, LockedConda, LockedDeb, LockedWheel, PlatformLock
from lading.core.ports import Event, Fetch
from lading.core.reference import Reference
from lading.core.spec import CompileWay, Indexes
from lading.pipeline import bases, shelf, system
from lading.pipeline.alike import Side, differences
from lading.pipeline.context import Context, keeping
from lading.pipeline.locking import fetch_for
from lading.pipeline.packing import Builder
from lading.pipeline.recover import Recovered, recover
from lading.pipeline.sealing import Built, Packed, finish, seal_images
from lading.store import documents
from lading.store.copy import copy
from lading.store.disk import translated

Pinned = LockedWheel | LockedDeb | LockedArchive | LockedConda
_DOWNLOADS = 8
_STALE_S = 86400.0
_GONE = "name a folder that has it with --find-links, or a mirror that does"


@dataclass(frozen=True, slots=True)
class Checked:
    """A package that came out as it was when it was made again."""

    digest: Digest
    platforms: tuple[str, ...]
    layers: int

    def to_json(self) -> dict[str, Any]:
        """Return what was checked, as JSON values."""
        return {
            "digest": str(self.digest),
            "same": True,
            "platforms": list(self.platforms),
            "layers": self.layers,
        }


@keeping
def check(
    context: Context, text: str, *, find_links: Sequence[Path] = (), sandbox: str | None = None
) -> Checked:
    """Make a package again with empty stores and caches, but for what it downloads, and compare digests.

    Raises IntegrityError that names the layers that differ, and the files in them; RegistryError that names
    every package that is gone.
    """
    packages = shelf.find_each(context, text)
    with _workshop(context) as folder:
        apart = context.apart(folder)
        built = list(
            _again(
                context,
                apart,
                packages,
                folder=folder,
                find_links=find_links,
                sandbox=sandbox,
                sealed_by=None,
            )
        )
        got = seal_images(apart, built)
        issues = [
            issue
            for one, other in _pairs(context, packages, built)
            for issue in differences(
                Side(one.image, one.bill, context.store), Side(other.image, other.bill, apart.store)
            )
        ]
    expected = packages[0].descriptor.digest
    if got.digest != expected or issues:
        what = f"made again it is {got.digest}, expected {expected}"
        raise IntegrityError(_blamed(text, what, packages), *issues)
    layers = sum(len(one.layers) for one in built)
    context.events(
        Event("rebuild", "stage", f"{layers} layers made again, none from a cache: the same bytes")
    )
    return Checked(got.digest, tuple(str(one.image.platform) for one in packages), layers)


def _blamed(text: str, what: str, packages: Sequence[shelf.Package]) -> Issue:
    """Say that digests differ, and, where that may be because versions do, which to take."""
    others = sorted({one.bill.lading for one in packages} - {__version__})
    if not others:
        return Issue(repr(text), what)
    which = " and ".join(others)
    what += f"; it was sealed by lading {which}, and this is {__version__}, whose bytes may be others"
    return Issue(repr(text), what, f"check it with lading {which}, in an environment of its own")


def _pairs(
    context: Context, packages: Sequence[shelf.Package], built: Sequence[Built]
) -> Iterator[tuple[shelf.Package, Built]]:
    """Pair what was made again with what it should be, the images of models with each other too."""
    for package, made in zip(packages, built, strict=True):
        yield package, made
        if made.original:
            yield shelf.original(context, package), made.original


@keeping
def rebuild(
    context: Context,
    text: str,
    names: tuple[str, ...],
    *,
    find_links: Sequence[Path] = (),
    verify: bool = True,
    sandbox: str | None = None,
) -> Packed:
    """Make a package again, verify it and name it; what is in the cache of layers is taken from there."""
    references = tuple(dict.fromkeys(map(Reference.parse, names)))
    if not references:
        fix = "compare it with --check, or name what is made again with --tag"
        raise SpecError(Issue("rebuild", "got neither --check nor --tag", fix))
    packages = shelf.find_each(context, text)
    with _workshop(context) as folder:
        built = list(
            _again(
                context,
                context,
                packages,
                folder=folder,
                find_links=find_links,
                sandbox=sandbox,
                sealed_by=__version__,
            )
        )
        return finish(context, built, references, verify=verify, sandbox=sandbox)


@contextmanager
def _workshop(context: Context) -> Iterator[Path]:
    """Lend a folder on the disk of the caches: a whole package may be made in it."""
    place = context.settings.cache / "rebuild"
    with translated(place):
        place.mkdir(parents=True, exist_ok=True)
        for path in place.iterdir():  # what a run left that was killed a day ago or longer
            if time.time() - path.stat().st_mtime > _STALE_S:
                shutil.rmtree(path, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(dir=place))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _again(
    context: Context,
    where: Context,
    packages: Sequence[shelf.Package],
    *,
    folder: Path,
    find_links: Sequence[Path],
    sandbox: str | None,
    sealed_by: str | None,
) -> Iterator[Built]:
    """Make each platform's image again; `sealed_by` None claims what the package's bill claims."""
    for number, package in enumerate(packages):
        bill = package.bill
        if bill.lading != __version__:
            what = f"it was sealed by lading {bill.lading}, and this is {__version__}: bytes may differ"
            context.events(Event("rebuild", "warning", what))
        found = recover(context, shelf.original(context, package), folder / f"files-{number}")
        if form := bill.model.compiled:
            way = cast("CompileWay", form.way)
            spec = replace(found.spec, compile=way, compile_tolerance=form.tolerance or None)
            found = replace(found, spec=spec)
        _bring(context, found, find_links)
        _bring_base(context, where, found)
        builder = Builder(
            where,
            found.spec,
            found.facts,
            found.facts.requirements,
            sandbox,
            created_s=_created_s(package),
            sealed_by=sealed_by or bill.lading,
            compiles=any(one.kind == "bytecode" for one in bill.layers),
            again=True,
        )
        yield builder.build(found.lock)


def _bring_base(context: Context, where: Context, found: Recovered) -> None:
    """Have the image of a base where the package is made: its layers are the package's own."""
    image = found.lock.base.image
    if image is None or not found.base:
        return
    for document in found.base:
        documents.write(context.store, document)
    if bases.is_whole(context, image):
        # what is not what the lock pins is noticed on the way
        copy(context.store, image, where.store)


def _created_s(package: shelf.Package) -> int:
    """Read when the image says it was made, which is what SOURCE_DATE_EPOCH was, or 0."""
    created = canonical.decode(package.image.config, "image config").get("created")
    try:
        return int(datetime.fromisoformat(str(created).replace("Z", "+00:00")).timestamp())
    except (ValueError, OverflowError) as error:
        raise IntegrityError(Issue("image config", f"got created {created!r}, expected a time")) from error


def _bring(context: Context, found: Recovered, find_links: Sequence[Path]) -> None:
    """Have all that the lock pins among the downloads; RegistryError names every package that is gone."""
    lock = found.lock
    fetch = fetch_for(context, found.spec, lock)
    fetch_deb = system.bring(context, lock.base, lock.platform)
    wanted = _pinned(lock)
    context.events(Event("rebuild", "progress", "fetching", 0, len(wanted), "packages"))

    def bring(one: Pinned) -> Issue | None:
        try:
            _bring_one(context, fetch, fetch_deb, one, find_links)
        except LadingError as error:
            why = error.issues[-1]
            return Issue(f"{one.name} {one.version}", f"{why.where}: {why.what}", _GONE)
        return None

    with ThreadPoolExecutor(_DOWNLOADS) as pool:
        issues = [one for one in pool.map(bring, wanted) if one]
    if issues:
        raise RegistryError(*issues)


def _pinned(lock: PlatformLock) -> list[Pinned]:
    interpreters = (lock.interpreter, lock.second)
    archives = [one.archive for one in interpreters if one and one.archive]
    return [*lock.model, *lock.server, *lock.base.packages, *archives, *lock.conda]


def _bring_one(
    context: Context,
    fetch: Fetch,
    fetch_deb: Callable[[LockedDeb], Path],
    one: Pinned,
    find_links: Sequence[Path],
) -> None:
    name = one.filename.rpartition("/")[2]
    for folder in find_links:
        if (path := folder / name).is_file():
            # into the downloads, if it is what the lock pins
            context.fetch(Indexes()).file(path.absolute().as_uri(), one.digest, one.size_bytes)
            return
    if isinstance(one, LockedDeb):
        fetch_deb(one)
    else:
        fetch.file(one.url, one.digest, one.size_bytes)
