"""A `config.json` or `auth.json` → its logins and helpers; changed ones → the file, replaced whole.

Sources: containers-auth.json(5); docs.docker.com, "docker login", "Credential stores", "Credential helpers".
"""

from __future__ import annotations

import base64
import binascii
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lading.core.errors import Issue, RegistryError, disk_fix
from lading.core.login import Login
from lading.logins.helper import NAME

HUB = "docker.io"
HUB_URL = "https://index.docker.io/v1/"
"""How Docker calls its own registry in its files and to its helpers."""
_HUB_HOSTS = frozenset({HUB, "index.docker.io", "registry-1.docker.io"})
_API_PATHS = frozenset({"v1", "v2"})


def canonical(key: str) -> str:
    """Bring a file's key, or what somebody calls a registry, to one form: `host[:port][/namespace]`.

    >>> canonical("https://index.docker.io/v1/"), canonical("quay.io/team")
    ('docker.io', 'quay.io/team')
    """
    bare = key.removeprefix("https://").removeprefix("http://")
    host, _, path = bare.partition("/")
    path = path.strip("/")
    host = HUB if host.lower() in _HUB_HOSTS else host.lower()
    # as a URL or with the version of an API, a key stands for all of a registry
    return host if bare != key or path in _API_PATHS or not path else f"{host}/{path}"


@dataclass(frozen=True)
class Document:
    """What a file holds; `values` keeps what other tools wrote beside logins."""

    path: Path
    values: dict[str, Any] = field(repr=False)
    is_legacy: bool = False
    """A `.dockercfg`: the logins alone, without a key above them."""

    @property
    def auths(self) -> dict[str, Any]:
        """Entries by the key they stand under; RegistryError where it is no table."""
        return self.values if self.is_legacy else self._table("auths")

    def entry(self, name: str) -> tuple[str, dict[str, Any]] | None:
        """Find the entry of a registry or namespace, with its key; one under that very key comes first."""
        for key, entry in sorted(self.auths.items(), key=lambda pair: pair[0] != name):
            if canonical(key) == name:
                if not isinstance(entry, dict):
                    raise RegistryError(self._issue(key, "is no table"))
                return key, entry
        return None

    def helper(self, registry: str) -> str | None:
        """Name the helper that keeps this registry's login: its own, else the one for all.

        RegistryError for what cannot be the name of one.
        """
        if self.is_legacy:
            return None
        for key, name in self._table("credHelpers").items():
            if canonical(key) == registry:
                return self._helper_name("credHelpers", name)
        return self._helper_name("credsStore", self.values.get("credsStore"))

    def has(self, name: str) -> bool:
        """Tell whether this file says something of a registry or namespace."""
        helpers = {} if self.is_legacy else self._table("credHelpers")
        return self.entry(name) is not None or name in map(canonical, helpers)

    def login(self, key: str, entry: dict[str, Any]) -> Login | None:
        """Read an entry; None for one that is empty, as where a helper keeps the secret."""
        if token := entry.get("identitytoken"):
            return Login(str(entry.get("username") or ""), "", str(token))
        if auth := entry.get("auth"):
            try:
                text = base64.b64decode(str(auth), validate=True).decode()
            except (binascii.Error, ValueError):
                text = ""  # neither the entry nor the exception, which quotes it, may be told
            username, colon, password = text.partition(":")
            if not colon:
                raise RegistryError(self._issue(key, "its 'auth' is not 'user:password' in base64"))
            # Docker's own helper for old files pads with zero bytes
            return Login(username, password.strip("\0"))
        if entry.get("username") and entry.get("password"):
            return Login(str(entry["username"]), str(entry["password"]))
        return None

    def _helper_name(self, key: str, name: object) -> str | None:
        if name is None or name == "":
            return None
        if isinstance(name, str) and NAME.match(name):
            return name
        what = f"{key!r}: got {name!r}, expected the NAME of a program docker-credential-NAME"
        raise RegistryError(Issue(str(self.path), what, "mend or remove it"))

    def _table(self, key: str) -> dict[str, Any]:
        table = self.values.get(key)
        if table is None:
            return {}
        if not isinstance(table, dict):
            raise RegistryError(Issue(str(self.path), f"{key!r} is no table", "mend or remove it"))
        return table

    def _issue(self, key: str, what: str) -> Issue:
        return Issue(str(self.path), f"{key!r}: {what}", f"lading login {canonical(key)}")


def load(path: Path, *, is_legacy: bool = False) -> Document:
    """Read a file; one that is not there is empty. RegistryError, without its text, for a malformed one."""
    try:
        text = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return Document(path, {}, is_legacy)
    except OSError as error:
        if isinstance(error, PermissionError) and not os.access(path.parent, os.X_OK):
            return Document(path, {}, is_legacy)  # somebody else's folder
        raise RegistryError(Issue(str(path), f"cannot be read: {error.strerror}")) from error
    values: Any = None
    if not text.strip():
        return Document(path, {}, is_legacy)
    with suppress(ValueError, RecursionError):  # the exception would quote the text
        values = json.loads(text)
    if not isinstance(values, dict):
        raise RegistryError(Issue(str(path), "is no JSON object", "mend or remove it, and log in again"))
    return Document(path, values, is_legacy)


@contextmanager
def changing(path: Path, *, is_legacy: bool = False) -> Iterator[Document]:
    """Read a file, let its values be changed, and replace it whole, for its owner's eyes alone.

    Held off until another change is done. RegistryError where the disk refuses.
    """
    path = path.resolve()  # a link stays one
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            document = load(path, is_legacy=is_legacy)
            before = json.dumps(document.values)
            yield document
            if json.dumps(document.values) != before:
                _replace(path, json.dumps(document.values, indent="\t", ensure_ascii=False) + "\n")
        finally:
            os.close(handle)
    except OSError as error:
        what = f"cannot be written: {error.strerror}"
        raise RegistryError(Issue(str(path), what, disk_fix(error))) from error


def _replace(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}-{os.urandom(8).hex()}")
    try:
        handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(handle, text.encode())
            os.fsync(handle)
        finally:
            os.close(handle)
        partial.rename(path)
    finally:
        partial.unlink(missing_ok=True)
