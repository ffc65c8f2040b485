"""A path in a folder goes in; the file that it is comes out, or why it cannot be packaged."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from lading.core.errors import Issue
from lading.core.model import ModelFile


def describe(path: Path, root: Path, kept_as: str, where: str) -> ModelFile | Issue:
    """Describe a file, or a link to one within `root`, which is resolved; an issue says `where` it is."""
    source = Path(os.path.realpath(path))  # Path.resolve raises for a link to itself
    try:
        where.encode("utf-8")
        status = source.stat()
    except UnicodeEncodeError:
        return Issue(repr(where), "the name is no UTF-8", "rename the file")
    except OSError as error:
        return Issue(where, f"cannot be read: {error.strerror}", "remove it, or mend the link")
    if not source.is_relative_to(root):
        what = f"a link out of the folder, to {str(source)!r}"
        return Issue(where, what, "put the file itself there (cp -L)")
    if not stat.S_ISREG(status.st_mode):
        return Issue(where, "neither a file nor a link to one", "remove it, or put the file itself there")
    if not os.access(source, os.R_OK):
        return Issue(where, "may not be read", "change its permissions")
    return ModelFile(kept_as, source, status.st_size)
