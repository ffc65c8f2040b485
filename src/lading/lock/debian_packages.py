"""Packages files of a suite in; packages by name, and those that a set of roots needs, out.

A file of 50 MB is searched, not parsed: only the few stanzas that are asked for become packages.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

from lading.core.digest import Digest
from lading.core.errors import IntegrityError, Issue, LockError
from lading.core.lock import LockedDeb
from lading.lock.debian_version import Relation, parse_relations, version_key

_START = re.compile(rb"\nPackage: ([^\n]+)")
_PROVIDES = re.compile(rb"\nProvides: ([^\n]+)")
_FILENAME = re.compile(r"(?!.*(?:^|/)\.\.?(?:/|$))[A-Za-z0-9][A-Za-z0-9/+.~:_%-]*\.deb\Z")
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9+.~:-]*\Z")


@dataclass(frozen=True, slots=True)
class Stanza:
    """One package as a Packages file describes it."""

    deb: LockedDeb
    needs: tuple[tuple[Relation, ...], ...]
    """`Pre-Depends` and `Depends`."""
    provides: tuple[Relation, ...]
    conflicts: tuple[Relation, ...] = ()
    """`Conflicts` and `Breaks`."""


class Packages:
    """The packages of a suite with its updates; of each name the newest version."""

    def __init__(self, texts: Iterable[bytes], suite: str = "the suite") -> None:
        """Take the Packages files, uncompressed, in any order, and what people call the suite."""
        self.suite = suite
        self._texts = [b"\n" + text.strip(b"\n") + b"\n\n" for text in texts]
        self._found: dict[str, Stanza | None] = {}

    def newest(self, name: str) -> Stanza | None:
        """Return the newest version of a package, None where there is none."""
        if name not in self._found:
            self._found[name] = next(iter(self.versions(name)), None)
        return self._found[name]

    def versions(self, name: str) -> list[Stanza]:
        """Return every version of a package, the newest first."""
        stanzas = [self._read(text, at) for text, at in self._places.get(name, ())]
        return sorted(stanzas, key=lambda one: (version_key(one.deb.version), one.deb), reverse=True)

    def providers(self, name: str) -> list[tuple[Stanza, str | None]]:
        """Return the packages whose newest version provides a virtual one, with the version they claim."""
        owners = map(self.newest, sorted(self._providers.get(name, ())))
        return [
            (stanza, provided.version or None)
            for stanza in filter(None, owners)
            for provided in stanza.provides
            if provided.name == name
        ]

    @property
    def names(self) -> Collection[str]:
        """Every package's name."""
        return self._places.keys()

    @cached_property
    def _places(self) -> dict[str, list[tuple[bytes, int]]]:
        places: dict[str, list[tuple[bytes, int]]] = {}
        for text in self._texts:
            for match in _START.finditer(text):
                places.setdefault(match[1].decode("ascii", "replace"), []).append((text, match.start()))
        return places

    @cached_property
    def _providers(self) -> dict[str, set[str]]:
        providers: dict[str, set[str]] = {}
        for text in self._texts:
            for match in _PROVIDES.finditer(text):
                owner = _fields(text, match.start())["Package"]
                for relation in chain.from_iterable(parse_relations(match[1].decode())):
                    providers.setdefault(relation.name, set()).add(owner)
        return providers

    @staticmethod
    def _read(text: bytes, at: int) -> Stanza:
        fields = _fields(text, at)
        name = fields["Package"]
        try:
            deb = LockedDeb(
                _checked(name, _PLAIN),
                _checked(fields["Version"], _PLAIN),
                _checked(fields["Architecture"], _PLAIN),
                _checked(fields["Filename"].removeprefix("./"), _FILENAME),
                Digest.parse(f"sha256:{fields['SHA256']}"),
                int(fields["Size"]),
            )
        except (KeyError, ValueError) as error:
            raise IntegrityError(
                Issue(f"package {name!r}", f"malformed entry in the index: {error}")
            ) from error
        needs = [parse_relations(fields.get(field, "")) for field in ("Pre-Depends", "Depends")]
        provides = chain.from_iterable(parse_relations(fields.get("Provides", "")))
        conflicts = (parse_relations(fields.get(field, "")) for field in ("Conflicts", "Breaks"))
        return Stanza(
            deb,
            tuple(chain(*needs)),
            tuple(provides),
            tuple(chain.from_iterable(chain(*conflicts))),
        )


