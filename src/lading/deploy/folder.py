"""What endpoints and deployments there are, in files: each is whole at any moment, and ours alone to read."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lading.core import canonical, typed
from lading.core.digest import Digest
from lading.core.endpoint import Endpoint
from lading.core.errors import IntegrityError, Issue, LadingError
from lading.deploy.rollout import Record

KEYS = ("primary", "secondary")
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

    def endpoints(
        self, damaged: Callable[[Issue], None] | None = None
    ) -> Iterator[tuple[Endpoint, dict[str, str], dict[str, Record]]]:
        """Read every endpoint with its keys and deployments.

        What cannot be read is told to `damaged` and left out, keys too; without it, LadingError or OSError.
        """
        for path in sorted((self.root / "endpoints").glob("*/endpoint.json")):
            name = path.parent.name
            with _telling(path, f"lading endpoint delete -n {name} --yes", damaged):
                endpoint = typed.from_json(Endpoint, _read(path), str(path))
                keys: dict[str, str] = {}
                with _telling(path.with_name("keys.json"), None, damaged):
                    keys = _keys(path.with_name("keys.json"))
                found: dict[str, Record] = {}
                for one in sorted(path.parent.glob("deployments/*.json")):
                    with _telling(one, f"lading deployment delete -n {one.stem} -e {name} --yes", damaged):
                        found[one.stem] = typed.from_json(Record, _read(one), str(one))
                yield endpoint, keys, found

    def has(self, endpoint: str, deployment: str | None = None) -> bool:
        """Tell whether there are files of an endpoint, or of a deployment, damaged or not."""
        known = {one.parent.name for one in (self.root / "endpoints").glob("*/endpoint.json")}
        if deployment is None or endpoint not in known:
            return endpoint in known
        return deployment in {one.stem for one in self._of(endpoint).glob("deployments/*.json")}

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
            _remove(folder)

    def forget_deployment(self, endpoint: str, name: str) -> None:
        """Forget a deployment and its logs."""
        (self._of(endpoint) / "deployments" / f"{name}.json").unlink(missing_ok=True)
        _remove(self.logs(endpoint, name))

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


def _remove(folder: Path) -> None:
    """Remove a folder, whatever those that are being ended still write to files in it."""
    gone = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    with contextlib.suppress(OSError):
        folder.replace(gone)  # from here on nothing comes back at its old path
        shutil.rmtree(gone, ignore_errors=True)


@contextlib.contextmanager
def _telling(path: Path, forget: str | None, damaged: Callable[[Issue], None] | None) -> Iterator[None]:
    """Tell of a file that cannot be read, and how to be rid of it."""
    try:
        yield
    except (LadingError, OSError) as error:
        if damaged is None:
            raise
        what = error.issues[0].what if isinstance(error, LadingError) else error.strerror or str(error)
        back = f"put it back while all is down (lading endpoint down), or forget it: {forget}"
        fix = back if forget else "keys are made anew: lading endpoint get-credentials"
        damaged(Issue(str(path), f"cannot be read: {what}", fix))


def _keys(path: Path) -> dict[str, str]:
    """Read keys: an empty one would be everybody's."""
    keys = _read(path)
    if not isinstance(keys, dict) or not all(isinstance(keys.get(one), str) and keys[one] for one in KEYS):
        raise IntegrityError(Issue(str(path), f"has no {' and '.join(KEYS)} key"))
    return {one: keys[one] for one in KEYS}


def _read(path: Path) -> Any:  # noqa: ANN401 - any JSON value
    return canonical.decode(path.read_bytes(), str(path))
