"""Debian's version numbers and relations between packages: text in, order and answers out.

Source: Debian Policy 5.6.12 (versions), 7.1 (relations), 7.5 (virtual packages).
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from lading.core.errors import IntegrityError, Issue

_Part = tuple[tuple[int, ...], int]
_PIECE = re.compile(r"([^0-9]*)([0-9]*)")
_RELATION = re.compile(
    r"\s*(?P<name>[a-z0-9][a-z0-9+.-]*)(?::[a-z0-9-]+)?\s*"
    r"(?:\(\s*(?P<operator><<|<=|=|>=|>>|<|>)\s*(?P<version>[A-Za-z0-9][^\s)]*)\s*\)\s*)?(?:\[[^\]]*\]\s*)?(?:<[^>]*>\s*)*\Z"
)
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "<<": operator.lt,
    "<=": operator.le,
    "<": operator.le,  # an old spelling that means <= (policy 7.1)
    "=": operator.eq,
    ">=": operator.ge,
    ">": operator.ge,
    ">>": operator.gt,
}


def _weight(character: str) -> int:
    """Order characters: `~` before the end of a part (0), letters, then all the rest."""
    if character == "~":
        return -1
    return ord(character) if character.isalpha() else ord(character) + 256


def _parts(text: str) -> tuple[_Part, ...]:
    """Split into runs of other characters and of digits, so that tuples compare as dpkg compares the text.

    The last part stands for the end: it sorts behind `~` and before all else.
    """
    pieces = [*_PIECE.findall(text)[:-1]] or [("", "")]
    return (*(((*map(_weight, word), 0), int(digits or 0)) for word, digits in pieces), ((0,), 0))


@lru_cache(maxsize=4096)
def version_key(version: str) -> tuple[int, tuple[_Part, ...], tuple[_Part, ...]]:
    """Return a key that sorts versions as dpkg does: `1.0~rc1 < 1.0 < 1.0-1 < 1:0.9`."""
    epoch, colon, rest = version.partition(":")
    if not colon:
        epoch, rest = "0", version
    upstream, _, revision = rest.rpartition("-") if "-" in rest else (rest, "", "")
    if not epoch.isdecimal():
        raise IntegrityError(Issue("Debian version", f"got {version!r}, expected a number before ':'"))
    return int(epoch), _parts(upstream), _parts(revision)


@dataclass(frozen=True, slots=True)
class Relation:
    """One package that would do: a name, and perhaps a bound on its version."""

    name: str
    operator: str = ""
    version: str = ""

    def admits(self, version: str | None) -> bool:
        """Tell whether a package of this version would do; None is a virtual package without a version."""
        if not self.operator:
            return True
        if version is None:
            return False
        return _OPERATORS[self.operator](version_key(version), version_key(self.version))

    def __str__(self) -> str:
        """Print the relation as a control file has it."""
        return f"{self.name} ({self.operator} {self.version})" if self.operator else self.name


def parse_relations(text: str) -> tuple[tuple[Relation, ...], ...]:
    """Read a `Depends` or `Provides` field: all of the groups, any one of a group's alternatives.

    Raises IntegrityError for what the grammar does not have.
    """
    groups = []
    for group in filter(str.strip, text.split(",")):
        alternatives = []
        for alternative in group.split("|"):
            match = _RELATION.match(alternative)
            if not match:
                raise IntegrityError(
                    Issue("Debian relation", f"got {alternative.strip()!r}, expected a package")
                )
            alternatives.append(Relation(match["name"], match["operator"] or "", match["version"] or ""))
        groups.append(tuple(alternatives))
    return tuple(groups)
