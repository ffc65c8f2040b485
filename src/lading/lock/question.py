"""What a lock answers, and the digest by which an answer is known to be fresh."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lading.core.digest import Digest
from lading.core.model import Origin, Requirement
from lading.core.platform import Platform
from lading.core.server import ServerNeeds
from lading.core.spec import CondaWay, Indexes
from lading.lock import sources

RESOLVER_FORMAT = 2
"""Raised when the same question would be answered otherwise, so that older locks are stale."""


@dataclass(frozen=True, slots=True)
class Question:
    """Everything that a lock depends on, but for the state of the indexes."""

    server: ServerNeeds
    platforms: tuple[Platform, ...]
    requirements: tuple[Requirement, ...] = ()
    requirements_file: Path | None = None
    """requirements.txt, pyproject.toml, pylock.toml, conda.yaml, environment.yml or python_env.yaml."""
    requirements_file_origin: Origin = "spec"
    """Where the file was found: beside the model (`mlflow`), or named by the author (`spec`)."""
    without: tuple[str, ...] = ()
    """Distributions that are left out of the model's requirements, such as `mlflow`."""
    excluded: tuple[str, ...] = ()
    """Distributions that are left out whoever asks for them: a library that others require, too."""
    python: str | None = None
    base: str | None = None
    base_digest: Digest | None = None
    """Of what lies at the base's path, where it has one."""
    indexes: Indexes = field(default_factory=Indexes)
    system_packages: tuple[str, ...] = ()
    conda: CondaWay = "map"
    accelerator: str | None = None
    """Which builds of PyTorch are chosen; see `core.accelerator`."""
    server_version: str | None = None
    """A version of the server, or specifiers of one; None is the newest that goes with the model."""

    @property
    def digest(self) -> Digest:
        """Digest the question: the contents of its files, not their paths."""
        return Digest.of(json.dumps(self._document(), sort_keys=True, separators=(",", ":")).encode())

    def _document(self) -> dict[str, Any]:
        path = self.requirements_file
        return {
            # a way that is not gone leaves the digests of older questions as they were
            **({"conda": self.conda} if self.conda != "map" else {}),
            "format": RESOLVER_FORMAT,
            "requirements": [[one.text, one.origin] for one in self.requirements],
            # the name tells which grammar is read
            "requirements_file": path and [_kind(path), self.requirements_file_origin],
            "files": [str(Digest.of(data)) for data in sources.contents(path)] if path else [],
            "without": sorted(map(sources.normalise, self.without)),
            **({"excluded": sorted(map(sources.normalise, self.excluded))} if self.excluded else {}),
            "python": self.python,
            "base": self.base,
            **({"base_digest": str(self.base_digest)} if self.base_digest else {}),
            "server": [self.server.name, list(self.server.requirements)],
            "platforms": [str(platform) for platform in self.platforms],
            "indexes": [self.indexes.url, list(self.indexes.extra)],
            "find_links": [_links(place) for place in self.indexes.find_links],
            "system_packages": sorted(self.system_packages),
            **({"accelerator": self.accelerator} if self.accelerator else {}),
            **({"server_version": self.server_version} if self.server_version else {}),
        }


def _kind(path: Path) -> str:
    return "pylock" if path.name.startswith("pylock.") else path.suffix


def _links(place: str) -> str | list[list[Any]]:
    """Tell a find-links folder by what lies in it; names and sizes, for torch is hundreds of megabytes."""
    folder = Path(place)
    if "://" in place or not folder.is_dir():
        return place
    return sorted([one.name, one.stat().st_size] for one in folder.iterdir() if one.is_file())
