"""A workspace: assets by name and version. A version never changes; it appears whole, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Literal

from lading.core.assets import (
    EDITABLE,
    LATEST,
    Asset,
    AssetDraft,
    AssetFile,
    AssetKind,
    AssetReference,
    tag_of,
    word_problem,
)
from lading.core.descriptor import Descriptor
from lading.core.digest import Digest
from lading.core.errors import Issue, LadingError, SpecError
from lading.core.model import ModelFile
from lading.core.ports import Event, Events, OpenAt, ignore
from lading.workspace import complaints
from lading.workspace.artefact import FILE, Shelf, label_tag
from lading.workspace.files import is_executable
from lading.workspace.tally import Tally

Which = Literal["active", "archived", "all"]
How = Literal["created", "reused", "updated"]
_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Created:
    """What creating an asset came to: a new version, one that was there with that content, or its edit."""

    asset: Asset
    how: How


class Workspace:
    """The assets that are kept in one place. Law: what `create` returned, `get` returns for ever after."""

    def __init__(self, name: str, shelf_of: Callable[[AssetKind], Shelf], events: Events = ignore) -> None:
        """Name the place for people; `shelf_of` opens the repository of a kind."""
        self.name = name
        self.shelf_of = shelf_of
        self.events = events

    def create(
        self,
        draft: AssetDraft,
        files: Sequence[ModelFile] = (),
        *,
        digest_of: Callable[[Path], Digest] | None = None,
    ) -> Created:
        """Keep an asset under its version, or the next one where it names none.

        The same content again is reused, and its description, tags and properties are
        edited where they are given.
        Raises SpecError for other content under a version that is there.
        """
        kept = tuple(_file(one, digest_of or _digest_of) for one in files)

        opening = {one.digest: _opens_path(file.source) for one, file in zip(kept, files, strict=True)}
        return self._keep(draft, kept, opening.__getitem__)

    def content_of(
        self,
        draft: AssetDraft,
        files: Sequence[ModelFile],
        *,
        digest_of: Callable[[Path], Digest] | None = None,
    ) -> Digest:
        """Name the content that a draft would have."""
        kept = tuple(_file(one, digest_of or _digest_of) for one in files)
        return Asset(draft.kind, "", "", document=draft.document, files=kept).content

    def get(self, reference: AssetReference) -> Asset:
        """Find an asset by version or label, or its latest where neither is told.

        Raises UnknownAssetError, with what else is there.
        """
        shelf = self.shelf_of(reference.kind)
        versions = self._versions(shelf, reference.name)
        if not versions:
            raise complaints.unknown(reference, self.name, {one for one, _ in shelf.versions()})
        if reference.version is not None:
            if reference.version not in versions:
                raise complaints.unknown_version(reference, self.name, sorted(versions, key=_order))
            return shelf.read(tag_of(reference.name, reference.version))
        if reference.label not in {None, LATEST}:
            return self._labelled(shelf, reference)
        active = [one for one in self._read(shelf, reference.name, versions) if not one.archived]
        if not active:
            fix = f"restore one, or name a version: {', '.join(versions)}"
            raise complaints.UnknownAssetError(
                Issue(complaints.shown(reference), "has archived versions alone", fix)
            )
        return max(active, key=_age)

    def listed(self, kind: AssetKind, name: str | None = None, *, which: Which = "active") -> list[Asset]:
        """List the versions of a name, the newest first; without a name the latest of each, by name."""
        shelf = self.shelf_of(kind)
        by_name: dict[str, list[str]] = {}
        for one, version in shelf.versions():
            by_name.setdefault(one, []).append(version)
        if name is not None and name not in by_name:
            raise complaints.unknown(AssetReference(kind, name), self.name, set(by_name))
        found = []
        for one in sorted(by_name) if name is None else [name]:
            assets = [a for a in self._read(shelf, one, by_name[one], told=True) if _is_wanted(a, which)]
            assets.sort(key=_age, reverse=True)
            found += assets if name else assets[:1]
        return found

    def edit(self, asset: Asset) -> Asset:
        """Replace the description, tags, properties and stage of a version; SpecError where more differs."""
        shelf = self.shelf_of(asset.kind)
        with shelf.exclusive():
            there = self.get(asset.reference)
            if there.content != asset.content:
                raise complaints.changed(there, asset, "leave them, or create another version")
            shelf.write(asset, tag_of(asset.name, asset.version))
        return asset

    def archive(self, kind: AssetKind, name: str, version: str | None, *, archived: bool) -> list[Asset]:
        """Hide a version, or every version of a name, from lists and `@latest`; or show them again."""
        shelf = self.shelf_of(kind)
        reference = AssetReference(kind, name, version)
        found = [self.get(reference)] if version else self.listed(kind, name, which="all")
        changed = [replace(one, archived=archived) for one in found if one.archived != archived]
        for one in changed:
            shelf.write(one, tag_of(one.name, one.version))
        return changed

    def label(self, reference: AssetReference, label: str) -> Asset:
        """Give a version a label, which is taken from the version that had it."""
        if problem := word_problem(label, "label"):
            raise SpecError(Issue(complaints.shown(reference), problem))
        if label == LATEST:
            what = "the label 'latest' is of the version that was made last"
            raise SpecError(Issue(complaints.shown(reference), what, "choose another label"))
        asset = self.get(reference)
        tag_of(asset.name, f".{label}")  # for its length
        self.shelf_of(reference.kind).write(asset, label_tag(asset.name, label))
        return asset

    def unlabel(self, kind: AssetKind, name: str, label: str) -> None:
        """Take a label away; UnknownAssetError where no version has it."""
        shelf = self.shelf_of(kind)
        self._labelled(shelf, AssetReference(kind, name, label=label))
        shelf.forget(label_tag(name, label))

    def labels(self, kind: AssetKind, name: str) -> dict[str, str]:
        """Return the labels of a name with their versions, but for `latest`."""
        shelf = self.shelf_of(kind)
        mine = sorted(label for one, label in shelf.labels() if one == name)
        return {label: shelf.read(label_tag(name, label)).version for label in mine}

    def delete(self, reference: AssetReference) -> Asset:
        """Forget a version, and the labels that it has; its bytes stay until they are collected."""
        shelf = self.shelf_of(reference.kind)
        asset = self.get(reference)
        for label, version in self.labels(asset.kind, asset.name).items():
            if version == asset.version:
                shelf.forget(label_tag(asset.name, label))
        shelf.forget(tag_of(asset.name, asset.version))
        return asset

    def copy(
        self, asset: Asset, to: Workspace, *, name: str | None = None, version: str | None = None
    ) -> Created:
        """Keep an asset in another workspace or registry, under its own name and version or others."""
        draft = AssetDraft(
            asset.kind,
            name or asset.name,
            version or asset.version,
            asset.description,
            asset.tags,
            asset.properties,
            asset.document,
        )
        return to._keep(draft, asset.files, self.shelf_of(asset.kind).opens)

    def _keep(
        self, draft: AssetDraft, files: tuple[AssetFile, ...], opens: Callable[[Digest], OpenAt]
    ) -> Created:
        """Reuse a version with this content, or bring the files, several at once, and name them at last."""
        name = _checked(draft)
        shelf = self.shelf_of(draft.kind)
        wanted = Asset(
            draft.kind,
            name,
            draft.version or "0",
            draft.description,
            draft.tags,
            draft.properties,
            draft.document,
            files,
        )
        if found := self._same(shelf, wanted, draft.version):
            return self._edited(found, draft)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            unique = {one.digest: one for one in files}.values()
            tally = Tally("upload", unique, self.events)
            list(pool.map(lambda one: _take(shelf, one, opens(one.digest), tally.of(one)), unique))
        with shelf.exclusive():
            # somebody may have been faster
            if found := self._same(shelf, wanted, draft.version):
                return self._edited(found, draft)
            version = draft.version or str(_next(self._versions(shelf, name)))
            made = replace(wanted, version=version, created=_now())
            shelf.write(made, tag_of(name, version))
        return Created(made, "created")

    def _same(self, shelf: Shelf, wanted: Asset, version: str | None) -> Asset | None:
        """Find the version asked for, or the newest with the same content; SpecError for other content."""
        versions = self._versions(shelf, wanted.name)
        if version is not None:
            if version not in versions:
                return None
            there = shelf.read(tag_of(wanted.name, version))
            if there.content != wanted.content:
                fix = f"leave out the version for the next one ({_next(versions)}), or name another"
                raise complaints.changed(there, wanted, fix)
            return there
        alike = [
            one
            for one in self._read(shelf, wanted.name, versions)
            if one.content == wanted.content and not one.archived
        ]
        return max(alike, key=_age, default=None)

    def _edited(self, there: Asset, draft: AssetDraft) -> Created:
        """Add what a draft says besides content to a version that is there."""
        stage = {key: value for key, value in draft.document.items() if key in EDITABLE}
        edited = replace(
            there,
            description=draft.description if draft.description is not None else there.description,
            tags={**there.tags, **draft.tags},
            properties={**there.properties, **draft.properties},
            document={**there.document, **stage},
        )
        if edited == there:
            return Created(there, "reused")
        return Created(self.edit(edited), "updated")

    def _labelled(self, shelf: Shelf, reference: AssetReference) -> Asset:
        """Read the version that a label is of, as it is now."""
        labels = sorted(label for name, label in shelf.labels() if name == reference.name)
        if reference.label not in labels:
            known = ", ".join([LATEST, *labels])
            raise complaints.UnknownAssetError(
                Issue(complaints.shown(reference), f"is not in {self.name}", f"its labels: {known}")
            )
        version = shelf.read(label_tag(reference.name, str(reference.label))).version
        return self.get(reference.at(version))

    def _versions(self, shelf: Shelf, name: str) -> list[str]:
        return [version for one, version in shelf.versions() if one == name]

    def _read(
        self, shelf: Shelf, name: str, versions: Sequence[str], *, told: bool = False
    ) -> Iterator[Asset]:
        """Read versions, several at once; what cannot be read is raised, or `told` and passed over."""

        def read(version: str) -> Asset | None:
            try:
                return shelf.read(tag_of(name, version))
            except LadingError as error:
                if not told:
                    raise
                what = f"{name}:{version} is passed over: {error.issues[0]}"
                self.events(Event("assets", "warning", what))
                return None

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            yield from (one for one in pool.map(read, versions) if one is not None)


def _take(shelf: Shelf, file: AssetFile, open_at: OpenAt, told: Callable[[int], None]) -> None:
    if shelf.store.size_bytes(file.digest) != file.size_bytes:
        shelf.store.take(Descriptor(FILE, file.digest, file.size_bytes), open_at, told)


def _checked(draft: AssetDraft) -> str:
    """Return the name of a draft; raise SpecError where it or the version cannot be one."""
    where = str(draft.file or draft.kind)
    if draft.name is None:
        raise SpecError(Issue(where, f"the {draft.kind} has no name", "write 'name:', or give -n NAME"))
    words = (("name", draft.name), ("version", draft.version))
    problems = [p for what, word in words if word is not None and (p := word_problem(word, what))]
    if problems:
        raise SpecError(*(Issue(where, problem) for problem in problems))
    tag_of(draft.name, draft.version or "0" * 10)
    return draft.name


def _file(source: ModelFile, digest_of: Callable[[Path], Digest]) -> AssetFile:
    digest = digest_of(source.source)
    return AssetFile(source.path, digest, source.source.stat().st_size, is_executable(source.source))


def _digest_of(path: Path) -> Digest:
    with path.open("rb") as stream:
        return Digest.of_stream(stream)


def _opens_path(path: Path) -> OpenAt:
    def open_at(start: int) -> IO[bytes]:
        stream = path.open("rb")
        stream.seek(start)
        return stream

    return open_at


def _next(versions: Sequence[str]) -> int:
    """Return the version after the highest that is a number."""
    return max((int(one) for one in versions if one.isdecimal()), default=0) + 1


def _order(version: str) -> tuple[int, str]:
    return (int(version), "") if version.isdecimal() else (-1, version)


def _age(asset: Asset) -> tuple[str, tuple[int, str]]:
    return asset.created, _order(asset.version)


def _is_wanted(asset: Asset, which: Which) -> bool:
    return which == "all" or asset.archived == (which == "archived")


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="microseconds")
