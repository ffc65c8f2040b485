"""A foreign processor in; what runs its executables here, and the rule that the kernel is told of it, out.

An emulator is qemu-user, linked statically: the kernel opens it when the rule is made (binfmt_misc, flag F),
so it need not be in the image, and what an image starts itself is emulated too.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass

from lading.core.errors import Issue, VerifyError
from lading.core.platform import Platform

MACHINES = {"amd64": (62, "x86_64"), "arm64": (183, "aarch64")}
"""The number of each processor in an executable's header (elf(5)), and qemu's word for it."""
_PATH_BYTES_MAX = 127  # of the interpreter in a rule (Documentation/admin-guide/binfmt-misc.rst)


@dataclass(frozen=True, slots=True)
class Emulator:
    """A program that runs the executables of another processor."""

    name: str
    """`qemu-aarch64`."""
    path: str
    rule: str
    """What binfmt_misc is told."""


def find(platform: Platform) -> Emulator:
    """Find the emulator of a platform; VerifyError, with what to install, where there is none."""
    _, machine = MACHINES[platform.architecture]
    name = f"qemu-{machine}"
    path = shutil.which(f"{name}-static") or shutil.which(name)
    if path is None:
        what = f"cannot run {platform}: {name + '-static'!r} is not found"
        raise VerifyError(Issue("sandbox", what, "on Debian: apt-get install qemu-user-static"))
    if len(path) > _PATH_BYTES_MAX or ":" in path:
        what = f"{path} cannot be told to the kernel: it has a colon or more than {_PATH_BYTES_MAX} bytes"
        raise VerifyError(Issue("sandbox", what))
    return Emulator(name, path, _rule(platform.architecture, path))


def _rule(architecture: str, path: str) -> str:
    """Write the rule: 64 bit, little-endian, any OS ABI, an executable or a shared one, this processor."""
    number, machine = MACHINES[architecture]
    magic = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00" + number.to_bytes(2, "little")
    mask = b"\xff" * 7 + b"\x00" + b"\xff" * 8 + b"\xfe\xff\xff\xff"
    return f":lading-{machine}:M::{_escaped(magic)}:{_escaped(mask)}:{path}:F"


def _escaped(data: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in data)
