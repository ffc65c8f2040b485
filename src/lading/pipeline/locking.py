"""A question goes in; its lock comes out: the one that is there while it is fresh, else a new one."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from lading import lock as locks
from lading.core.digest import Digest
from lading.core.errors import Issue, LockError, RegistryError, SpecError, disk_fix
from lading.core.lock import Lock, LockedConda, LockedDeb, LockedWheel, PlatformLock, Trial
from lading.core.model import ModelFacts, Requirement
from lading.core.ports import Event, Fetch, ignore
from lading.core.spec import Indexes, PackageSpec, index_problem
from lading.layers import Cargo, assemble, conda
from lading.lock import archives, debian
from lading.pipeline import bases, environments, plan, summary, system, tracked
from lading.pipeline.context import Context, keeping


@dataclass(frozen=True, slots=True)
class Locked:
    """A lock and the folder that its files are in."""

    lock: Lock
    folder: Path
    question: locks.Question
    """What it answers."""
    fresh: bool
    """Whether it was there already."""

    def to_json(self) -> dict[str, Any]:
        """Return what was locked, as JSON values."""
        return {
            "folder": str(self.folder),
            "fresh": self.fresh,
            "spec_digest": str(self.lock.spec_digest),
            "server": self.lock.server,
            "platforms": [_platform_json(one) for one in self.lock.platforms],
        }


def _platform_json(one: PlatformLock) -> dict[str, Any]:
    packages: dict[str, Sequence[LockedWheel | LockedDeb | LockedConda]] = {
        "model": one.model,
        "server": one.server,
        "system": one.base.packages,
        "conda": one.conda,
    }
    return {
        "platform": str(one.platform),
        "base": one.base.reference,
        "python": one.interpreter.version,
        "server_python": one.server_interpreter.version,
        **{
            key: [
                {"name": p.name, "version": p.version, "digest": str(p.digest), "size_bytes": p.size_bytes}
                for p in found
            ]
            for key, found in packages.items()
        },
    }


@keeping
def lock(
    context: Context,
    what: PackageSpec,
    *,
    folder: Path | None = None,
    locked: bool = False,
    upgrade: bool = False,
) -> Locked:
    """Lock what a spec asks for, beside the spec, in `folder`, or here."""
    what = tracked.bring(context, what)
    facts = plan.examine(context, what)
    what, facts = plan.complete(bases.mapped(context, what), facts)
    beside = folder or (what.path.parent if what.path else Path.cwd())
    return lock_facts(context, what, facts, folder=beside, locked=locked, upgrade=upgrade)


def lock_facts(
    context: Context,
    what: PackageSpec,
    facts: ModelFacts,
    *,
    folder: Path | None,
    locked: bool,
    upgrade: bool,
) -> Locked:
    """Use the lock in `folder` (None: in the cache) while it is fresh; resolve otherwise, unless `locked`."""
    question = plan.question(context, what, facts)
    place = folder or context.settings.cache / "locks" / question.digest.hex / _kind_of(context, facts)
    old = _read(context, place, must_be_there=locked)
    answered = _answered(context, old, question, what, facts) if old and not upgrade else None
    if old and answered:
        made = Locked(old, place, answered, fresh=True)
    elif locked:
        fix = "run `lading lock`, look at what changed, and keep it with the spec"
        raise LockError(
            Issue(str(place / "lading.lock"), "stale: the spec or the model has changed since", fix)
        )
    else:
        context.events(Event("lock", "progress", "resolving"))
        resolved = _first(context, what, facts, question)
        made = Locked(resolved, _write(context, resolved, place, question), question, fresh=False)
    context.events(Event("lock", "stage", summary.of_lock(made.lock, fresh=made.fresh)))
    tell_of_dropped(context, made.lock)
    for one in locks.drift(made.lock, facts.saved_with):
        context.events(Event("lock", "warning", one))
    return made


def tell_of_dropped(context: Context, lock: Lock) -> None:
    """Say what a lock leaves out, where it does, and what that saves."""
    if lock.platforms[0].dropped:
        context.events(Event("drop", "stage", summary.of_dropped(lock)))


def _kind_of(context: Context, facts: ModelFacts) -> str:
    """Tell models apart that ask for the same and may need other parts of it, but not by their weights."""
    code = facts.code and ([facts.code] if facts.code.is_file() else facts.code.rglob("*.py"))
    beside = [one.source for one in facts.files if one.path.endswith(".py")]
    # a PythonModel in a pickle is code, and its artifacts what was trained
    pickled = facts.loader_options.get("file") if facts.loader == "python_model" else None
    beside += [one.source for one in facts.files if one.path == pickled]
    texts = sorted({str(context.digests.of(one)) for one in (*(code or ()), *beside)})
    names = (facts.flavour, facts.loader, sorted(facts.modules), bool(facts.examples), texts)
    return Digest.of(repr(names).encode()).hex[:16]


def _tried(question: locks.Question, old: Lock, what: PackageSpec) -> locks.Question:
    """Ask for less where an older lock found out that less is needed, but for what the author keeps."""
    trial = old.trial or Trial(())
    if any(locks.is_kept(one, what.keep) for one in trial.dropped):
        return question
    return replace(bringing(question, trial.brought), excluded=(*question.excluded, *trial.dropped))


def bringing(question: locks.Question, brought: Sequence[str]) -> locks.Question:
    """Ask for what is needed of that which what is left out brings."""
    more = (Requirement(one, "mlflow") for one in brought)
    return replace(question, requirements=(*question.requirements, *more))


def _first(context: Context, what: PackageSpec, facts: ModelFacts, question: locks.Question) -> Lock:
    """Resolve what a spec asks for, and weigh what it leaves out."""
    if not (what.drop or locks.leaves_out(question, context.environ)):
        return _resolve(context, what, facts, question)
    # to know what is saved costs no time where uv, which waits for the network mostly, is asked for both
    with ThreadPoolExecutor(1) as pool:
        everything = pool.submit(_everything, context, what, facts, question)
        lock = _resolve(context, what, facts, question)
    if (whole := everything.result()) is None:
        return lock
    for one in locks.unknown("drop", what.drop, whole):
        context.events(Event("lock", "warning", one))
    return locks.weighed(lock, whole, what.drop)


def relock(
    context: Context, what: PackageSpec, facts: ModelFacts, made: Locked, dropped: Sequence[str] = ()
) -> Lock:
    """Resolve what a lock answers without what is dropped besides; all else stays as it is in the lock."""
    question = replace(made.question, excluded=(*what.drop, *dropped))
    answer = _resolve(context, what, facts, question, keeping=made.lock)
    return locks.trimmed(made.lock, answer)


def _everything(
    context: Context, what: PackageSpec, facts: ModelFacts, question: locks.Question
) -> Lock | None:
    """Resolve all that is asked for, to be weighed alone; None where that cannot be."""
    try:
        return _resolve(context, what, facts, replace(question, without=(), excluded=()), quietly=True)
    except (LockError, RegistryError):
        return None


def keep(context: Context, made: Locked, lock: Lock) -> None:
    """Write what became of a lock to where it was."""
    _write(context, lock, made.folder, made.question)


def _resolve(
    context: Context,
    what: PackageSpec,
    facts: ModelFacts,
    question: locks.Question,
    *,
    quietly: bool = False,
    keeping: Lock | None = None,
) -> Lock:
    """Resolve a question; on the environment of another package, look that it is answered there.

    `quietly` tells nobody, and builds nothing; what is in the lock that is `keeping` keeps its version.
    """
    if what.base and what.base.form == "environment":
        return environments.adopt(context, question, what.base, what.python or facts.python)
    git = _git(context, context.fetch(what.indexes))
    return locks.resolve(
        question,
        fetch=git,
        resolve_base=partial(bases.resolve, context, what.base, system_packages=what.system_packages),
        bring_python=context.python,
        offline=context.offline,
        events=ignore if quietly else context.events,
        environ=context.environ,
        build=None if quietly else partial(_build, context, what.system_packages),
        cannot_run=context.cannot_run,
        solve_conda=_conda_solver(context, what, question),
        pytorch_index=_pytorch_index(context),
        ask=context.connected.feed,
        check_out=git.pin,
        keeping=keeping,
    )


def _conda_solver(context: Context, what: PackageSpec, question: locks.Question) -> locks.CondaSolver | None:
    """Solve conda's packages where they are not mapped to wheels."""
    if question.conda != "solve" or question.requirements_file is None:
        return None
    return locks.CondaSolver(
        fetch=context.fetch(what.indexes),
        look=conda.facts,
        cache=context.settings.cache / "conda",
        environ=context.environ,
        folder=question.requirements_file.parent,
        accelerator=question.accelerator,
        offline=context.offline,
        events=context.events,
    )


