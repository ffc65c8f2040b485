"""A deployment in; one instance of it out that is probed, started anew when it ends, and ended when told."""

from __future__ import annotations

import contextlib
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, cast

from lading.core.endpoint import Deployment, InstanceState
from lading.core.errors import LadingError
from lading.core.ports import Running
from lading.core.words import raised
from lading.deploy.logfile import LogFile
from lading.deploy.probe import is_well
from lading.deploy.target import Started, Target

_LOOK_S = 0.1
_FIRST_S, _SLOWEST_S = 0.02, 1.0
_STOP_S = 30.0
_DELAY_S, _MOST_DELAY_S = 0.5, 30.0
_FORGOTTEN_S = 60.0
_LAST_LINES = 12


class Instance:
    """One instance, in a thread of its own."""

    def __init__(
        self,
        name: str,
        deployment: Deployment,
        target: Target,
        *,
        folder: Path,
        log: LogFile,
        changed: Callable[[], None],
    ) -> None:
        """Begin; `changed` is called, in its thread, whenever its state is another."""
        self.name = name
        self.deployment = deployment
        """What it is probed by; what it was made from has the same template."""
        self.template = deployment.template
        self.started: Started | None = None
        self.is_ready = False
        self.has_been_ready = False
        self.leaves_since: float | None = None
        """When it was taken away from the router; None while it belongs to the deployment."""
        self.restarts = 0
        self.reason = ""
        self._target = target
        self._folder = folder
        self._log = log
        self._changed = changed
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()

    @property
    def has_failed(self) -> bool:
        """Tell whether it ended, or could not be started, before it was ever ready."""
        return bool(self.restarts) and not self.has_been_ready

    @property
    def is_over(self) -> bool:
        """Tell whether nothing is left of it."""
        return not self._thread.is_alive()

    def state(self) -> InstanceState:
        """Return what there is to know."""
        if self.leaves_since is not None:
            word = "leaving"
        elif self.is_ready:
            word = "ready"
        elif self.has_been_ready and self.started:
            word = "not ready"
        else:
            word = "restarting" if self.restarts else "starting"
        return InstanceState(self.name, word, self.template, self.restarts, self.reason)  # type: ignore[arg-type]

    def end(self) -> None:
        """Have it end; it is over a while later."""
        self._ending.set()

    def join(self, timeout_s: float) -> None:
        """Wait until it is over."""
        self._thread.join(timeout_s)

    def _live(self) -> None:
        deaths: list[float] = []
        while not self._ending.is_set():
            self.reason = self._once()
            self.started = None
            shutil.rmtree(self._folder, ignore_errors=True)
            if self._ending.is_set():
                break
            now = time.monotonic()
            deaths = [one for one in deaths if now - one < _FORGOTTEN_S] + [now]
            self.restarts += 1
            self._turn(is_ready=False)
            self._log.write(f"lading: {self.reason.splitlines()[0]}\n".encode())
            self._ending.wait(min(_DELAY_S * 2.0 ** (len(deaths) - 1), _MOST_DELAY_S))
        self._turn(is_ready=False)

    def _once(self) -> str:
        """Start it and watch over it until it ends; return why it did."""
        shutil.rmtree(self._folder, ignore_errors=True)
        try:
            self._folder.mkdir(parents=True)
            self._folder.chmod(0o711)  # those inside may be another user
            started = self._target.start(self.deployment, self._folder, cast("IO[bytes]", self._log))
        except LadingError as error:
            return "it could not be started: " + "; ".join(f"{one.where}: {one.what}" for one in error.issues)
        except OSError as error:
            return f"it could not be started: {error}"
        self.started = started
        try:
            return self._watch(started)
        finally:
            self._turn(is_ready=False)
            with contextlib.suppress(OSError):
                started.running.stop(_STOP_S)

    def _watch(self, started: Started) -> str:
        begun = time.monotonic()
        look_at, live_at, pause_s = begun, begun + self.deployment.liveness_probe.initial_delay, _FIRST_S
        successes = failures = live_failures = 0
        is_first = True
        while not self._ending.wait(min(_LOOK_S, pause_s)):
            ready, live = self.deployment.readiness_probe, self.deployment.liveness_probe
            status = started.running.poll()
            if status is not None:
                return f"it ended with status {status}{_last(started.running, is_first=is_first)}"
            now = time.monotonic()
            if now >= look_at:
                if is_well(started.address, started.readiness, ready.timeout):
                    successes, failures = successes + 1, 0
                    is_first = is_first and successes < ready.success_threshold
                    if successes >= ready.success_threshold:
                        self.has_been_ready, self.reason = True, ""
                        self._turn(is_ready=True)
                else:
                    successes, failures = 0, failures + 1
                    if self.is_ready and failures >= ready.failure_threshold:
                        self.reason = f"{started.readiness} has not answered well {failures} times in a row"
                        self._turn(is_ready=False)
                # until it is ready it is asked often: nobody waits for a period without need
                pause_s = min(pause_s * 1.3, _SLOWEST_S) if is_first else float(ready.period)
                look_at = time.monotonic() + pause_s
            limit_s = ready.initial_delay + ready.period * ready.failure_threshold
            if is_first and now - begun > limit_s:
                return f"it was not ready within {limit_s} s{_last(started.running, is_first=True)}"
            # as with a startup probe: what loads for long is not ended for that
            if now >= live_at and not is_first:
                is_live = is_well(started.address, started.liveness, live.timeout)
                live_failures = 0 if is_live else live_failures + 1
                if live_failures >= live.failure_threshold:
                    what = f"{started.liveness} has not answered well {live_failures} times in a row"
                    return f"{what}{_last(started.running, is_first=False)}"
                live_at = time.monotonic() + live.period
        return "it was told to end"

    def _turn(self, *, is_ready: bool) -> None:
        if is_ready != self.is_ready or not is_ready:
            self.is_ready = is_ready
            self._changed()


def _last(running: Running, *, is_first: bool) -> str:
    """Quote the error of a first start, or else what it wrote last: later ones may be of any request."""
    output = running.output()
    if is_first and (error := raised(output)):
        return f": {error}"
    lines = [line for line in output.splitlines() if line.strip()][-_LAST_LINES:]
    return "".join(f"\n    {line}" for line in lines) if lines else "; it wrote nothing"
