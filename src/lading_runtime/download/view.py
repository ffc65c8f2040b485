"""The folder that a script looks for its model in, where that holds a link, in; one without links out.

MLflow from 3.17 on takes what a link leads to for an escape, and `os.walk` does not follow any. Files are
linked hard, which costs nothing; from a volume, where that cannot be, they are copied unless they are many.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from lading_runtime.download.wanted import LINKS

VARIABLE = "AZUREML_MODEL_DIR"
_MOST_COPIED_BYTES = 512 << 20


def real(environ: Mapping[str, str], links: str = LINKS) -> str | None:
    """Return a folder with the same name in it and no link; None where there is no need, or no room."""
    folder = environ.get(VARIABLE) or ""
    try:
        names = os.listdir(folder) if folder else []
        place = os.path.join(folder, names[0]) if len(names) == 1 else ""
        if not os.path.islink(place) or not os.path.isdir(place):
            return None
        import tempfile  # what is seldom needed costs no start

        os.makedirs(links, exist_ok=True)
        made = tempfile.mkdtemp(prefix="model-", dir=links)
        return made if _fill(os.path.join(made, names[0]), os.path.realpath(place)) else None
    except OSError:  # shutil's own error is one
        return None


def _fill(target: str, source: str) -> bool:
    """Link a folder's files hard, or copy them; tell whether they are there."""
    import shutil

    try:
        shutil.copytree(source, target, copy_function=os.link)
    except OSError:
        shutil.rmtree(target, ignore_errors=True)
        if _size_bytes(source) > _MOST_COPIED_BYTES:
            return False
        shutil.copytree(source, target)
    return True


def _size_bytes(folder: str) -> int:
    return sum(
        os.path.getsize(os.path.join(where, name)) for where, _, names in os.walk(folder) for name in names
    )
