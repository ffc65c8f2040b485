"""The key `inputs` of lading.yaml in, Inputs out; where they may lie is looked at when they are packed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from lading.core.spec import INPUTS, Input, Mode


@dataclass(frozen=True, slots=True)
class InputText:
    """A further file or folder of the package."""

    path: Annotated[str, "file or folder"]
    mode: Annotated[Mode, "copy it into the image, or download it at start"] = "copy"
    mount_path: Annotated[
        str | None,
        "folder in the image, absolute or below /opt/lading/inputs; default: the name of the file or folder",
    ] = None
    source: Annotated[
        str | tuple[str, ...] | None, "where it is downloaded from; default: where the package is pushed to"
    ] = None


def inputs(texts: tuple[InputText, ...], path_of: Callable[[str, str], Path | None]) -> Iterator[Input]:
    """Read them; `path_of` finds a path, and complains of its key where it is not there."""
    for number, one in enumerate(texts):
        path = path_of(f"inputs[{number}].path", one.path)
        if path is not None:
            folder = f"{INPUTS}/{path.stem if path.is_file() else path.name}"
            mount = f"{INPUTS}/{one.mount_path}" if one.mount_path else folder
            place = one.mount_path if one.mount_path and one.mount_path.startswith("/") else mount
            yield Input(path, place.rstrip("/"), one.mode, sources(one.source))


def sources(text: str | tuple[str, ...] | None) -> tuple[str, ...]:
    """Take one, several or none."""
    return (text,) if isinstance(text, str) else text or ()
