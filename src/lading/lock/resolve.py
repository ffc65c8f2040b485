"""A question → a lock. The one place where this room's parts meet."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lading.core.digest import Digest
from lading.core.errors import Issue, LockError
from lading.core.lock import Lock, LockedWheel
from lading.core.model import Requirement
from lading.core.ports import Event, Events, Fetch, ignore
from lading.core.server import NATIVE
from lading.core.spec import Indexes
from lading.lock import (
    advice,
    checkouts,
    conflicts,
    credentials,
    interpreter,
    prose,
    provided,
    server_version,
    sources,
    unsaid,
    wheels,
)
from lading.lock.accelerators import Torch
from lading.lock.asked import Asked, demand_for, unlike, unpinned
from lading.lock.build import Build, CannotRun, own_alone
from lading.lock.builder import Builder, Made
from lading.lock.checkouts import CheckOut
from lading.lock.conda_solve import SolveConda
from lading.lock.dropping import pins
from lading.lock.indexes import Ask
from lading.lock.interpreter import BringPython, Chosen
from lading.lock.places import Holds, Pin, Place, ResolveBase
from lading.lock.python import Answer, Demand, Target, Uv
from lading.lock.question import Question
from lading.lock.requirements import Entry
from lading.lock.sources import Sources
from lading.lock.wheels import Found, Tally

if TYPE_CHECKING:
    from concurrent.futures import Future

_TOLD = {"pickle", "file", "installed"}
"""Origins of requirements that no author has written."""
_MOST_BUILDS = 50


def resolve(
    question: Question,
    *,
    fetch: Fetch,
    resolve_base: ResolveBase,
    bring_python: BringPython,
    offline: bool = False,
    events: Events = ignore,
    build: Build | None = None,
    cannot_run: CannotRun = own_alone,
    solve_conda: SolveConda | None = None,
    pytorch_index: str | None = None,
    environ: Mapping[str, str] | None = None,
    ask: Ask = lambda _: None,
    check_out: CheckOut | None = None,
    keeping: Lock | None = None,
) -> Lock:
    """Pin every byte of the environments that a question asks for.

    `build` makes wheels of source distributions, for the platforms that can be run here. `pytorch_index` is a
    mirror of PyTorch's indexes; `ask` tells user and password for an index; `check_out` pins a commit that
    `fetch` then brings; `offline` uv answers from its cache. The model keeps its versions of `keeping`.
    LockError: nothing satisfies this, or there is no wheel; RegistryError: an index cannot be asked.
    """
    from concurrent.futures import ThreadPoolExecutor

    environ = os.environ if environ is None else environ
    read = sources.load(question.requirements_file, environ, solves=question.conda == "solve")
    _tell(question, read, events)
    allows = sources.allowing(read)
    chosen = _choose(question, read, allows)
    requirements = _requirements(question, read, events)
    uv = Uv.configured(
        _places(question.indexes, read.indexes),
        environ,
        no_index=read.no_index,
        offline=offline,
        torch=Torch(question.accelerator, pytorch_index) if question.accelerator else None,
        ask=ask,
    )
    resolver = _Resolver(uv, read, fetch, events, Tally(events), build, cannot_run, check_out, keeping)
    environments = _environments(question, requirements, read)

    pin = Pin(question, read, chosen, allows, resolve_base, bring_python, solve_conda, events)
    with ThreadPoolExecutor(max_workers=8) as pool:
        places = [Place(one, chosen, pool.submit(pin, one)) for one in question.platforms]
        found = [[pool.submit(resolver.find, one, place) for one in environments] for place in places]
    _raise_all([*(place.pinned for place in places), *(one for row in found for one in row)])
    lock = Lock(
        question.digest,
        question.server.name,
        requirements,
        tuple(place.locked(row[0].result(), _rest(row)) for place, row in zip(places, found, strict=True)),
        question.accelerator,
    )
    _refuse_secrets(lock, uv.secrets)
    for warning in advice.of(lock):
        events(Event("lock", "warning", warning))
    return lock


@dataclass(frozen=True, slots=True)
class _Environment:
    """What is resolved together."""

    holds: Holds
    asked: tuple[Asked, ...]
    excluded: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Resolver:
    uv: Uv
    read: Sources
    fetch: Fetch
    events: Events
    tally: Tally
    build: Build | None
    cannot_run: CannotRun
    check_out: CheckOut | None
    keeping: Lock | None
    made: dict[Digest, Made] = field(default_factory=dict)
    """What was built on the way, by the wheel's digest."""
    told: set[str] = field(default_factory=set)
    """What its author was warned of already: platforms mostly agree."""

    def find(self, environment: _Environment, place: Place) -> tuple[LockedWheel, ...]:
        """Find and measure the wheels of one environment in one place.

        To pin a base takes as long as uv's answer: the Python that its suite is known for is assumed, and
        uv asked again should the base bring another.
        """
        assumed = place.assumed(environment.holds)
        target = assumed or place.target(environment.holds)
        try:
            found = self._find(environment, place, target)
        except LockError:
            if place.target(environment.holds) == target:
                raise
            found = self._find(environment, place, place.target(environment.holds))
        else:
            if place.target(environment.holds) != target:
                found = self._find(environment, place, place.target(environment.holds))
        return tuple(map(self._from_source, wheels.measure(found, self.fetch, self.tally)))

    def _find(self, environment: _Environment, place: Place, target: Target) -> list[Found]:
        asked = environment.asked
        if self.read.pylock and environment.holds == "model":
            found = self._as_locked(asked, target)
            return [one for one in found if sources.normalise(one.name) not in environment.excluded]
        if self.read.pylock and environment.holds == "both":
            pinned = wheels.select_file(self.read.pylock, target)
            pins = (Asked("model", f"{one.name}=={one.version}", self.read.pylock.name) for one in pinned)
            asked = (*asked, *pins)
        if not asked:
            return []
        there = place.provided(environment.holds) if self.read.conda_file else {}
        # what a file or this machine tells of gives way to what conda brings
        asked = tuple(
            one for one in asked if one.origin not in _TOLD or sources.library(one.text) not in there
        )
        with tempfile.TemporaryDirectory(prefix="lading-lock-") as folder:
            answer = self._compiled(replace(environment, asked=asked), place, target, there, Path(folder))
        found = wheels.select(answer.text, target, f"uv's answer for {target}", answer.folder)
        if environment.holds != "server":
            wheels.check_hashes(found, self.read.hashes, target)
        return found

    def _compiled(
        self,
        environment: _Environment,
        place: Place,
        target: Target,
        there: Mapping[str, str],
        folder: Path,
    ) -> Answer:
        """Ask uv, building what has no wheel, until it has an answer; what is `there` is left out of it."""
        asked, links = self._checked_out(environment.asked, place, target)
        constraints = (*self.read.constraints, *provided.constraints(there, folder))
        if self.keeping and environment.holds == "model":
            constraints += tuple(pins(self.keeping.on(place.platform)))
        limits = Demand({}, constraints, self.read.prereleases, links, tuple(there), environment.excluded)
        pinned = asked
        for _ in range(_MOST_BUILDS):
            answer = self.uv.compile(demand_for(asked, limits), target)
            if answer.solved:
                if asked != pinned:
                    self._warn(unlike(pinned, asked))
                asked, answer, missing = unsaid.added(asked, limits, target, self.uv, answer)
                for text in missing:
                    self._warn(text)
                if back := server_version.Look(asked, limits, target, self.uv).back(answer):
                    self._warn(back)
                return answer
            built = [one for one in self._built(answer.text, place, target) if one not in limits.find_links]
            if not built and self.read.requirements and asked == pinned != unpinned(asked):
                asked = unpinned(asked)
                continue
            if not built:
                break
            limits = replace(limits, find_links=(*limits.find_links, *built))
        problem = self.cannot_run(place.platform) if self.build else None
        raise conflicts.explain(asked, limits, target, self.uv, answer, no_builds=problem)

    def _warn(self, text: str) -> None:
        if text not in self.told:
            self.told.add(text)
            self.events(Event("lock", "warning", text))

    def _from_source(self, wheel: LockedWheel) -> LockedWheel:
        """Tell of a wheel that was built what it was built from, and not where it lies on this machine."""
        made = self.made.get(wheel.digest)
        return replace(wheel, url=made.url, source=made.source) if made else wheel

    def _built(self, explanation: str, place: Place, target: Target) -> list[str]:
        if self.build is None or self.cannot_run(place.platform):
            return []
        told = prose.parse(explanation)
        wanted = [name + _versions_of(name, told) for name in told.wheelless]
        if wanted:
            self.events(Event("lock", "step", f"building {', '.join(wanted)} from source"))
        made = self._builder(self.build, place, target).missing(wanted)
        self.made.update((one.digest, one) for one in made)
        return [str(one.path.parent) for one in made]

    def _builder(self, build: Build, place: Place, target: Target) -> Builder:
        base, interpreter, second, _ = place.pinned.result()
        # the target may have been a guess; a build is for the Python that is really there
        python = second if second and second.minor == target.minor else interpreter
        settled = Target(place.platform, python.version, base.libc)
        return Builder(settled, base, python, self.uv, self.fetch, build)

    def _checked_out(
        self, asked: tuple[Asked, ...], place: Place, target: Target
    ) -> tuple[tuple[Asked, ...], tuple[str, ...]]:
        """Build what is asked for from a git repository, so that uv meets wheels alone."""
        links: dict[str, None] = {}
        found = []
        for one in asked:
            if (wanted := checkouts.wanted(one.text)) is None:
                found.append(one)
                continue
            if self.build is None or self.check_out is None or self.cannot_run(place.platform):
                what = f"{wanted.name!r} is built from a git repository, which cannot be done here"
                raise LockError(Issue(one.who, what, f"give a wheel of it for {place.platform}"))
            self.events(Event("lock", "step", f"building {wanted.name} from {wanted.url}"))
            made = self._builder(self.build, place, target).check_out(wanted, self.check_out)
            self.made[made.digest] = made
            links[str(made.path.parent)] = None
            found.append(replace(one, text=wanted.at(made.path.name)))
        return tuple(found), tuple(links)

    def _as_locked(self, asked: tuple[Asked, ...], target: Target) -> list[Found]:
        """Take a pylock.toml as it is; what is asked for besides has to be in it."""
        assert self.read.pylock is not None
        found = wheels.select_file(self.read.pylock, target)
        if issues := [issue for one in asked for issue in wheels.not_among(found, one.text, one.who, target)]:
            raise LockError(*issues)
        return found


