"""What a scan finds in files that could run code when they are loaded, and what its owner allows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from lading.core.digest import Digest

Level = Literal["error", "warning", "note"]
"""As SARIF has them: an error runs code, or cannot be read; a warning may; a note does not fail a scan."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of finding."""

    id: str
    level: Level
    about: str


@dataclass(frozen=True, slots=True)
class Finding:
    """Something in a file that could run code when it is loaded."""

    rule: Rule
    file: str
    """The file, relative to what was scanned."""
    where: str
    """File, member of it and position, such as `model.zip!data.pkl:1042`."""
    name: str
    """The global, operation or member that is meant, such as `os.system`."""
    why: str

    def to_json(self) -> dict[str, Any]:
        """Return the finding as JSON values."""
        return {
            "rule": self.rule.id,
            "level": self.rule.level,
            "file": self.file,
            "where": self.where,
            "name": self.name,
            "why": self.why,
        }


@dataclass(frozen=True, slots=True)
class Policy:
    """What is allowed and denied: globals (`module.name`, `module.*`) and files, by digest. Denied wins."""

    allow_globals: tuple[str, ...] = ()
    allow_digests: tuple[Digest, ...] = ()
    deny_globals: tuple[str, ...] = ()
    deny_digests: tuple[Digest, ...] = ()

    @property
    def digests(self) -> frozenset[Digest]:
        """Return the digests that it names, for which files have to be read whole."""
        return frozenset((*self.allow_digests, *self.deny_digests))

    def allows(self, name: str) -> bool:
        """Tell whether a global is allowed and not denied."""
        return matches(name, self.allow_globals) and not self.denies(name)

    def denies(self, name: str) -> bool:
        """Tell whether a global is denied."""
        return matches(name, self.deny_globals)


def matches(name: str, patterns: tuple[str, ...]) -> bool:
    """Tell whether a name is one of these, or below a `module.*`.

    >>> matches("os.system", ("os.*",)), matches("osx.system", ("os.*",))
    (True, False)
    """
    return any(name == one or (one.endswith(".*") and name.startswith(one[:-1])) for one in patterns)


@dataclass(frozen=True, slots=True)
class Scan:
    """What a scan has seen."""

    target: str
    files: int
    size_bytes: int
    findings: tuple[Finding, ...]
    allowed: tuple[Finding, ...] = ()
    """What a policy lets pass."""
    digests: Mapping[str, Digest] = field(default_factory=dict)
    """Of every file with a finding."""
    second: str | None = None
    """The scanner that was asked for a second opinion, and its version."""

    @property
    def passed(self) -> bool:
        """Tell whether nothing was found but notes."""
        return not any(self.failures())

    def failures(self) -> Iterator[Finding]:
        """List what fails the scan."""
        return (one for one in self.findings if one.rule.level != "note")

    def to_json(self) -> dict[str, Any]:
        """Return the scan as JSON values."""
        return {
            "target": self.target,
            "passed": self.passed,
            "files": self.files,
            "size_bytes": self.size_bytes,
            "second_opinion": self.second,
            "findings": [self._told(one) for one in self.findings],
            "allowed": [self._told(one) for one in self.allowed],
        }

    def _told(self, finding: Finding) -> dict[str, Any]:
        digest = self.digests.get(finding.file)
        return {**finding.to_json(), "digest": str(digest) if digest else None}
