"""A registry's YAML, `az ml registry create -f`: text → Registry.

Source: azure-ai-ml 1.35.2, `_schema/registry/registry.py`. Azure's regions and storage accounts stand for
nothing here: our key `at` says where the registry is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from lading.core.ports import Events, ignore
from lading.spec.azureml.text import Reader
from lading.spec.typed import read_text

_NOT_APPLIED = (
    "location",
    "replication_locations",
    "container_registry",
    "public_network_access",
    "intellectual_property",
    "managed_resource_group",
    "identity",
)


@dataclass(frozen=True, slots=True)
class Registry:
    """The file, as it is written."""

    PRINTED: ClassVar = frozenset({"id", "kind", "sku", "discovery_url", "mlflow_registry_uri"})
    """Keys that Azure prints of one and passes over when it reads them."""

    name: str | None = None
    at: str | None = None
    """`[http://]registry[/path]`, or a folder: ours."""
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)
    location: str | None = None
    replication_locations: tuple[Any, ...] = ()
    container_registry: Any = None
    public_network_access: str | None = None
    intellectual_property: Any = None
    managed_resource_group: Any = None
    identity: Any = None


def load(path: Path | None, overrides: Sequence[str] = (), events: Events = ignore) -> Registry:
    """Read a file, and what is given besides; raise SpecError with every issue."""
    reader = Reader(path, overrides)
    found = reader.read(read_text(path) if path else "", Registry)
    if not reader.issues:
        if found.name is None:
            reader.complain("name", "is missing", "write name: NAME, or give -n NAME")
        if found.at is None:
            fix = "write at: registry.example.com/path, or give --at"
            reader.complain("at", "is missing: where the registry is", fix)
    reader.pass_over((key, "there is no such thing here") for key in _NOT_APPLIED if getattr(found, key))
    reader.finish(events)
    return found