def _choose(question: Question, read: Sources, allows: Callable[[str], bool]) -> Chosen:
    """Choose base and Python: the user's word first, then the file's, then what its range allows."""
    python = question.python or read.python
    if read.conda_file:
        # the base's own Python carries nothing of the model's
        return interpreter.choose(question.base, None)._replace(minor=None)
    if python is None and question.base is None:
        python = next(filter(allows, interpreter.known()), None)
    return interpreter.choose(question.base, python)


def _tell(question: Question, read: Sources, events: Events) -> None:
    for note in read.notes:
        events(Event("lock", "step", note))
    for warning in (*read.warnings, *_misfits(question, read)):
        events(Event("lock", "warning", warning))


def _misfits(question: Question, read: Sources) -> Iterator[str]:
    """Tell where the file was written for another Python or another platform than is locked."""
    python = None if read.conda_file else read.python
    if question.python and python and question.python.split(".")[:2] != python.split(".")[:2]:
        yield f"Python {question.python} is chosen, and the requirements are for Python {python}"
    if question.accelerator and read.pylock:
        yield f"{read.pylock.name} is used as it is: accelerator {question.accelerator} chooses nothing in it"
    for platform in question.platforms if read.platforms else ():
        if str(platform) not in read.platforms:
            yield f"the requirements are for {', '.join(read.platforms)}, and not for {platform}"