def _answered(
    context: Context, lock: Lock, question: locks.Question, what: PackageSpec, facts: ModelFacts
) -> locks.Question | None:
    """Find how a lock answers a question, whatever is installed here; say which versions it prefers."""
    question = _tried(question, lock, what)
    if locks.is_fresh(lock, question):
        return question
    python_told = plan.python_told(context, what, facts)
    asked = locks.settled(question, lock, python_told=python_told, missing=bool(facts.missing))
    found = next((one for one in asked if locks.is_fresh(lock, one)), None)
    if found is None:
        return None
    here = {one.text for one in facts.requirements if one.origin == "installed"}
    if differing := sorted(here - {one.text for one in lock.requirements}):
        text = f"installed here are {', '.join(differing)}, but the lock has other versions"
        context.events(Event("lock", "warning", f"{text}: `lading lock --upgrade` takes these"))
    return found


def _read(context: Context, folder: Path, *, must_be_there: bool) -> Lock | None:
    """Read a lock; one that is missing or damaged counts as none, unless it must be there."""
    try:
        return locks.read(folder)
    except LockError as error:
        if must_be_there:
            raise
        if (folder / "lading.lock").exists():
            problem = error.issues[0]
            context.events(Event("lock", "warning", f"{problem.where}: {problem.what}; made anew"))
    return None


