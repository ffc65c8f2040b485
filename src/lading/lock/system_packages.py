"""dpkg's record of a base and names in; the packages that the base lacks of them, pinned, out.

What the base has stays as it is: nothing of it is upgraded or removed. Source: Debian Policy 7.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path

from lading.core.digest import Digest
from lading.core.errors import Issue, LockError
from lading.core.lock import LockedDeb
from lading.core.ports import Fetch
from lading.lock import debian_archive
from lading.lock.debian import is_unneeded
from lading.lock.debian_mirror import Mirror
from lading.lock.debian_packages import Packages, Stanza, not_there
from lading.lock.debian_version import Relation, parse_relations

_THERE = {"installed", "unpacked", "half-configured", "triggers-awaited", "triggers-pending"}
_NEWER = "take a newer image as the base, whose packages are those of the archive"
_Group = tuple[Relation, ...]


@dataclass(frozen=True, slots=True)
class Present:
    """A package that is there, or will be."""

    name: str
    version: str
    provides: tuple[Relation, ...]
    conflicts: tuple[Relation, ...]

    @classmethod
    def of(cls, stanza: Stanza) -> Present:
        """Take what matters of a package of the archive."""
        return cls(stanza.deb.name, stanza.deb.version, stanza.provides, stanza.conflicts)

    def meets(self, relation: Relation) -> bool:
        """Tell whether the package would do, by its name or by what it provides."""
        if relation.name == self.name and relation.admits(self.version):
            return True
        return any(
            one.name == relation.name and relation.admits(one.version or None) for one in self.provides
        )

    def clashes(self, other: Present) -> bool:
        """Tell whether two packages cannot be there together."""
        pairs = ((self, other), (other, self))
        return self.name != other.name and any(b.meets(one) for a, b in pairs for one in a.conflicts)

    def __str__(self) -> str:
        """Print name and version."""
        return f"{self.name} {self.version}"


def read(record: str, architecture: str) -> dict[str, Present]:
    """Read a `status` file, or the files of `status.d` joined by blank lines, into packages by name."""
    found = {}
    for text in re.split(r"\n\s*\n", record):
        rows = (line.partition(":") for line in text.splitlines() if line[:1] not in {" ", "\t"})
        fields = {key.strip(): value.strip() for key, _, value in rows}
        state = fields.get("Status", "install ok installed").split()[-1:]
        is_ours = fields.get("Architecture", "all") in {architecture, "all"}
        if {"Package", "Version"} <= fields.keys() and is_ours and _THERE & set(state):
            provides, conflicts, breaks = (
                tuple(chain.from_iterable(parse_relations(fields.get(name, ""))))
                for name in ("Provides", "Conflicts", "Breaks")
            )
            name = fields["Package"]
            found[name] = Present(name, fields["Version"], provides, conflicts + breaks)
    return found


def add(
    record: str,
    suite: str,
    architecture: str,
    names: Sequence[str],
    *,
    fetch: Fetch,
    mirror: Mirror,
    cache: Path | None = None,
) -> tuple[LockedDeb, ...]:
    """Pin what a base lacks of the packages asked for and of what they need, sorted by name.

    `record` is what dpkg knows of the base; the mirror says which distribution it is of. Raises LockError for
    an unknown package, and where one of the base would have to be upgraded or removed; IntegrityError and
    RegistryError as the archive does.
    """
    present = read(record, architecture)
    roots = tuple(sorted(set(names)))
    if all(name in present for name in roots):
        return ()
    return debian_archive.choose(
        ["add", mirror.distribution.name, Digest.of(record.encode()).hex, roots],
        suite,
        architecture,
        lambda packages: complete(packages, present, roots, partial(is_unneeded, roots)),
        fetch=fetch,
        mirror=mirror,
        cache=cache,
    )


def complete(
    packages: Packages,
    present: dict[str, Present],
    roots: Sequence[str],
    unneeded: Callable[[str, str], bool] = lambda *_: False,
) -> tuple[LockedDeb, ...]:
    """Return what is to be added to packages that are there so that the roots work; LockError without."""
    search = _Search(packages, present, unneeded)
    search.run(roots)
    if search.issues:
        raise LockError(*dict.fromkeys(search.issues))
    return tuple(sorted(stanza.deb for stanza in search.chosen.values()))


@dataclass(slots=True)
class _Search:
    packages: Packages
    present: dict[str, Present]
    unneeded: Callable[[str, str], bool]
    chosen: dict[str, Stanza] = field(default_factory=dict)
    issues: list[Issue] = field(default_factory=list)

    def run(self, roots: Sequence[str]) -> None:
        there = list(self.present.values())
        waiting: deque[tuple[str, _Group]] = deque(("", (Relation(name),)) for name in roots)
        while waiting:
            owner, group = waiting.popleft()
            if any(self.unneeded(owner, one.name) for one in group) or _meets(there, group):
                continue
            candidates = list(self.candidates(group))
            fitting = (one for one in candidates if not self.obstacle(one, there))
            stanza = next(fitting, None)
            if stanza is None:
                self.issues.append(self.explain(owner, group, candidates, there))
                continue
            self.chosen[stanza.deb.name] = stanza
            there.append(Present.of(stanza))
            waiting.extend((stanza.deb.name, need) for need in stanza.needs)

    def candidates(self, group: _Group) -> Iterator[Stanza]:
        """Yield what would meet a group and is not there in any version: the newest first."""
        for relation in group:
            if self.is_free(relation.name):
                yield from (
                    one for one in self.packages.versions(relation.name) if relation.admits(one.deb.version)
                )
            for stanza, version in self.packages.providers(relation.name):
                if relation.admits(version) and self.is_free(stanza.deb.name):
                    yield stanza

    def is_free(self, name: str) -> bool:
        return name not in self.present and name not in self.chosen

    def obstacle(self, stanza: Stanza, there: Sequence[Present]) -> str | None:
        """Tell what keeps a package from being added, as far as can be seen from here."""
        new = Present.of(stanza)
        for one in there:
            if new.clashes(one):
                return f"conflicts with {one}"
        for group in stanza.needs:
            followed = not any(self.unneeded(stanza.deb.name, one.name) for one in group)
            if followed and not _meets(there, group) and next(self.candidates(group), None) is None:
                return f"needs {_text(group)}{self.instead(group)}"
        return None

    def instead(self, group: _Group) -> str:
        """Tell which of a group's packages are there, in a version that will not do."""
        found = [self.present.get(one.name) for one in group]
        found += [Present.of(self.chosen[one.name]) for one in group if one.name in self.chosen]
        others = ", ".join(str(one) for one in found if one)
        return f", and the base has {others}" if others else f", which {self.packages.suite} does not have"

    def explain(
        self, owner: str, group: _Group, candidates: Sequence[Stanza], there: Sequence[Present]
    ) -> Issue:
        if candidates:
            first = candidates[0]
            why = self.obstacle(first, there)
            wanted = f" (for {owner})" if owner and owner != first.deb.name else ""
            return Issue(f"system package {first.deb.name!r}{wanted}", f"{first.deb.version} {why}", _NEWER)
        if any(one.name in self.present or one.name in self.chosen for one in group):
            what = f"needs {_text(group)}{self.instead(group)}"
            return Issue(f"system package {owner!r}", what, _NEWER)
        return not_there(owner, " | ".join(map(str, group)), self.packages)


def _meets(there: Sequence[Present], group: _Group) -> bool:
    return any(one.meets(relation) for relation in group for one in there)


def _text(group: _Group) -> str:
    return repr(" | ".join(map(str, group)))
