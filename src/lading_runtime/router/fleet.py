"""The packages that are served now: by name and version, loaded, swapped and unloaded."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from lading_runtime import log
from lading_runtime.front.messages import Refusal
from lading_runtime.router.control import Control
from lading_runtime.router.upstream import Upstream

DRAIN_S = 60.0


class Fleet:
    """Every package that is served; of a name's versions the first answers for the name."""

    def __init__(
        self, served: Iterable[Mapping[str, str]], control: Control, drain_s: float = DRAIN_S
    ) -> None:
        """Begin with those that were asked for; the first is the one that answers where no name is given.

        `drain_s` is what an old version's last requests may take, before its server is told to end.
        """
        self.members = [Upstream(one) for one in served]
        self._first = self.members[0].name if self.members else ""
        self.unloaded: dict[tuple[str, str], str] = {}
        """(name, version) → reference of those that were served before."""
        self.prepare: Callable[[Upstream], Awaitable[None]] = _nothing
        """What has to be waited for, besides readiness, before a package takes another's place."""
        self._control = control
        self._drain_s = drain_s
        self._turn = asyncio.Lock()
        self._ending: set[asyncio.Task[None]] = set()

    def find(self, name: str, version: str | None = None) -> Upstream:
        """Return what answers for a name, or one version of it; refuse with 404."""
        called = self._called(name)
        if version is not None:
            called = [one for one in called if one.version == version] or _own_version(called, name, version)
        if called:
            return called[0]
        known = ", ".join(f"{one.name} {one.version}" for one in self.members) or "none"
        which = f"version {version!r} of model {name!r}" if version else f"model {name!r}"
        raise Refusal(404, f"got {which}, expected one of: {known}")

    def _called(self, name: str) -> list[Upstream]:
        """List those of a name or reference; else those that call themselves so, where they have one name."""
        found = [one for one in self.members if name in {one.name, one.reference}]
        own = [one for one in self.members if one.own_name == name]
        return found or (own if len({one.name for one in own}) == 1 else [])

    @property
    def default(self) -> Upstream:
        """Return what answers where no name is given: of the first name, the first version.

        Refuse with 404 where that is unloaded: another model is no stand-in.
        """
        for one in self.members:
            if one.name == self._first:
                return one
        known = ", ".join(f"/models/{one.name}/…" for one in self.members) or "none"
        what = f"model {self._first!r}, which answers where no name is given, is not loaded"
        raise Refusal(404, f"{what}; expected one of: {known}")

    async def load(self, name: str, parameters: Mapping[str, Any]) -> Upstream:
        """Serve a package; it answers for its name once it is ready, in the place of the one that did.

        Where its version is served already, it takes that one's place instead; other versions stay. What is
        on its way to the old one is answered by it. `name` is a reference, or a model's name with `version`
        or `reference` among the parameters.
        """
        known = self._called(name)
        reference = known[0].reference if known else self._before(name)
        if parameters.get("version") is not None:
            reference = f"{_repository(reference) or name}:{parameters['version']}"
        elif parameters.get("reference"):
            reference = str(parameters["reference"])
        async with self._turn:  # two that load the same name at once would end each other's
            loaded = Upstream(await self._control.load(reference))
            await self.prepare(loaded)
            named = [one for one in self.members if one.name == loaded.name]
            old = [one for one in named if one.version == loaded.version] or named[:1]
            place = self.members.index(named[0]) if named else len(self.members)
            before, behind = self.members[:place], self.members[place:]
            self.members = [*before, loaded, *(one for one in behind if one not in old)]
            self.unloaded.pop((loaded.name, loaded.version), None)
        for one in old:
            self._end(one, keep=(one.name, one.version) != (loaded.name, loaded.version))
        return loaded

    async def unload(self, name: str, parameters: Mapping[str, Any]) -> None:
        """Serve no version of a model any more, or not the one among the parameters; refuse where none is."""
        asked = parameters.get("version")
        version = None if asked is None else str(asked)
        self.find(name, version)
        async with self._turn:
            gone = self._called(name) if version is None else [self.find(name, version)]
            self.members = [one for one in self.members if one not in gone]
        for one in gone:
            self._end(one, keep=True)

    async def index(self, *, only_ready: bool) -> list[dict[str, str]]:
        """List what is served, and what was, as Triton's repository does."""
        members = list(self.members)
        ready = await asyncio.gather(*(one.is_ready() for one in members))
        listed = [
            _entry(one, "READY", "") if is_ready else _entry(one, "UNAVAILABLE", "not ready")
            for one, is_ready in zip(members, ready)  # noqa: B905 - one was asked for each
            if is_ready or not only_ready
        ]
        gone = [] if only_ready else self.unloaded
        return listed + [
            {"name": name, "version": version, "state": "UNAVAILABLE", "reason": "unloaded"}
            for name, version in gone
        ]

    async def why_not_ready(self) -> str:
        """Say, for people, which models would not answer; nothing where all would."""
        members = list(self.members)
        ready = await asyncio.gather(*(one.is_ready() for one in members))
        waited = [one.name for one, is_ready in zip(members, ready) if not is_ready]  # noqa: B905 - as above
        return "" if members and not waited else f"not ready: {waited or 'no model is loaded'}"

    def _before(self, name: str) -> str:
        """Return the reference that a name was served from before, else the name, which may be one itself."""
        return next((one for (known, _), one in reversed(self.unloaded.items()) if known == name), name)

    def _end(self, old: Upstream, *, keep: bool) -> None:
        """Let what is on its way be answered, then end a server."""
        if keep:
            self.unloaded[old.name, old.version] = old.reference

        async def end() -> None:
            await old.drain(self._drain_s)
            await old.close()
            try:
                await self._control.unload(old.socket)
            except Refusal as refusal:
                log.write("warning", f"{old.reference}: {refusal.message}")

        task = asyncio.get_running_loop().create_task(end())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


def _own_version(called: Iterable[Upstream], name: str, version: str) -> list[Upstream]:
    """Find the one that calls itself so, name and version, where its tag gives the name to nobody."""
    own = [one for one in called if one.own_name == name != one.name and one.own_version == version]
    return own if len(own) == 1 else []


def _repository(reference: str) -> str:
    """Return a reference without its tag; nothing of a digest."""
    place, slash, last = reference.rpartition("/")
    return "" if "@" in last else place + slash + last.partition(":")[0]


def _entry(one: Upstream, state: str, reason: str) -> dict[str, str]:
    return {"name": one.name, "version": one.version, "state": state, "reason": reason}


async def _nothing(_: Upstream) -> None:
    """Wait for nothing."""
