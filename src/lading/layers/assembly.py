"""A cargo in; its sealed layers out, from the cache where they were made before.

Downloads and layering overlap. Threads are enough: inflating and hashing let go of the interpreter's lock.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lading.core.bill import BilledSlim
from lading.core.descriptor import LAYER_GZIP, LAYER_ZSTD, Descriptor
from lading.core.errors import IntegrityError
from lading.core.image import Layer
from lading.core.lock import LockedDeb
from lading.core.ports import BlobSink, Event, Events, Fetch, LayerCache, ignore
from lading.layers import overlap, scripts, slimming
from lading.layers.cache import key
from lading.layers.cargo import Cargo
from lading.layers.compress import Compression
from lading.layers.file_digests import FileDigests
from lading.layers.overlap import Overlap, OverlapError
from lading.layers.recipe import Package, Recipe
from lading.layers.recipes import environments, recipes
from lading.layers.tar import LayerWriter

_DOWNLOADS = 8
_MEDIA_TYPES = {"gzip": LAYER_GZIP, "zstd": LAYER_ZSTD}


@dataclass(frozen=True, slots=True)
class Assembled:
    """An image's layers, lowest first, and how many of them were there already."""

    layers: tuple[Layer, ...]
    cached: int
    slimmed: tuple[BilledSlim, ...] | None = None
    """What was left out of the wheels; None where they are whole."""


def assemble(
    cargo: Cargo,
    *,
    fetch: Fetch,
    fetch_deb: Callable[[LockedDeb], Path],
    store: BlobSink,
    cache: LayerCache,
    digests: FileDigests,
    events: Events = ignore,
    workers: int | None = None,
    compression: Compression = "gzip",
) -> Assembled:
    """Make every layer of an image that is not in the cache; equal cargo, equal bytes.

    `workers` layers are made at a time, by default as many as there are processors. Raises SpecError and
    ModelError for files that cannot be packed, IntegrityError for packages that are not what they claim,
    RegistryError for those that cannot be had.
    """

    def bring(package: Package) -> Path:
        if isinstance(package, LockedDeb):
            return fetch_deb(package)
        return fetch.file(package.url, package.digest, package.size_bytes)

    def build(overlaps: Sequence[Overlap]) -> Assembled:
        planned = recipes(cargo, digests, overlaps)
        if overlaps:
            events(overlap.warning(overlaps))
        keys = [key(recipe.made_from, compression) for recipe in planned]
        found = [cache.get(one) for one in keys]
        layers = {
            index: replace(layer, kind=recipe.kind, title=recipe.title)
            for index, (recipe, layer) in enumerate(zip(planned, found, strict=True))
            if layer
        }
        cached = len(layers)
        events(Event("assemble", "progress", "from cache", cached, len(planned), "layers"))
        missing = {index: recipe for index, recipe in enumerate(planned) if index not in layers}
        for index, layer in _sealed(missing, bring, store, compression, workers or os.cpu_count() or 1):
            cache.put(keys[index], layer)
            layers[index] = layer
            events(Event("assemble", "progress", layer.title, len(layers), len(planned), "layers"))
        if unmade := scripts.warning(cargo.lock.base.packages, fetch_deb, cache):
            events(unmade)
        below = cargo.base.layers if cargo.base else ()
        made = (layers[index] for index in range(len(planned)))
        slimmed = slimming.figures(cargo, bring, cache) if cargo.slim else None
        return Assembled((*below, *made), len(below) + cached, slimmed)

    # how wheels overlap is known once they are all here: most do not, so none is waited for
    question = key({"overlaps": environments(cargo)}, compression)
    try:
        return build(overlap.parse(cache.recall(question)))
    except OverlapError as error:
        cache.note(question, [list(one) for one in error.overlaps])
        return build(error.overlaps)


def seal(recipe: Recipe, paths: Sequence[Path], store: BlobSink, compression: Compression = "gzip") -> Layer:
    """Write one layer into a store, given the files of its packages."""
    try:
        with store.create() as blob:
            writer = LayerWriter(blob, compression=compression)
            recipe.write(paths, writer)
            tar = writer.finish()
    except IntegrityError as error:
        issues = (replace(issue, where=f"{recipe.title}: {issue.where}") for issue in error.issues)
        raise IntegrityError(*issues) from error
    descriptor = Descriptor(_MEDIA_TYPES[compression], tar.digest, tar.size_bytes)
    return Layer(descriptor, tar.diff_id, recipe.kind, recipe.title)


def _sealed(
    missing: Mapping[int, Recipe],
    bring: Callable[[Package], Path],
    store: BlobSink,
    compression: Compression,
    workers: int,
) -> Iterator[tuple[int, Layer]]:
    """Yield layers as they are sealed, each as soon as all its packages are here."""
    if not missing:
        return
    from concurrent.futures import (
        FIRST_COMPLETED,
        Future,
        ThreadPoolExecutor,
        wait,
    )  # a warm build needs none

    packages = sorted(
        {package for recipe in missing.values() for package in recipe.packages},
        key=lambda package: (-package.size_bytes, package.name),
    )
    with ThreadPoolExecutor(_DOWNLOADS) as downloads, ThreadPoolExecutor(workers) as sealing:
        try:
            brought = {package: downloads.submit(bring, package) for package in packages}
            waiting = dict(missing)
            running: dict[Future[Layer], int] = {}
            while waiting or running:
                for index, recipe in list(waiting.items()):
                    if all(brought[package].done() for package in recipe.packages):
                        paths = [brought[package].result() for package in recipe.packages]
                        running[sealing.submit(seal, waiting.pop(index), paths, store, compression)] = index
                pending: set[Future[Any]] = {future for future in brought.values() if not future.done()}
                for future in wait({*pending, *running}, return_when=FIRST_COMPLETED).done:
                    outcome = future.result()  # the first failure ends it all
                    if isinstance(outcome, Layer):
                        yield running.pop(future), outcome
        finally:
            downloads.shutdown(wait=False, cancel_futures=True)
            sealing.shutdown(wait=False, cancel_futures=True)