def closure(
    packages: Packages, roots: Iterable[str], *, unneeded: Callable[[str, str], bool]
) -> tuple[LockedDeb, ...]:
    """Return the roots and all that they need, sorted by name.

    `unneeded(owner, name)` tells which relations not to follow. LockError with every need that nothing meets.
    """
    chosen: dict[str, Stanza] = {}
    issues: list[Issue] = []
    waiting: deque[tuple[str, tuple[Relation, ...]]] = deque(("", (Relation(name),)) for name in roots)
    while waiting:
        owner, group = waiting.popleft()
        if any(unneeded(owner, one.name) for one in group) or _is_met(group, chosen):
            continue
        stanza = next(filter(None, (_choose(packages, one) for one in group)), None)
        if stanza is None:
            issues.append(not_there(owner, " | ".join(map(str, group)), packages))
            continue
        chosen[stanza.deb.name] = stanza
        waiting.extend((stanza.deb.name, need) for need in stanza.needs)
    if issues:
        raise LockError(*issues)
    return tuple(sorted(stanza.deb for stanza in chosen.values()))


def _is_met(group: tuple[Relation, ...], chosen: dict[str, Stanza]) -> bool:
    """Tell whether a chosen package, or one that a chosen package provides, would do."""
    for one in group:
        if one.name in chosen and one.admits(chosen[one.name].deb.version):
            return True
        for stanza in chosen.values():
            if any(it.name == one.name and one.admits(it.version or None) for it in stanza.provides):
                return True
    return False


def _choose(packages: Packages, relation: Relation) -> Stanza | None:
    stanza = packages.newest(relation.name)
    if stanza and relation.admits(stanza.deb.version):
        return stanza
    providers = packages.providers(relation.name)
    return next((stanza for stanza, version in providers if relation.admits(version)), None)


def not_there(owner: str, needed: str, packages: Packages) -> Issue:
    """Tell of what a suite does not have."""
    if owner:
        return Issue(f"Debian package {owner!r}", f"needs {needed!r}, which {packages.suite} does not have")
    return Issue("system_packages", f"{packages.suite} has no package {needed!r}", _instead(needed, packages))


def _instead(needed: str, packages: Packages) -> str | None:
    """Tell what to write instead of a name that no package has."""
    from difflib import get_close_matches

    name = re.split(r"[\s=:<>/]", needed, maxsplit=1)[0]
    if name != needed and name in packages.names:
        after = needed[len(name) :].lstrip()
        if after.startswith(":"):
            return f"name {name!r} alone: every platform gets that of its architecture"
        if after.startswith(("=", "<", ">")):
            return f"name {name!r} alone: the lock pins its version"
        return f"name {name!r} alone"
    near = get_close_matches(name.lower(), packages.names, 1, 0.75)
    return f"did you mean {near[0]!r}?" if near else None


def _fields(text: bytes, at: int) -> dict[str, str]:
    """Read the stanza around a position; continuation lines are left out."""
    start = text.rfind(b"\n\n", 0, at + 1) + 1
    stanza = text[start : text.index(b"\n\n", at)].decode("utf-8", "replace")
    rows = (line.partition(":") for line in stanza.splitlines() if line[:1] not in {" ", "\t"})
    return {key: value.strip() for key, _, value in rows}


def _checked(value: str, pattern: re.Pattern[str]) -> str:
    if not pattern.match(value):
        msg = f"got {value!r}"
        raise ValueError(msg)
    return value
