"""Images and artefacts ⇄ bytes. Nothing is written that a digest does not vouch for."""

from lading.store.layout import LayoutStore
from lading.store.memory import MemoryStore
from lading.store.registry import RegistryStore

__all__ = ["LayoutStore", "MemoryStore", "RegistryStore"]
