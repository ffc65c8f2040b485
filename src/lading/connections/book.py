"""Connections by name, in one file of a folder: read, kept, forgotten."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lading.core import canonical
from lading.core.connection import Connection
from lading.core.errors import IntegrityError, Issue, RegistryError, disk_fix

_FILE = "connections.json"
_PRIVATE = 0o600


class Book:
    """The connections of one home. The file is replaced whole, under a lock."""

    def __init__(self, home: Path) -> None:
        """Name the folder; nothing is read yet."""
        self.path = home / _FILE

    def listed(self) -> tuple[Connection, ...]:
        """Read all, by name; IntegrityError where the file is malformed."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise _disk(self.path, error) from error
        where = str(self.path)
        document = canonical.decode(data, where)
        found = document.get("connections") if isinstance(document, dict) else None
        if not isinstance(found, list):
            raise IntegrityError(Issue(where, "got no list of connections"))
        return tuple(Connection.from_json(one, f"{where}: connections[{n}]") for n, one in enumerate(found))

    def find(self, name: str) -> Connection | None:
        """Find one by its name."""
        return next((one for one in self.listed() if one.name == name), None)

    def keep(self, connection: Connection) -> None:
        """Keep a connection, in place of the one of its name."""
        with self._changing() as found:
            found[connection.name] = connection

    def forget(self, name: str) -> None:
        """Forget a connection."""
        with self._changing() as found:
            found.pop(name, None)

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Connection]]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.with_suffix(".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                found = {one.name: one for one in self.listed()}
                yield found
                rows = [found[name].to_json() for name in sorted(found)]
                partial = self.path.with_suffix(".partial")
                write_private(partial, json.dumps({"connections": rows}, indent=2) + "\n")
                partial.replace(self.path)
        except OSError as error:
            raise _disk(self.path, error) from error


def write_private(path: Path, text: str) -> None:
    """Write a file that its owner alone may read."""
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
    with open(handle, "w", encoding="utf-8") as stream:  # noqa: PTH123 - of a handle
        stream.write(text)
        stream.flush()
        os.fsync(handle)


def _disk(path: Path, error: OSError) -> RegistryError:
    return RegistryError(Issue(str(path), f"{error.strerror or error}", disk_fix(error)))
