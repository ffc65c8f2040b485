"""Azure's YAML and flags go in; drafts of assets come out, and editions of those that are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lading.core.assets import EDITABLE, Asset, AssetDraft
from lading.core.errors import Issue, SpecError
from lading.core.ports import Events, ignore
from lading.spec.azureml import environment as environments
from lading.spec.azureml import model as models


@dataclass(frozen=True, slots=True)
class Flags:
    """What is said besides a file, and wins over it."""

    name: str | None = None
    version: str | None = None
    type: str | None = None
    path: str | None = None
    stage: str | None = None
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    image: str | None = None
    conda_file: Path | None = None
    build_context: Path | None = None
    dockerfile_path: str | None = None

    def overrides(self, *keys: str) -> list[str]:
        """Return what is said of some keys, as `--set` would say it."""
        return [f"{key}={value}" for key in keys if (value := getattr(self, key)) is not None]

    def apply(self, draft: AssetDraft) -> AssetDraft:
        """Add the words and tags."""
        description = draft.description if self.description is None else self.description
        return replace(draft, description=description, tags={**draft.tags, **self.tags})


def model(
    file: Path | None, overrides: Sequence[str] = (), flags: Flags = Flags(), events: Events = ignore
) -> AssetDraft:
    """Read a model's file, or all of it from flags; SpecError with every issue."""
    if flags.path is not None and ":/" not in flags.path:
        flags = replace(flags, path=str(Path(flags.path).expanduser().absolute()))
    given = flags.overrides("name", "version", "type", "path", "stage")
    return flags.apply(models.load(file, [*overrides, *given], events))


def environment(
    file: Path | None, overrides: Sequence[str] = (), flags: Flags = Flags(), events: Events = ignore
) -> AssetDraft:
    """Read an environment's file, or all of it from flags; SpecError with every issue."""
    given = environments.Given(
        flags.image,
        flags.conda_file and flags.conda_file.expanduser().absolute(),
        flags.build_context and flags.build_context.expanduser().absolute(),
        flags.dockerfile_path,
    )
    words = [*overrides, *flags.overrides("name", "version")]
    return flags.apply(environments.load(file, words, events, given=given))


def edition(asset: Asset, settings: Sequence[str], removals: Sequence[str] = ()) -> Asset:
    """Apply `description=…`, `tags.KEY=…`, `properties.KEY=…` and `stage=…`; SpecError for other keys."""
    issues: list[Issue] = []
    changes: dict[str, Any] = {
        "tags": dict(asset.tags),
        "properties": dict(asset.properties),
        "document": dict(asset.document),
        "description": asset.description,
    }
    for option, words in (("--set", settings), ("--remove", removals)):
        for word in words:
            key, equals, value = word.partition("=")
            if bool(equals) != (option == "--set"):
                expected = "KEY=VALUE" if option == "--set" else "KEY alone"
                issues.append(Issue(f"{option} {word}", f"expected {expected}"))
            elif not _edit(changes, key, value if equals else None):
                known = "description, tags.KEY, properties.KEY or stage"
                what = f"{key!r} never changes under a version, expected {known}"
                issues.append(Issue(f"{option} {key}", what, "create another version"))
    if issues:
        raise SpecError(*issues)
    return replace(asset, **changes)


def _edit(changes: dict[str, Any], key: str, value: str | None) -> bool:
    """Set or remove one key; tell whether it may change."""
    table, _, inner = key.partition(".")
    if table in {"tags", "properties"} and inner:
        target, name = changes[table], inner
    elif key in EDITABLE:
        target, name = changes["document"], key
    elif key == "description":
        target, name = changes, key
        if value is None:
            changes[key] = None
            return True
    else:
        return False
    if value is None:
        target.pop(name, None)
    else:
        target[name] = value
    return True
