"""The folder that an image's layers came to, and its config → what of it a package gets."""

from __future__ import annotations

import base64
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from lading.bases import libc, pythons
from lading.bases.config import Settings
from lading.bases.root import Root, lines
from lading.core.bases import Distribution
from lading.core.errors import Issue, LockError
from lading.core.lock import Interpreter
from lading.core.platform import Libc, Platform

USUAL_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_CERTIFICATES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Alpine
    "/etc/pki/tls/certs/ca-bundle.crt",  # Red Hat, Amazon Linux
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",
)
_ROOT = "0"


@dataclass(frozen=True, slots=True)
class Found:
    """What was read."""

    libc: Libc
    interpreters: tuple[Interpreter, ...]
    user: str | None
    """In numbers, `uid:gid`; None where the image leaves it to root."""
    certificates: str | None
    passwd: str | None
    has_tmp: bool
    distribution: Distribution


def read(folder: Path, settings: Settings, platform: Platform, where: str) -> Found:
    """Read an image's files. Raises LockError where no package can be laid upon it."""
    root = Root(folder)
    library = libc.find(root, platform)
    issues = []
    if library is None:
        fix = "take a base with one, such as debian:bookworm"
        issues.append(Issue(where, "has no C library (glibc or musl), which Python and wheels need", fix))
    if root.names("/opt/lading"):
        what = "holds /opt/lading already: it is a package of lading's"
        issues.append(Issue(where, what, "take what it was made from, or environment:NAME"))
    elif root.resolve("/opt/lading") not in {None, "/opt/lading"} or root.resolve("/opt") not in {
        None,
        "/opt",
    }:
        issues.append(Issue(where, "has a link at /opt, where a package's files go"))
    user = None
    try:
        user = _user(root, settings.user)
    except LookupError as error:
        issues.append(Issue(where, f"its user {settings.user!r} cannot be told in numbers: {error}"))
    if issues or library is None:
        raise LockError(*issues)
    return Found(
        libc=library,
        interpreters=pythons.find(root, settings.variables.get("PATH") or USUAL_PATH, platform),
        user=user,
        certificates=next((one for one in _CERTIFICATES if root.file(one)), None),
        passwd=_passwd(root),
        has_tmp=root.folder_at("/tmp") is not None,  # noqa: S108 - in the image
        distribution=_distribution(root),
    )


def _passwd(root: Root) -> str | None:
    """Return the text of /etc/passwd, empty where there is none; None where it lies behind a link."""
    if root.resolve("/etc") not in {None, "/etc"}:
        return None
    return (
        root.text("/etc/passwd")
        if root.is_plain("/etc/passwd")
        else ""
        if not root.is_there("/etc/passwd")
        else None
    )


def _user(root: Root, text: str) -> str | None:
    """Return `uid:gid` of `user`, `uid`, `user:group` (OCI image spec, config.md, "User"); None for root."""
    name, _, group = text.partition(":")
    users = {row[0]: row[2:4] for row in lines(root, "/etc/passwd") if len(row) >= 4}
    groups = {row[0]: row[2] for row in lines(root, "/etc/group") if len(row) >= 3}
    if name.isdecimal():
        uid = name
        gid = next((row[1] for row in users.values() if row[0] == name), "0")
    elif name:
        if name not in users:
            raise LookupError(f"its /etc/passwd has no {name!r}")
        uid, gid = users[name]
    else:
        return None
    if group and not group.isdecimal():
        if group not in groups:
            raise LookupError(f"its /etc/group has no {group!r}")
        group = groups[group]
    numbers = uid, group or gid
    if not all(re.fullmatch(r"\d{1,9}", one) for one in numbers):
        raise LookupError(f"got {':'.join(numbers)!r}")
    return None if int(uid) == int(_ROOT) else f"{int(uid)}:{int(numbers[1])}"


def _distribution(root: Root) -> Distribution:
    text = root.text("/etc/os-release") or root.text("/usr/lib/os-release") or ""
    told = {}
    for line in text.splitlines():
        key, _, value = line.partition("=")
        try:
            told[key.strip()] = " ".join(shlex.split(value))
        except ValueError:
            continue
    # distroless images say it in brackets alone: `12 (bookworm)`
    named = re.search(r"\(([a-z]+)\)", told.get("VERSION", ""))
    return Distribution(
        told.get("ID", ""),
        told.get("VERSION_CODENAME") or (named[1] if named else ""),
        _status(root),
        has_dpkg=root.file("/var/lib/dpkg/status") is not None,
        is_merged=root.resolve("/lib") == "/usr/lib",
        linker_cache=base64.b64encode(root.data("/etc/ld.so.cache")).decode(),
        alternatives=tuple(root.names("/etc/alternatives")),
    )


def _status(root: Root) -> str:
    """Join dpkg's records: its one file, and those of images that have no dpkg, one for each package."""
    whole = root.text("/var/lib/dpkg/status") or ""
    folder = "/var/lib/dpkg/status.d"
    names = [name for name in root.names(folder) if not name.endswith(".md5sums")]
    parts = [whole, *(root.text(f"{folder}/{name}") or "" for name in names)]
    return "\n\n".join(part.strip("\n") for part in parts if part.strip()) + "\n" if any(parts) else ""