def _requirements(question: Question, read: Sources, events: Events) -> tuple[Requirement, ...]:
    """Join what the question and its file ask for, without what is to be left out."""
    issues = sources.check(Entry(f"requirement ({one.origin})", one.text) for one in question.requirements)
    if issues:
        raise LockError(*issues)
    origin = question.requirements_file_origin
    listed = (Requirement(text, origin, read.mapped_from.get(text)) for text in read.requirements)
    joined = dict.fromkeys((*question.requirements, *listed))
    left_out = {sources.normalise(name) for name in question.without}
    # what the author writes wins over what the model's files and this environment tell
    authors = {sources.library(one.text) for one in joined if one.origin not in _TOLD}
    kept = []
    for one in joined:
        name = sources.name_of(one.text)
        if name in left_out:
            events(Event("lock", "step", f"left out {one.text}: the server does not need it"))
        elif one.origin not in _TOLD or sources.library(one.text) not in authors:
            kept.append(one)
    return tuple(kept)


def _environments(
    question: Question, requirements: tuple[Requirement, ...], read: Sources
) -> list[_Environment]:
    """Tell what is resolved together: the native server alone has an environment of its own."""
    server = question.server
    listed = {(question.requirements_file_origin, text): where for text, where in read.places.items()}
    model = tuple(
        Asked("model", one.text, one.origin, listed.get((one.origin, one.text))) for one in requirements
    )
    chosen = question.server_version is not None
    joins = server.name != NATIVE
    excluded = tuple(sorted(map(sources.normalise, question.excluded)))
    serving = tuple(
        Asked("server", text, server.name, own=joins and number == 0, chosen=chosen)
        for number, text in enumerate(server_version.requirements(server, question.server_version))
    )
    if not joins:
        return [_Environment("model", model, excluded), _Environment("server", serving)]
    return [_Environment("both", (*model, *serving), excluded)]


