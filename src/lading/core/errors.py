"""What can go wrong, in families by what the user does next.

LadingError                                              1
├── SpecError        the spec is wrong                    2   edit the file
├── ModelError       the model cannot be read or trusted  3   convert, repair or allow it
├── LockError        stale, or nothing satisfies it       4   lock again, or loosen what it names
├── IntegrityError   bytes do not match a digest          5   fetch again
├── VerifyError      the package does not do what it did  6   read the report
├── TrustError       no acceptable attestation            7   sign, or change the policy
├── RegistryError    refused or unreachable               8   log in, or try again
└── DeployError      the target refused the plan          9   read its reason
"""

from __future__ import annotations

import errno
import os
import re
from dataclasses import dataclass
from typing import ClassVar

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_UNSUITABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR}
_ROOM = (
    "free some space (lading gc --cache --older-than-s 0), or take another disk: "
    "LADING_HOME for lading's data, UV_CACHE_DIR for uv's cache, TMPDIR for temporary files"
)
_FULL_TEXT = re.compile("|".join(os.strerror(code) for code in (errno.ENOSPC, errno.EDQUOT)))
_USER_INFO = re.compile(r"(?<=://)[^/\s@'\"]*@")


@dataclass(frozen=True, slots=True)
class Issue:
    """One thing that is wrong: where, what, and the way out.

    >>> print(Issue("lading.yaml:3", "nmae: unknown key", "did you mean 'name'?"))
    lading.yaml:3: nmae: unknown key
      fix: did you mean 'name'?
    """

    where: str
    what: str
    fix: str | None = None

    def __str__(self) -> str:
        """Print where, what and, on a line of its own, the fix."""
        line = f"{self.where}: {self.what}" if self.where else self.what
        return f"{line}\n  fix: {self.fix}" if self.fix else line


def without_secrets(text: str) -> str:
    """Blot user and password out of every URL in a text.

    >>> without_secrets("got 'https://me:hunter2@example.com/simple'")
    "got 'https://***@example.com/simple'"
    """
    return _USER_INFO.sub("***@", text)


def disk_fix(error: OSError) -> str | None:
    """Name the way out of what a disk refused to write, None where there is no general one.

    >>> disk_fix(OSError(errno.ENOSPC, "No space left on device")).split(",")[0]
    'free some space (lading gc --cache --older-than-s 0)'
    """
    if error.errno in _FULL:
        return _ROOM
    if error.errno in _UNSUITABLE:
        return "choose another folder; lading's own is named by LADING_HOME"
    return None


def full_disk(output: str) -> Issue | None:
    """Tell whether a program's output says that it found a disk full.

    >>> full_disk("error: failed to write to `/tmp/x`: No space left on device (os error 28)").what
    'error: failed to write to `/tmp/x`: No space left on device (os error 28)'
    """
    for line in output.splitlines():
        if _FULL_TEXT.search(line):
            return Issue("disk", line.strip(), _ROOM)
    return None


class LadingError(Exception):
    """Carry every issue of one input; the root of the tree."""

    exit_status: ClassVar[int] = 1

    def __init__(self, *issues: Issue) -> None:
        """Collect issues first, then raise once."""
        super().__init__(*issues)
        self.issues: tuple[Issue, ...] = issues

    def __str__(self) -> str:
        """Print the issues, one after another."""
        return "\n".join(map(str, self.issues))


class SpecError(LadingError):
    """The spec, or what the command line says of it, is wrong."""

    exit_status = 2


class ModelError(LadingError):
    """The model cannot be read, or not be trusted."""

    exit_status = 3


class LockError(LadingError):
    """The lock is stale, or nothing satisfies the requirements."""

    exit_status = 4


class IntegrityError(LadingError):
    """Bytes do not match their digest, length or format."""

    exit_status = 5


class VerifyError(LadingError):
    """The package does not do what the model did, or could not be run."""

    exit_status = 6


class TrustError(LadingError):
    """No acceptable attestation."""

    exit_status = 7


class RegistryError(LadingError):
    """A store, registry or index refused, does not know, or cannot be reached."""

    exit_status = 8


class DeployError(LadingError):
    """The target, which a container engine is too, refused the plan."""

    exit_status = 9
