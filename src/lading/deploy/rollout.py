"""A deployment that is wanted in; its instances brought to it, one after another, without a gap."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from lading.core import typed
from lading.core.endpoint import Deployment, DeploymentState, State
from lading.deploy.instance import Instance
from lading.deploy.target import Started

_PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of a deployment when nothing runs."""

    wanted: Deployment
    good: Deployment | None = None
    """The last that was whole: what is gone back to where the wanted one fails."""
    state: State = "creating"
    reason: str = ""
    all_traffic: bool = False
    """Whether it has all the traffic as soon as it is whole."""

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return typed.to_json(self)


@dataclass
class Rollout:
    """One deployment, brought nearer to what is wanted by each `step`."""

    record: Record
    start: Callable[[Deployment], Instance]
    keep: Callable[[Record], None]
    """Write the record down."""
    whole: Callable[[str], None]
    """Hears of a deployment that is whole, and that is to have all the traffic then."""
    instances: list[Instance] = field(default_factory=list)

    def want(self, deployment: Deployment, *, all_traffic: bool) -> None:
        """Have it be another, or have the same tried again."""
        good = self.record.good
        self._keep(Record(deployment, good, "updating" if good else "creating", "", all_traffic))

    def step(self) -> None:
        """Start and take away what the moment allows."""
        self.instances = [one for one in self.instances if not one.is_over]
        target = self.target
        live = [one for one in self.instances if one.leaves_since is None]
        new = [one for one in live if target and one.template == target.template]
        old = [one for one in live if one not in new]
        if target is None:
            self._take_away(old)
            return
        for one in new:
            one.deployment = target
        if self.record.state in {"creating", "updating"}:
            broken = next((one for one in new if one.has_failed), None)
            if broken:
                self._fail(broken, new)
                return
        ready = [one for one in new if one.is_ready]
        missing = target.instance_count - len(new)
        # beside others one at a time: this machine has to bear both
        room = missing if not old else min(missing, 1 - (len(new) - len(ready)))
        for _ in range(room):
            self.instances.append(self.start(target))
        if missing < 0:
            self._take_away(sorted(new, key=lambda one: one.is_ready)[:-missing])
        self._replace(old, len(ready), target.instance_count)
        is_whole = len(ready) == len(new) == target.instance_count and not old
        if is_whole and self.record.state in {"creating", "updating"}:
            all_traffic = self.record.all_traffic
            self._keep(Record(target, target, "succeeded"))
            if all_traffic:
                self.whole(target.name)

    def leave(self) -> None:
        """Have no instances any more."""
        self._take_away(list(self.instances))

    @property
    def is_over(self) -> bool:
        """Tell whether nothing is left of it."""
        return all(one.is_over for one in self.instances)

    def serving(self) -> Iterator[tuple[Instance, Started]]:
        """Yield the instances that requests go to."""
        for one in self.instances:
            started = one.started
            if one.is_ready and one.leaves_since is None and started is not None:
                yield one, started

    def end_drained(self, name: str | None = None) -> None:
        """End an instance that the router asks nothing any more; of none named, those whose time is over."""
        now = time.monotonic()
        for one in self.instances:
            if one.leaves_since is None:
                continue
            patience_s = one.deployment.request_settings.request_timeout_ms / 1000 + _PATIENCE_S
            if one.name == name or now - one.leaves_since > patience_s:
                one.end()

    def state(self) -> DeploymentState:
        """Return what there is to know."""
        states = tuple(one.state() for one in self.instances)
        return DeploymentState(self.record.wanted, self.record.state, states, self.record.reason)

    @property
    def target(self) -> Deployment | None:
        """What is to run: what is wanted, or what was good where that has failed."""
        return self.record.good if self.record.state == "failed" else self.record.wanted

    def _replace(self, old: list[Instance], ready: int, count: int) -> None:
        """Take old instances away as far as new ones answer in their place."""
        unready = [one for one in old if not one.is_ready]
        if ready or not count:
            self._take_away(unready)
        steady = [one for one in old if one.is_ready]
        self._take_away(steady[: max(0, ready + len(steady) - count)])

    def _fail(self, broken: Instance, new: list[Instance]) -> None:
        """Go back to what was good: its instances have not been taken away, as far as they are needed."""
        wanted, good = self.record.wanted, self.record.good
        reason = f"instance {broken.name}: {broken.reason}"
        self._keep(Record(wanted, good, "failed", reason))
        if good is None or good.template != wanted.template:
            self._take_away(new)

    def _take_away(self, instances: list[Instance]) -> None:
        for one in instances:
            if one.leaves_since is None:
                was_asked = one.is_ready
                one.leaves_since = time.monotonic()
                if not was_asked:
                    one.end()

    def _keep(self, record: Record) -> None:
        self.record = record
        self.keep(record)
