"""A file or folder in, a `Scan` out: every file is looked at, and all that lies within archives."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from lading.core.digest import Digest
from lading.core.errors import Issue, ModelError
from lading.core.ports import Event, Events
from lading.core.scan import Finding, Policy, Scan
from lading.model.sniff import reads_as_pickle
from lading.scan import configs, documents, hdf5, networks, pickles, rules, second, templates
from lading.scan.archives import members
from lading.scan.piece import Piece

_OF_FILES = (rules.UNREADABLE, rules.CODE, rules.DENIED)
"""Rules whose findings are called by the name of a file, which its author chooses."""


def scan(path: Path, policy: Policy, *, second_opinion: bool, events: Events) -> Scan:
    """Look at every file below a path, and at those elsewhere that links lead to.

    Raises ModelError where there is nothing to look at, SpecError where the second scanner is not installed.
    """
    asked = second.version() if second_opinion else None
    state = _State(policy, second_opinion)
    for number, (name, file) in enumerate(_files(path), start=1):
        events(Event("scan", "progress", name, number))
        state.look_at(name, file)
    for name in _links_out(path):
        state.findings.append(
            Finding(rules.UNREADABLE, name, name, name, "a link to a folder elsewhere, which is not followed")
        )
    if not state.files and not state.findings:
        raise ModelError(Issue(str(path), "holds no file", "correct the path"))
    return Scan(
        str(path),
        state.files,
        state.size_bytes,
        tuple(state.findings),
        tuple(state.allowed),
        state.digests,
        asked,
    )


def _files(path: Path) -> Iterator[tuple[str, Path]]:
    """List regular files by name relative to the path, those in hidden folders too."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise ModelError(Issue(str(path), error.strerror or str(error), "correct the path")) from error
    if stat.S_ISREG(mode):
        yield path.name, path
    elif not stat.S_ISDIR(mode):
        raise ModelError(Issue(str(path), "neither a file nor a folder", "correct the path"))
    else:
        for folder, folders, names in os.walk(path, onerror=_refuse):
            folders.sort()
            for name in sorted(names):
                file = Path(folder, name)
                if stat.S_ISREG(file.lstat().st_mode) or _leads_out(file, path, stat.S_ISREG):
                    yield file.relative_to(path).as_posix(), file


def _links_out(path: Path) -> Iterator[str]:
    """List links to folders elsewhere, by name: those are not followed."""
    if path.is_dir():
        for folder, names, _ in os.walk(path):
            for file in (Path(folder, name) for name in sorted(names)):
                if _leads_out(file, path, stat.S_ISDIR):
                    yield file.relative_to(path).as_posix()


def _leads_out(file: Path, path: Path, is_kind: Callable[[int], bool]) -> bool:
    """Tell whether it is a link out of the path, to a file or folder; what lies within is seen by itself."""
    try:
        return (
            file.is_symlink()
            and is_kind(file.stat().st_mode)
            and not file.resolve().is_relative_to(path.resolve())
        )
    except (OSError, RuntimeError):
        return False


def _refuse(error: OSError) -> None:
    raise ModelError(
        Issue(str(error.filename), f"cannot be read: {error.strerror}", "change its permissions")
    )


@dataclass(slots=True)
class _State:
    """What has been seen so far."""

    policy: Policy
    second_opinion: bool
    files: int = 0
    size_bytes: int = 0
    findings: list[Finding] = field(default_factory=list)
    allowed: list[Finding] = field(default_factory=list)
    digests: dict[str, Digest] = field(default_factory=dict)

    def look_at(self, name: str, path: Path) -> None:
        """Look at one file and settle what the policy says of it."""
        size_bytes = path.stat().st_size
        self.files += 1
        self.size_bytes += size_bytes
        found: list[Finding] = []
        try:
            _look(Piece.of_file(name, path, size_bytes), self.policy, found)
            if self.second_opinion:
                found += second.ask(path, name)
            if found or self.policy.digests:
                with path.open("rb") as stream:
                    self.digests[name] = Digest.of_stream(stream)
        except OSError as error:
            found.append(Finding(rules.UNREADABLE, name, name, name, f"cannot be read: {error.strerror}"))
        digest = self.digests.get(name)
        if digest in self.policy.deny_digests:
            found.append(Finding(rules.DENIED, name, name, str(digest), "denied by the policy"))
        for one in _without_echoes(found):
            passes = one.rule is not rules.DENIED and (
                digest in self.policy.allow_digests
                or (one.rule not in _OF_FILES and self.policy.allows(one.name))
            )
            (self.allowed if passes else self.findings).append(one)
        if not found:
            self.digests.pop(name, None)


def _without_echoes(found: list[Finding]) -> Iterator[Finding]:
    """Leave out what the second scanner repeats."""
    told = {one.name for one in found if one.rule is not rules.SECOND_OPINION}
    return (one for one in found if one.rule is not rules.SECOND_OPINION or one.name not in told)


def _look(piece: Piece, policy: Policy, found: list[Finding]) -> None:
    """Look at a piece as every reader that could take it, then at what lies within it."""
    if not piece.size_bytes:
        return
    form = networks.form_of(piece)
    if form:
        found += networks.of_network(piece, form, policy)
    inner = members(piece, networks.members_followed(piece, form))
    is_archive = False
    with closing(inner):
        for one in inner:
            is_archive = True
            if isinstance(one, Finding):
                found.append(one)
            else:
                _look(one, policy, found)
    if pickles.is_array(piece):
        found += pickles.of_array(piece, policy)
    elif not (form and form.followed) and _is_pickle(piece, is_archive=is_archive):
        found += pickles.of_pickle(piece, policy)
    found += configs.of_json(piece, policy)
    found += hdf5.of_pickles(piece, policy)
    for check in (
        networks.of_graph,
        documents.of_code,
        documents.of_xml,
        documents.of_mlflow,
        configs.of_keras_metadata,
        templates.of_template,
        templates.of_yaml,
    ):
        found += check(piece)


def _is_pickle(piece: Piece, *, is_archive: bool) -> bool:
    """Tell whether pickle could load it. What begins as zip archives do stops every unpickler at once."""
    if is_archive:
        return piece.start(4) != b"PK\x03\x04" and reads_as_pickle(piece.model_file)
    return pickles.is_pickle(piece)
