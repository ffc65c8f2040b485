"""A connection in, its secret out; and where a new one is kept. The library `keyring` is known here alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from lading.connections.book import write_private
from lading.core.connection import Connection, ConnectionDraft
from lading.core.errors import Issue, RegistryError

_SERVICE = "lading"
_FOLDER = "connection-secrets"
_ELSEWHERE = (
    "keep the secret in a variable and write ${NAME} in its place, or have it kept in a file of mode 0600, "
    "in clear, with --insecure-storage"
)


@dataclass(frozen=True, slots=True)
class Safe:
    """Where secrets are: variables, the operating system's keyring, and files where that is asked for."""

    home: Path
    environ: Mapping[str, str]

    def find(self, connection: Connection) -> str | None:
        """Return the secret of a connection, None where it has none; RegistryError where it is gone."""
        where = f"connection {connection.name!r}"
        if connection.kept == "environment":
            variable = connection.variable or ""
            if secret := self.environ.get(variable):
                return secret
            raise RegistryError(Issue(where, f"the variable {variable} is not set", f"export {variable}=…"))
        if connection.kept == "keyring":
            if secret := _asked(where, "get_password", _SERVICE, connection.key):
                return str(secret)
            raise RegistryError(Issue(where, "the keyring no longer has its secret", "create it again"))
        if connection.kept == "file":
            try:
                return self._file(connection).read_text(encoding="utf-8")
            except OSError as error:
                what = f"the file of its secret cannot be read: {error.strerror}"
                raise RegistryError(Issue(where, what, "create it again")) from error
        return None

    def keep(self, draft: ConnectionDraft, *, insecurely: bool = False) -> Connection:
        """Keep what was given in clear, and return the connection with where it is.

        Raises RegistryError where nobody will keep it.
        """
        connection = draft.connection
        if draft.secret is None:
            return connection
        key = f"{connection.name}-{uuid4()}"
        if insecurely:
            kept = replace(connection, kept="file", key=key)
            self._file(kept).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_private(self._file(kept), draft.secret)
            return kept
        where = f"connection {connection.name!r}"
        _refuse_clear(where)
        _asked(where, "set_password", _SERVICE, key, draft.secret)
        if _asked(where, "get_password", _SERVICE, key) != draft.secret:
            raise RegistryError(Issue(where, "the keyring does not keep what it is given", _ELSEWHERE))
        return replace(connection, kept="keyring", key=key)

    def forget(self, connection: Connection) -> None:
        """Forget what was kept of a connection; a keyring that no longer has it is no hindrance."""
        if connection.kept == "file":
            self._file(connection).unlink(missing_ok=True)
        if connection.kept == "keyring":
            where = f"connection {connection.name!r}"
            if _asked(where, "get_password", _SERVICE, connection.key) is not None:
                _asked(where, "delete_password", _SERVICE, connection.key)

    def _file(self, connection: Connection) -> Path:
        return self.home / _FOLDER / connection.key


def _refuse_clear(where: str) -> None:
    """Refuse a keyring that is a file in clear, where nobody has named it: keyrings.alt falls back to one."""
    try:
        from keyring import core
    except ImportError:
        return  # asking it says so
    backend = core.get_keyring()
    parts = getattr(backend, "backends", None) or [backend]  # a chain writes to its first
    if type(parts[0]).__name__ != "PlaintextKeyring" or core.load_env() or core.load_config():
        return
    what = "there is no keyring of the operating system's here, and the library's own is a file in clear"
    raise RegistryError(Issue(where, what, _ELSEWHERE))


def _asked(where: str, function: str, *arguments: str) -> Any:  # noqa: ANN401 - as keyring has it
    """Ask the keyring; none of its own words is told, for they may quote what it was given."""
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError:
        what = "its secret was given in clear, and the library that keeps secrets is not installed"
        raise RegistryError(Issue(where, what, f"install lading[keyring], or {_ELSEWHERE}")) from None
    try:
        return getattr(keyring, function)(*arguments)
    except (KeyringError, OSError, RuntimeError, ValueError) as error:
        what = f"the operating system's keyring cannot be asked: {type(error).__name__}"
        raise RegistryError(Issue(where, what, _ELSEWHERE)) from None
