"""The head of a file → which processor it is for (elf(5))."""

from __future__ import annotations

from lading.core.platform import Platform

_MACHINES = {"amd64": 62, "arm64": 183}
_HEAD_BYTES = 20


def is_for(head: bytes, platform: Platform) -> bool:
    """Tell whether a file is an executable or a library for a platform's processor."""
    machine = int.from_bytes(head[18:_HEAD_BYTES], "little")
    return head[:5] == b"\x7fELF\x02" and machine == _MACHINES[platform.architecture]
