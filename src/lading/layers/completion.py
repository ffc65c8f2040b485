"""A base that is an image in; what a package needs that it may lack, out: its user's name, and /tmp."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lading.core.bases import BaseImage
from lading.layers.tar import LayerWriter

UID = 65532
_ROOT = "root:x:0:0:root:/root:/sbin/nologin\n"
_LADING = f"lading:x:{UID}:0:lading:/tmp:/sbin/nologin\n"


class Completion(NamedTuple):
    """What the layer is made from, and how it is written."""

    made_from: Mapping[str, Any]
    write: Callable[[Sequence[Path], LayerWriter], None]


def recipe(base: BaseImage) -> Completion | None:
    """Say what is missing; None where nothing is. A user of the image's own is its affair."""
    passwd = _passwd(base)
    if passwd is None and base.has_tmp:
        return None

    def write(_: Sequence[Path], writer: LayerWriter) -> None:
        if passwd is not None:
            writer.file("etc/passwd", passwd.encode())
        if not base.has_tmp:
            writer.directory("tmp", 0o1777)

    return Completion({"completion": [passwd, base.has_tmp]}, write)


def _passwd(base: BaseImage) -> str | None:
    """Name the user that a package runs as, for what asks who it is."""
    if base.user is not None or base.passwd is None:
        return None
    text = base.passwd or _ROOT
    if any(line.split(":")[2:3] == [str(UID)] for line in text.splitlines()):
        return None
    return f"{text.rstrip()}\n{_LADING}"
