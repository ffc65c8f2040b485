"""A failure that may pass → another try, after a while."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from lading.core.digest import CHUNK_BYTES
from lading.core.errors import Issue, RegistryError
from lading.core.ports import Event, Events
from lading.http.client import Transient, public

_T = TypeVar("_T")
_LOOK_UP_S = 0.2


@dataclass(frozen=True, slots=True)
class Patience:
    """How often, and how far apart, something is tried. Waits double, and are spread by a fifth."""

    stage: str
    """Who warns when something is tried again."""
    events: Events
    attempts: int = 5
    backoff_s: float = 0.3
    longest_wait_s: float = 60.0

    def persist(self, url: str, attempt: Callable[[], _T], reached: Callable[[], int] = lambda: 0) -> _T:
        """Repeat an attempt while what fails may pass; one that brought bytes does not count.

        A server that says when to come again is heeded, unless that is too long. RegistryError after the last
        try. `reached` is asked while waiting, too: what it raises ends that.
        """
        failures = 0
        while True:
            before = reached()
            try:
                return attempt()
            except Transient as error:
                failures = 1 if reached() - before >= CHUNK_BYTES else failures + 1
                wait_s = error.wait_s
                is_long = wait_s is not None and wait_s > self.longest_wait_s
                if failures >= self.attempts or is_long:
                    tries = f", {failures} tries" if failures > 1 else ""
                    fix = f"try again in {wait_s:.0f} s" if is_long else error.fix
                    raise RegistryError(Issue(public(url), f"{error}{tries}", fix)) from error
                if wait_s is None:
                    # spread out those that failed at the same moment
                    wait_s = self.backoff_s * 2 ** (failures - 1) * random.uniform(0.8, 1.2)  # noqa: S311 no secret
                self.events(Event(self.stage, "warning", f"{public(url)}: {error}; trying again"))
                until_s = time.monotonic() + wait_s
                while (left_s := until_s - time.monotonic()) > 0:
                    time.sleep(min(left_s, _LOOK_UP_S))
                    reached()
