"""An endpoint that is served: its socket, its router, its keys and its deployments."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from lading.core.endpoint import Deployment, DeploymentState, Endpoint
from lading.core.errors import DeployError, Issue
from lading.core.ports import Event, Events
from lading.deploy.folder import Folder
from lading.deploy.instance import Instance
from lading.deploy.logfile import LogFile
from lading.deploy.rollout import Record, Rollout
from lading.deploy.router import Router, listen
from lading.deploy.target import Target

_KEY_BYTES = 32


class Served:
    """One endpoint."""

    def __init__(
        self,
        endpoint: Endpoint,
        keys: Mapping[str, str],
        folder: Folder,
        *,
        world: Path,
        targets: Mapping[str, Target],
        changed: Callable[[], None],
        events: Events,
    ) -> None:
        """Serve as soon as the port can be had, which is looked for at each step."""
        self.endpoint = endpoint
        self.keys = dict(keys)
        self.rollouts: dict[str, Rollout] = {}
        self.trouble = ""
        self._folder = folder
        self._world = world
        self._targets = targets
        self._changed = changed
        self._events = events
        self._router: Router | None = None
        self._leaving: list[Rollout] = []

    def listen(self) -> None:
        """Have a port; raise DeployError where it cannot be had."""
        host, port = self.endpoint.host, self.endpoint.port
        try:
            listening = listen(host, port)
        except (OSError, OverflowError) as error:
            what = f"cannot listen on {host}:{port}: {getattr(error, 'strerror', None) or error}"
            fix = "end what listens there, or create it with another: --port, or none for any that is free"
            raise DeployError(Issue(f"endpoint {self.endpoint.name!r}", what, fix)) from error
        self.endpoint = replace(self.endpoint, port=int(listening.getsockname()[1]))
        self._router = Router(listening, self._folder.supervisor_log, self._drained, self._router_died)

    def add(self, record: Record) -> Rollout:
        """Serve a deployment."""
        name = record.wanted.name
        keep = self._folder.write_deployment
        self.rollouts[name] = Rollout(record, partial(self._start, name), keep, self._give_all)
        return self.rollouts[name]

    def drop(self, name: str) -> None:
        """Serve a deployment no more; what is being answered is."""
        gone = self.rollouts.pop(name)
        gone.leave()
        self._leaving.append(gone)

    def step(self) -> None:
        """Bring deployments, and the router, nearer to what is wanted."""
        if self._router is None:
            try:
                self.listen()
                self.trouble = ""
            except DeployError as error:
                if not self.trouble:
                    self._events(Event("endpoint", "warning", str(error)))
                self.trouble = error.issues[0].what
        for rollout in self.rollouts.values():
            rollout.step()
        if self._router is not None:
            self._router.be(self._facts())
        for rollout in (*self.rollouts.values(), *self._leaving):
            rollout.end_drained()
        self._leaving = [one for one in self._leaving if not one.is_over]

    def instances(self) -> list[Instance]:
        """List every instance that is not over."""
        return [one for rollout in (*self.rollouts.values(), *self._leaving) for one in rollout.instances]

    def close(self) -> None:
        """Answer no more: the router ends after what is on its way; instances are told to end."""
        if self._router is not None:
            self._router.end()
            self._router = None
        for one in self.instances():
            one.end()

    def state(self) -> dict[str, Any]:
        """Return what there is to know, but the keys."""
        states: list[DeploymentState] = [one.state() for one in self.rollouts.values()]
        return {
            "trouble": self.trouble,
            "router_process_id": self._router.process_id if self._router else None,
            "deployments": [one.to_json() for one in states],
        }

    def _facts(self) -> dict[str, Any]:
        deployments = {name: _facts(one) for name, one in self.rollouts.items()}
        return {
            "keys": [hashlib.sha256(one.encode()).hexdigest() for one in self.keys.values()],
            "traffic": dict(self.endpoint.traffic),
            "mirror": dict(self.endpoint.mirror_traffic),
            "deployments": deployments,
        }

    def _start(self, name: str, deployment: Deployment) -> Instance:
        taken = {one.name for one in self.rollouts[name].instances}
        number = next(one for one in range(1, len(taken) + 2) if f"{name}-{one}" not in taken)
        label = f"{name}-{number}"
        log = LogFile(self._folder.log(self.endpoint.name, name, label))
        folder = self._world / secrets.token_hex(8)
        target = self._targets[deployment.target]
        return Instance(label, deployment, target, folder=folder, log=log, changed=self._changed)

    def _give_all(self, name: str) -> None:
        self.endpoint = replace(self.endpoint, traffic={name: 100})
        self._folder.write_endpoint(self.endpoint)

    def _drained(self, instance: str) -> None:
        for rollout in (*self.rollouts.values(), *self._leaving):
            rollout.end_drained(instance)
        self._changed()

    def _router_died(self) -> None:
        self._events(Event("endpoint", "warning", f"the router of {self.endpoint.name!r} has ended; again"))
        for one in self.instances():
            if one.leaves_since is not None:
                one.end()


def new_key() -> str:
    """Make a key."""
    return secrets.token_urlsafe(_KEY_BYTES)


def _facts(rollout: Rollout) -> dict[str, Any]:
    """Say what the router has to know of a deployment."""
    serving = list(rollout.serving())
    deployment = rollout.target or rollout.record.wanted
    return {
        "timeout_s": deployment.request_settings.request_timeout_ms / 1000,
        "concurrency": deployment.request_settings.max_concurrent_requests_per_instance,
        "instance_count": deployment.instance_count,
        "scoring": serving[0][1].scoring if serving else "/score",
        "instances": [{"id": one.name, **started.address.to_json()} for one, started in serving],
    }