def _write(context: Context, lock: Lock, folder: Path, question: locks.Question) -> Path:
    """Write a lock; where the folder may not be written, into the cache, and say so."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        locks.write(lock, folder)
    except OSError as error:
        place = context.settings.cache / "locks" / question.digest.hex
        if folder == place:
            what = f"the lock cannot be written: {error.strerror}"
            raise LockError(Issue(str(folder), what, disk_fix(error))) from error
        context.events(
            Event("lock", "warning", f"{folder} cannot be written ({error.strerror}); kept in the cache")
        )
        return _write(context, lock, place, question)
    return folder


def fetch_for(context: Context, what: PackageSpec, part: PlatformLock) -> Fetch:
    """Bring what one platform of a lock pins, building again what was built from source and is gone."""
    fetch: Fetch = context.fetch(what.indexes)
    if any(one.archive for one in (part.interpreter, part.server_interpreter)):
        fetch = archives.MirroredFetch(fetch, context.environ)
    if not any(one.source for one in (*part.model, *part.server)):
        return fetch
    fetch = _git(context, fetch)
    build = partial(_build, context, what.system_packages)
    return locks.BuildingFetch(part, fetch, build, _wheelhouse(context), context.environ, context.cannot_run)


def _git(context: Context, fetch: Fetch) -> locks.Git:
    """Bring what is locked of git repositories, as whoever connections say."""
    cache = context.settings.cache / "git"
    return locks.Git(fetch, cache, context.connected.git, context.environ, context.offline)


def _pytorch_index(context: Context) -> str | None:
    """Spell a mirror of PyTorch's indexes as a URL; it has no credentials, which would reach the lock."""
    place = context.settings.pytorch_index
    if not place or "://" not in place:
        return place and Path(place).expanduser().absolute().as_uri()
    if found := index_problem(place):
        fix = "use UV_INDEX_PYTORCH_USERNAME and UV_INDEX_PYTORCH_PASSWORD, netrc or a keyring"
        raise SpecError(Issue("pytorch_index", found, fix))
    return place


def _wheelhouse(context: Context) -> Path:
    return context.settings.cache / "wheels"


def _build(context: Context, system_packages: Sequence[str], job: locks.Job) -> Path:
    """Build a source distribution in the package's own base, with a compiler where it wants one."""
    if not job.needs.compiled or job.base.image:
        try:
            return _build_in_base(context, job)
        except locks.NoCompilerError as error:
            context.events(Event("lock", "step", f"{error.issues[0].what}: building it again with one"))
            lacking = error
    wanted = (*system_packages, *debian.toolchain(job.base, job.interpreter))
    platform, minor = job.target.platform, job.interpreter.minor
    if image := bases.read(context, job.base, platform):
        try:
            suite, debs = system.add(context, image.distribution, platform, wanted, job.base.reference)
        except LockError as error:
            fix = "take a base with gcc, or one of Debian: debian:bookworm"
            raise LockError(*(replace(one, fix=fix) for one in lacking.issues), *error.issues) from error
        return _build_in_base(context, replace(job, base=replace(job.base, suite=suite, packages=debs)))
    facts = context.base(job.base.reference, platform, system_packages=wanted)
    own = next((one for one in facts.interpreters if one.minor == minor), None)
    base, python = (facts.base, own) if own else context.python((minor,), platform, facts.base)
    return _build_in_base(context, replace(job, base=base, interpreter=python))


def _build_in_base(context: Context, job: locks.Job) -> Path:
    """Build in a sandbox of a job's base, of which nothing but the wheel remains."""
    wheelhouse = _wheelhouse(context)
    if ready := locks.kept(job, wheelhouse):
        return ready
    context.events(Event("lock", "step", f"building {job.name} {job.version} from source, in a sandbox"))
    base = PlatformLock(job.target.platform, job.base, job.interpreter, (), ())
    made = assemble(
        Cargo(base, "none", base=bases.read(context, job.base, job.target.platform)),
        fetch=context.fetch(Indexes()),
        fetch_deb=system.bring(context, job.base, job.target.platform),
        store=context.store,
        cache=context.layers,
        digests=context.digests,
        events=context.events,
    )
    return locks.build_in(context.sandbox(made.layers, platform=job.target.platform), job, wheelhouse)
