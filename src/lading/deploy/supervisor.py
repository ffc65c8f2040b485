"""Endpoints in a folder go in; they are served, and kept so, until the supervisor is told to end."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from lading.core import typed
from lading.core.endpoint import Deployment, Endpoint
from lading.core.errors import DeployError, Issue, LadingError, RegistryError, SpecError
from lading.core.ports import Event, Events
from lading.deploy.control import Control
from lading.deploy.folder import KEYS, Folder
from lading.deploy.rollout import Record
from lading.deploy.served import Served, new_key
from lading.deploy.target import Target

_LOOK_S = 0.2
_STOP_S = 40.0
_LOOKS = 10


class Supervisor:
    """The one process that writes the folder, and runs what it says."""

    def __init__(self, folder: Folder, targets: Mapping[str, Target], version: str, events: Events) -> None:
        """Serve nothing yet."""
        self._folder = folder
        self._targets = targets
        self._version = version
        self._events = events
        self._turn = threading.RLock()
        self._woken = threading.Event()
        self._is_ending = False
        self._served: dict[str, Served] = {}
        self._going: list[Served] = []
        self._world = Path()
        self._trouble = ""

    def run(self) -> None:
        """Serve until an order or a signal ends it; return at once where another supervisor does."""
        self._folder.make()
        lock = os.open(self._folder.root / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if not _locked(lock):
                return
            os.truncate(lock, 0)
            os.write(lock, f"{os.getpid()}\n".encode())
            self._serve(lock)
        finally:
            os.close(lock)

    def _serve(self, lock: int) -> None:
        self._world = self._folder.world()
        for endpoint, keys, records in self._folder.endpoints(lambda issue: self._tell(str(issue))):
            served = self._new(endpoint, keys or self._new_keys(endpoint.name))
            for record in records.values():
                served.add(record)
        self._step()  # nobody is told that all is well before each port was looked for
        control = Control(self._folder.root, self._obey)
        control.start()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        self._events(Event("endpoint", "stage", f"supervisor {os.getpid()}: {len(self._served)} endpoints"))
        try:
            while not self._is_ending and self._is_there(lock):
                self._woken.wait(_LOOK_S)
                self._woken.clear()
                self._step()
        finally:
            control.shutdown()
            control.server_close()
            self._close()

    def _is_there(self, lock: int) -> bool:
        """Tell whether the folder is: whoever removed it wants nothing to run."""
        try:
            return os.path.samestat(os.fstat(lock), (self._folder.root / "lock").stat())
        except OSError:
            return False

    def _step(self) -> None:
        with self._turn:
            for served in self._served.values():
                try:
                    served.step()
                except (LadingError, OSError) as error:
                    # a full disk, for one: what runs goes on, and the next step may do
                    self._tell(f"{served.endpoint.name}: {error}")
            self._going = [one for one in self._going if one.instances() and not _is_over(one)]

    def _tell(self, trouble: str) -> None:
        """Warn, once for as long as it is the same."""
        if trouble != self._trouble:
            self._trouble = trouble
            self._events(Event("endpoint", "warning", trouble))

    def _close(self) -> None:
        going = [*self._served.values(), *self._going]
        threads = [threading.Thread(target=one.close) for one in going]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        deadline_s = time.monotonic() + _STOP_S
        for instance in [instance for one in going for instance in one.instances()]:
            instance.join(max(0.0, deadline_s - time.monotonic()))
        shutil.rmtree(self._world, ignore_errors=True)

    def _end(self, *_: object) -> None:
        self._is_ending = True
        self._woken.set()

    def _new(self, endpoint: Endpoint, keys: Mapping[str, str]) -> Served:
        served = Served(
            endpoint,
            keys,
            self._folder,
            world=self._world,
            targets=self._targets,
            changed=self._woken.set,
            events=self._events,
        )
        self._served[endpoint.name] = served
        return served

    def _new_keys(self, endpoint: str) -> dict[str, str]:
        keys = {name: new_key() for name in KEYS}
        self._folder.write_keys(endpoint, keys)
        return keys

    def _obey(self, order: Mapping[str, Any]) -> Any:  # noqa: ANN401 - any JSON value
        orders: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
            "hello": lambda _: {"version": self._version, "process_id": os.getpid()},
            "create endpoint": self._create_endpoint,
            "update endpoint": self._update_endpoint,
            "delete endpoint": self._delete_endpoint,
            "put deployment": self._put_deployment,
            "delete deployment": self._delete_deployment,
            "state": self._state,
            "keys": lambda order: self._find(order["name"]).keys,
            "new key": self._new_key,
            "end": lambda _: self._end(),
        }
        with self._turn:
            answer = orders[order["do"]](order)
            self._woken.set()
        return answer

    def _find(self, name: str) -> Served:
        if name in self._served:
            return self._served[name]
        known = ", ".join(sorted(self._served)) or "none"
        raise RegistryError(Issue(f"endpoint {name!r}", f"there is no such endpoint; there are: {known}"))

    def _deployment(self, order: Mapping[str, Any]) -> Served:
        """Return the endpoint of a deployment that is there."""
        served, name = self._find(order["endpoint"]), order["name"]
        if name in served.rollouts:
            return served
        known = ", ".join(sorted(served.rollouts)) or "none"
        where = f"deployment {name!r} of endpoint {order['endpoint']!r}"
        raise RegistryError(Issue(where, f"there is no such deployment; there are: {known}"))

    def _create_endpoint(self, order: Mapping[str, Any]) -> dict[str, Any]:
        endpoint = typed.from_json(Endpoint, order["endpoint"], "endpoint")
        if endpoint.name in self._served:
            fix = f"change it: lading endpoint update --name {endpoint.name}"
            raise SpecError(Issue(f"endpoint {endpoint.name!r}", "is there already", fix))
        self._refuse_unknown(endpoint, {})
        if self._folder.has(endpoint.name):
            fix = f"forget it first: lading endpoint delete -n {endpoint.name} --yes"
            raise SpecError(Issue(f"endpoint {endpoint.name!r}", "is there, in files that are damaged", fix))
        served = self._new(endpoint, self._new_keys(endpoint.name))
        try:
            served.listen()
            self._folder.write_endpoint(served.endpoint)
        except BaseException:
            del self._served[endpoint.name]
            self._folder.forget_endpoint(endpoint.name)
            served.close()
            raise
        return typed.to_json(served.endpoint)

    def _update_endpoint(self, order: Mapping[str, Any]) -> dict[str, Any]:
        endpoint = typed.from_json(Endpoint, order["endpoint"], "endpoint")
        served = self._find(endpoint.name)
        self._refuse_unknown(endpoint, served.rollouts)
        if (endpoint.host, endpoint.port) != (served.endpoint.host, served.endpoint.port):
            raise SpecError(Issue(f"endpoint {endpoint.name!r}", "keeps its address", "create another"))
        self._folder.write_endpoint(endpoint)
        served.endpoint = endpoint
        return typed.to_json(endpoint)

    def _refuse_unknown(self, endpoint: Endpoint, known: Mapping[str, Any]) -> None:
        """Refuse shares for deployments that are not there."""
        named = {"traffic": endpoint.traffic, "mirror_traffic": endpoint.mirror_traffic}
        issues = [
            Issue(f"endpoint {endpoint.name!r}", f"{key}: there is no deployment {name!r}", "create it first")
            for key, shares in named.items()
            for name, share in shares.items()
            if share and name not in known
        ]
        if issues:
            raise SpecError(*issues)

    def _delete_endpoint(self, order: Mapping[str, Any]) -> None:
        if order["name"] not in self._served and self._folder.has(order["name"]):
            self._folder.forget_endpoint(order["name"])  # what is damaged is not served
            return
        served = self._find(order["name"])
        del self._served[order["name"]]
        self._folder.forget_endpoint(order["name"])
        self._going.append(served)
        threading.Thread(target=served.close, daemon=True).start()

    def _put_deployment(self, order: Mapping[str, Any]) -> None:
        """Create or change a deployment; with `all_traffic` it has all of it once it is there."""
        deployment = typed.from_json(Deployment, order["deployment"], "deployment")
        served = self._find(deployment.endpoint_name)
        rollout, all_traffic = served.rollouts.get(deployment.name), bool(order["all_traffic"])
        if rollout is None:
            record = Record(deployment, all_traffic=all_traffic)
            self._folder.write_deployment(record)
            served.add(record)
        else:
            rollout.want(deployment, all_traffic=all_traffic)

    def _delete_deployment(self, order: Mapping[str, Any]) -> None:
        name, of = order["name"], order["endpoint"]
        is_damaged = name not in self._find(of).rollouts and self._folder.has(of, name)
        served = self._find(of) if is_damaged else self._deployment(order)
        endpoint = served.endpoint
        if share := endpoint.traffic.get(name):
            what = f"has {share} % of the traffic of {endpoint.name!r}"
            others = " ".join(f"{one}=…" for one in served.rollouts if one != name) or f"{name}=0"
            fix = f"give it to another first: lading endpoint update -n {endpoint.name} --traffic '{others}'"
            raise DeployError(Issue(f"deployment {name!r}", what, fix))
        mirrored = {one: share for one, share in endpoint.mirror_traffic.items() if one != name}
        left = {one: share for one, share in endpoint.traffic.items() if one != name}
        changed = typed.to_json(endpoint) | {"traffic": left, "mirror_traffic": mirrored}
        served.endpoint = typed.from_json(Endpoint, changed, "endpoint")
        self._folder.write_endpoint(served.endpoint)
        self._folder.forget_deployment(endpoint.name, name)
        if not is_damaged:
            served.drop(name)

    def _state(self, _: Mapping[str, Any]) -> list[dict[str, Any]]:
        return [{**typed.to_json(one.endpoint), **one.state()} for _, one in sorted(self._served.items())]

    def _new_key(self, order: Mapping[str, Any]) -> None:
        served = self._find(order["name"])
        if order["key"] not in KEYS:
            raise SpecError(Issue("key", f"got {order['key']!r}, expected primary or secondary"))
        keys = {**served.keys, order["key"]: new_key()}
        self._folder.write_keys(order["name"], keys)
        served.keys = keys


def _locked(handle: int) -> bool:
    """Take the lock; whoever only looks at it has it for a moment."""
    for _ in range(_LOOKS):
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(_LOOK_S / 4)
    return False


def _is_over(served: Served) -> bool:
    return all(one.is_over for one in served.instances())


def process_id(folder: Folder) -> int | None:
    """Return the process of the folder's supervisor, None where there is none."""
    with suppress(OSError, ValueError):
        handle = os.open(folder.root / "lock", os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return int(os.read(handle, 32))
        finally:
            os.close(handle)
    return None
