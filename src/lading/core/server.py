"""What an inference server needs of a package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ServerNeeds:
    """An inference server: its requirements, how it starts, where it answers."""

    name: str
    requirements: tuple[str, ...]
    """PEP 508; for the native server resolved apart from the model's, for the others together with them."""
    entrypoint: tuple[str, ...]
    """Exec form, absolute paths in the image."""
    command: tuple[str, ...] = ()
    port: int = 8080
    more_ports: tuple[int, ...] = ()
    """Where it answers besides, in other protocols."""
    routes: Mapping[str, str] = field(default_factory=dict)
    """`liveness`, `readiness`, `scoring`: the paths that a platform is told."""
    modules: tuple[str, ...] = ()
    """What starting it imports, so that byte code can be shipped for it."""