def _places(spec: Indexes, file: Indexes) -> Indexes:
    return Indexes(spec.url or file.url, (*spec.extra, *file.extra), (*spec.find_links, *file.find_links))


def _versions_of(name: str, told: prose.Prose) -> str:
    """Join the versions of a package that others want, as one specifier."""
    wanted = {edge.child_versions for edge in told.edges if edge.child == name}
    return ",".join(sorted(one for one in wanted if one and " or " not in one))


def _raise_all(pending: Iterable[Future[Any]]) -> None:
    """Raise what went wrong anywhere; all of it at once where it is of the lock."""
    issues: dict[Issue, None] = {}
    for one in pending:
        error = one.exception()
        if isinstance(error, LockError):
            issues |= dict.fromkeys(error.issues)
        elif error:
            raise error
    if issues:
        raise LockError(*issues)


def _rest(row: list[Future[tuple[LockedWheel, ...]]]) -> tuple[LockedWheel, ...]:
    """Return the wheels of the second environment, the server's own, if there is one."""
    return row[1].result() if len(row) > 1 else ()


def _refuse_secrets(lock: Lock, secrets: frozenset[str]) -> None:
    """Raise LockError where a known secret is about to be written."""
    texts = {one.text: f"requirement ({one.origin})" for one in lock.requirements}
    locked = [one for part in lock.platforms for one in (*part.model, *part.server)]
    needed = [need for one in locked if one.source for need in one.source.requirements]
    of_conda = [one for part in lock.platforms for one in part.conda]
    texts |= {f"{one.url} {one.filename}": f"package {one.name!r}" for one in (*locked, *needed)}
    texts |= {one.url: f"conda package {one.name!r}" for one in of_conda}
    issues = [
        Issue(
            where,
            "a secret would be written to the lock",
            "give it by netrc, keyring or UV_INDEX_<NAME>_PASSWORD",
        )
        for text, where in texts.items()
        if credentials.occurs(text, secrets)
    ]
    if issues:
        raise LockError(*issues)
