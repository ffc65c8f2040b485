"""A store, and the caches beside it, go in; everything that is wrong comes out, and is mended where asked."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lading.core.digest import Digest
from lading.core.errors import IntegrityError, Issue, LadingError, RegistryError
from lading.core.image import Layer
from lading.core.ports import Event
from lading.pipeline.context import Context
from lading.sandbox.compare import diff_id
from lading.store import LayoutStore
from lading.store.check import REPAIR, Findings, check, verdict
from lading.store.repair import repair as repair_store


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found, and what was done about it."""

    findings: Findings
    cached: tuple[tuple[Issue, Path], ...]
    """What is wrong in the caches, with what to remove."""
    done: tuple[str, ...]

    @property
    def issues(self) -> list[Issue]:
        """Everything that is wrong."""
        return [*(fault.issue for fault in self.findings.faults), *(issue for issue, _ in self.cached)]

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        rows = [[_json(one) for one in found] for found in (self.issues, self.findings.notes)]
        return {
            "roots": self.findings.roots,
            "blobs": self.findings.blobs,
            "bytes": self.findings.bytes,
            "issues": rows[0],
            "notes": rows[1],
            "repaired": list(self.done),
        }


def _json(issue: Issue) -> dict[str, str | None]:
    return {"where": issue.where, "what": issue.what, "fix": issue.fix}


def fsck(context: Context, folder: Path | None, *, repair: bool) -> Checked:
    """Check the store and its caches, or any layout folder; with `repair`, take out what is wrong.

    Raises RegistryError where the folder is not there, IntegrityError where it is no layout.
    """
    store = context.store if folder is None else LayoutStore(folder)
    if folder and not folder.is_dir():
        raise RegistryError(Issue(str(folder), "is not there", "name the folder of an OCI image layout"))
    findings = check(store, events=context.events)
    done = repair_store(store, findings) if repair else []
    if folder or not context.settings.home.is_dir():
        return Checked(findings, (), tuple(done))
    damaged = {fault.blob for fault in findings.faults}
    cached = (*_layers(context, damaged), *_downloads(context))
    for issue, path in cached if repair else ():
        _remove(path)
        done.append(f"removed {path}: {issue.what}")
    return Checked(findings, cached, tuple(done))


def _layers(context: Context, damaged: set[Digest | None]) -> Iterator[tuple[Issue, Path]]:
    """Compare what is remembered of each layer, and what is unpacked of it, with its blob."""
    cache, store = context.layers, context.store
    remembered = [(path, one) for path, one in cache.entries() if one.descriptor.digest not in damaged]

    def look(one: tuple[Path, Layer]) -> Iterable[tuple[Issue, Path]]:
        return list(_layer(store, context.settings.cache / "unpacked", *one))

    yield from _in_parallel(look, remembered, "layers", context)


def _layer(store: LayoutStore, unpacked: Path, entry: Path, layer: Layer) -> Iterator[tuple[Issue, Path]]:
    digest, folder = layer.descriptor.digest, unpacked / layer.diff_id.hex
    if not store.path(digest).exists():  # collected: it is made again when it is wanted
        return
    try:
        got, problem = diff_id(layer, store, folder if folder.is_dir() else None)
    except IntegrityError as error:
        yield Issue(str(entry), f"{layer.title}: {error.issues[0].what}", REPAIR), entry
        return
    except LadingError:  # gone meanwhile, or compressed by what is not installed here
        return
    if got != layer.diff_id:
        what = f"says that {digest} unpacks to {layer.diff_id}, which is {got}"
        yield Issue(str(entry), what, REPAIR), entry
    elif problem and folder.is_dir():
        yield Issue(str(folder), f"{layer.title} is not as its layer has it: {problem}", REPAIR), folder


def _downloads(context: Context) -> Iterator[tuple[Issue, Path]]:
    """Compare every download with its name."""

    def look(path: Path) -> Iterable[tuple[Issue, Path]]:
        with suppress(IntegrityError):
            what = verdict(path, Digest.parse(f"{path.parent.name}:{path.name}"))
            return [(Issue(str(path), what, REPAIR), path)] if what else []
        return []

    folder = context.settings.cache / "downloads"
    yield from _in_parallel(look, sorted(folder.glob("sha*/*")), "downloads", context)


def _in_parallel(
    look: Callable[[Any], Iterable[tuple[Issue, Path]]], things: list[Any], what: str, context: Context
) -> Iterator[tuple[Issue, Path]]:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done, found in enumerate(pool.map(look, things), 1):
            context.events(Event("check", "progress", what, done, len(things), "layers"))
            yield from found


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
