"""What a user asks for: the nouns that every dialect of the spec is parsed into."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lading.core.platform import Platform


@dataclass(frozen=True, slots=True)
class Indexes:
    """Where Python packages come from; credentials never stand here, only in the environment or netrc."""

    url: str | None = None
    extra: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Example:
    """Inputs to replay, and the outputs to expect (None: shape, types and signature alone are checked).

    `inputs` is what a client would send to `/invocations`: an object with `dataframe_split`,
    `dataframe_records`, `instances` or `inputs`, a list of rows, or whatever a routine of one's own takes.
    """

    inputs: Any
    outputs: Any = None
    tolerance: float = 1e-6
    name: str = "example"


@dataclass(frozen=True, slots=True)
class PackageSpec:
    """A package as its author describes it; None is "infer it". Paths are absolute."""

    path: Path | None = None
    """The file it was read from."""
    name: str | None = None
    version: str | None = None
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    model: Path | None = None
    base: str | None = None
    python: str | None = None
    """Minor version, such as `3.11`."""
    requirements: tuple[str, ...] | Path | None = None
    system_packages: tuple[str, ...] = ()
    indexes: Indexes = Indexes()
    code: Path | None = None
    """The folder (or file) of the inference routine."""
    entry: str | None = None
    """`file.py` (init/run), `file.py:function` or `file.py:Class`, relative to `code`."""
    server: str = "lading"
    environment_variables: Mapping[str, str] = field(default_factory=dict)
    assets: tuple[Path, ...] = ()
    examples: tuple[Example, ...] = ()
    platforms: tuple[Platform, ...] = ()
    allow_unsafe: tuple[str, ...] = ()
    """Globals (`module.name`) outside the allow-list that the author accepts."""
