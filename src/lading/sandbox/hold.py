"""Folders in; a hold on them out: while it lives, whoever clears the cache leaves them alone (flock(2))."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Sequence
from pathlib import Path


class Hold:
    """Shared locks on folders, released when this object or its process is gone."""

    def __init__(self) -> None:
        """Hold nothing yet."""
        self._handles: dict[Path, int] = {}

    def take(self, paths: Sequence[Path]) -> bool:
        """Hold these folders; tell whether all of them are still there."""
        return all(path in self._handles or self._take(path) for path in paths)

    def _take(self, path: Path) -> bool:
        try:
            handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            return False
        # where locks are not to be had, nobody clears anything by them either
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_SH)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), path.stat()):
                self._handles[path] = handle
                return True
        os.close(handle)
        return False

    def __del__(self) -> None:
        """Let go."""
        for handle in self._handles.values():
            os.close(handle)
