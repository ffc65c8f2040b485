"""The folder that an image's layers came to, seen as the image sees it: links lead nowhere else."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_LINKS_MAX = 40  # as the kernel has it (path_resolution(7))
_TEXT_BYTES_MAX = 64 << 20
_FILE_BYTES_MAX = 256 << 20


@dataclass(frozen=True, slots=True)
class Root:
    """Files by their absolute path in the image. Law: nothing outside of `folder` is read."""

    folder: Path

    def resolve(self, path: str) -> str | None:
        """Follow every link in a path; None where it ends at nothing."""
        done: list[str] = []
        todo = path.split("/")[::-1]
        links = 0
        while todo:
            part = todo.pop()
            if part in {"", "."}:
                continue
            if part == "..":
                del done[-1:]
                continue
            here = self.folder.joinpath(*done, part)
            try:
                mode = here.lstat().st_mode
            except OSError:
                return None
            if not stat.S_ISLNK(mode):
                done.append(part)
                continue
            links += 1
            target = str(here.readlink())
            if links > _LINKS_MAX:
                return None
            done = [] if target.startswith("/") else done
            todo.extend(target.split("/")[::-1])
        return "/" + "/".join(done)

    def file(self, path: str) -> str | None:
        """Return the real path of a regular file, None where there is none."""
        real = self.resolve(path)
        return real if real and stat.S_ISREG(self._mode(real)) else None

    def is_plain(self, path: str) -> bool:
        """Tell whether a path names a regular file itself, through no link in its last part."""
        parent, _, name = path.rpartition("/")
        real = self.resolve(parent or "/")
        return real is not None and self.file(path) == f"{real.rstrip('/')}/{name}"

    def is_there(self, path: str) -> bool:
        """Tell whether a path names anything, a link that leads nowhere too."""
        parent, _, name = path.rpartition("/")
        return name in self.names(parent or "/")

    def folder_at(self, path: str) -> str | None:
        """Return the real path of a folder, None where there is none."""
        real = self.resolve(path)
        return real if real and stat.S_ISDIR(self._mode(real)) else None

    def names(self, path: str) -> list[str]:
        """List what lies in a folder, in order; nothing where there is none."""
        real = self.folder_at(path)
        if real is None:
            return []
        with suppress(OSError):
            return sorted(os.listdir(f"{self.folder}{real}"))  # noqa: PTH208 - names, as text
        return []

    def open(self, path: str) -> IO[bytes] | None:
        """Open a regular file of a sane length; None where there is none."""
        real = self.file(path)
        if real is None:
            return None
        with suppress(OSError):
            at = Path(f"{self.folder}{real}")
            if at.stat().st_size <= _FILE_BYTES_MAX:
                return at.open("rb")
        return None

    def text(self, path: str) -> str | None:
        """Read a text file of a sane length; None where there is none."""
        stream = self.open(path)
        if stream is None:
            return None
        with stream:
            return stream.read(_TEXT_BYTES_MAX).decode("utf-8", "replace")

    def data(self, path: str) -> bytes:
        """Read a file of a sane length; nothing where there is none."""
        stream = self.open(path)
        if stream is None:
            return b""
        with stream:
            return stream.read()

    def is_for_all(self, path: str) -> bool:
        """Tell whether every user may execute the file at a real path."""
        parts = path.strip("/").split("/")
        above = ["/" + "/".join(parts[:end]) for end in range(1, len(parts))]
        return all(self._mode(one) & stat.S_IXOTH for one in above) and bool(self._mode(path) & stat.S_IXOTH)

    def _mode(self, real: str) -> int:
        return Path(f"{self.folder}{real}").lstat().st_mode


def lines(root: Root, path: str) -> Iterator[list[str]]:
    """Yield the fields of the lines of a file such as /etc/passwd."""
    for line in (root.text(path) or "").splitlines():
        yield line.split(":")
