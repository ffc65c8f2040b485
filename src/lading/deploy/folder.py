"""What endpoints and deployments there are, in files: each is whole at any moment, and ours alone to read."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lading.core import canonical, typed
from lading.core.digest import Digest
from lading.core.endpoint import Endpoint
from lading.deploy.rollout import Record

_PREFIX = "lading-endpoints-"
_LONGEST = 107 - len("/xxxxxxxxxxxxxxxx/s")


class Folder:
    """The folder of a workspace's endpoints."""

    def __init__(self, root: Path) -> None:
        """Name it; it is made when it is first written to."""
        self.root = root

    def make(self) -> None:
        """Make it, for us alone."""
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.root.chmod(0o700)

    def log(self, endpoint: str, deployment: str, instance: str) -> Path:
        """Say where an instance's log is."""
        return self.logs(endpoint, deployment) / f"{instance}.log"

    def logs(self, endpoint: str, deployment: str) -> Path:
        """Say where a deployment's logs are."""
        return self.root / "logs" / endpoint / deployment

    @property
    def supervisor_log(self) -> Path:
        """Say where the supervisor and the routers write."""
        return self.root / "supervisor.log"

    def endpoints(self) -> Iterator[tuple[Endpoint, dict[str, str], dict[str, Record]]]:
        """Read every endpoint with its keys and deployments."""
        for path in sorted((self.root / "endpoints").glob("*/endpoint.json")):
            endpoint = typed.from_json(Endpoint, _read(path), str(path))
            keys = _read(path.with_name("keys.json"))
            found = {
                one.stem: typed.from_json(Record, _read(one), str(one))
                for one in sorted(path.parent.glob("deployments/*.json"))
            }
            yield endpoint, keys, found

    def packages(self) -> set[Digest]:
        """List what deployments run, and would go back to."""
        records = [record for _, _, records in self.endpoints() for record in records.values()]
        return {one.package for record in records for one in (record.wanted, record.good) if one}

    def has_endpoints(self) -> bool:
        """Tell whether there is any endpoint to be served."""
        return any((self.root / "endpoints").glob("*/endpoint.json"))

    def write_endpoint(self, endpoint: Endpoint) -> None:
        """Write an endpoint down."""
        self._write(self._of(endpoint.name) / "endpoint.json", typed.to_json(endpoint))

    def write_keys(self, endpoint: str, keys: Mapping[str, str]) -> None:
        """Write an endpoint's keys down."""
        self._write(self._of(endpoint) / "keys.json", dict(keys))

    def write_deployment(self, record: Record) -> None:
        """Write a deployment down."""
        wanted = record.wanted
        self._write(self._of(wanted.endpoint_name) / "deployments" / f"{wanted.name}.json", record.to_json())

    def forget_endpoint(self, name: str) -> None:
        """Forget an endpoint, its deployments and their logs."""
        (self._of(name) / "endpoint.json").unlink(missing_ok=True)
        for folder in (self._of(name), self.root / "logs" / name):
            shutil.rmtree(folder, ignore_errors=True)

    def forget_deployment(self, endpoint: str, name: str) -> None:
        """Forget a deployment and its logs."""
        (self._of(endpoint) / "deployments" / f"{name}.json").unlink(missing_ok=True)
        shutil.rmtree(self.logs(endpoint, name), ignore_errors=True)

    def world(self) -> Path:
        """Make the folder in which instances lie, and take away one that a killed supervisor left.

        It is not in ours: below it there are Unix sockets, whose paths are 107 bytes long at most.
        """
        note = self.root / "world"
        with contextlib.suppress(OSError, ValueError):
            left = Path(_read(note)["path"])
            if left.name.startswith(_PREFIX) and left.stat().st_uid == os.geteuid():
                shutil.rmtree(left, ignore_errors=True)
        place = tempfile.gettempdir()
        # a longer one would be of no use
        world = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place if len(place) < _LONGEST - 30 else "/tmp"))  # noqa: S108
        world.chmod(0o711)  # those who run below may be another user
        self._write(note, {"path": str(world)})
        return world

    def _of(self, endpoint: str) -> Path:
        return self.root / "endpoints" / endpoint

    def _write(self, path: Path, document: Mapping[str, Any]) -> None:
        """Write a file that is the old or the new one, whatever happens meanwhile."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(canonical.encode(document))
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _read(path: Path) -> Any:  # noqa: ANN401 - any JSON value
    return canonical.decode(path.read_bytes(), str(path))
