"""What an image holds besides what its lock pins, as `assemble` takes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lading.core.bases import BaseImage
from lading.core.lock import PlatformLock
from lading.core.model import ModelFile
from lading.core.spec import Input


@dataclass(frozen=True, slots=True)
class Cargo:
    """One platform's image before it is layered."""

    lock: PlatformLock
    server: str
    """Name of the inference server; the native one, `lading`, brings an environment of its own."""
    base: BaseImage | None = None
    """The image that all of it is laid upon, if the base is one."""
    model: tuple[ModelFile, ...] = ()
    code: Path | None = None
    """Folder or file of the inference routine; its contents go to /opt/lading/code."""
    assets: tuple[Path, ...] = ()
    """Files and folders; each keeps its name, below /opt/lading/assets."""
    examples: tuple[bytes, ...] = ()
    """JSON documents; they become /opt/lading/examples/0.json, 1.json and so on."""
    model_path: str | None = None
    """Where the model's files lie, absolute; None is /opt/lading/model, which else links there."""
    code_path: str | None = None
    """Where the routine lies, absolute; None is /opt/lading/code, which else links there."""
    server_files: Mapping[str, bytes] = field(default_factory=dict)
    """What is made for the server, by absolute path."""
    model_comes: bool = False
    """Whether the model's files are fetched at start: their folder is a link then."""
    inputs: tuple[Input, ...] = ()
    slim: bool = False
    """Whether the model's environment does without what nothing in its wheels needs that runs."""
    code_is_model: bool = False
    """Whether the routine's folder is the model's: it is packed once, and /opt/lading/code links to it."""
