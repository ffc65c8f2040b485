"""A member of a tar in; a file with its contents out."""

from __future__ import annotations

import os
from collections.abc import Callable

from lading.sandbox.tar import Member

CHUNK_BYTES = 1 << 20
_ZEROS = bytes(CHUNK_BYTES)


def write_file(path: str, member: Member, read: Callable[[int], bytes]) -> None:
    """Write a regular file, which is not there yet; blocks of zeros in a long one become holes."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        left = member.size_bytes
        while left:
            chunk = read(min(left, CHUNK_BYTES))
            left -= len(chunk)
            if chunk == _ZEROS:
                os.lseek(fd, len(chunk), os.SEEK_CUR)
                continue
            view = memoryview(chunk)
            while view:
                view = view[os.write(fd, view) :]
        if member.size_bytes >= CHUNK_BYTES:
            os.ftruncate(fd, member.size_bytes)
        os.fchmod(fd, member.mode)
        os.utime(fd, (member.mtime_s, member.mtime_s))
    finally:
        os.close(fd)
