"""A lock goes in; a package comes out with as few libraries as its predictions need."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import shorten
from typing import Protocol

from lading import lock as locks
from lading import verify
from lading.core.errors import Issue, LockError, VerifyError
from lading.core.lock import Lock, LockedWheel, Trial
from lading.core.model import ModelFacts
from lading.core.ports import Event, Fetch
from lading.core.server import NATIVE
from lading.core.spec import Example, PackageSpec
from lading.lock.sources import normalise
from lading.model.code import imported_by
from lading.pipeline import locking, plan
from lading.pipeline.context import Context
from lading.pipeline.running import ROUNDING, answers
from lading.pipeline.sealing import Built, Packed

_MOST_TRIALS = 4
_MOST_BROUGHT = 8
# MLflow, and what it imports at its start, as of 3.17
_OF_MLFLOW = ("mlflow", "mlflow-skinny", "mlflow-tracing", "databricks-sdk", "fastapi", "sqlparse", "uvicorn")


class Make(Protocol):
    """Makes a package of a lock, in two steps."""

    def build(self, lock: Lock, *, compiles: bool = True) -> list[Built]:
        """Make each platform's image."""
        ...

    def finish(self, built: Sequence[Built]) -> Packed:
        """Seal, verify and name it; raise VerifyError where it does not do what it did."""
        ...


@dataclass(frozen=True, slots=True)
class Dropping:
    """What a package is made from, to try what it can do without."""

    context: Context
    what: PackageSpec
    facts: ModelFacts
    examples: Sequence[Example]
    sandbox: str | None

    def pack(self, made: locking.Locked, make: Make, *, locked: bool) -> Packed:
        """Pack with what a lock says, less what recorded predictions turn out not to need.

        That is kept in the lock, and what they need is not tried again. A model that has changed since may
        need what the one before did not: then it is put back, unless the lock is to stay as it is.
        So is what the model imports of that which MLflow, which is left out untried, would have brought.
        """
        for _ in range(_MOST_BROUGHT):
            try:
                return self._pack(made, make, locked=locked)
            except VerifyError as error:
                missing = () if locked else self._brought(error, made.lock)
                if not missing:
                    raise self._by_mlflow(error) from error
                self._tell(missing, error)
                made = self._bring(made, missing)
        return self._pack(made, make, locked=locked)

    def _pack(self, made: locking.Locked, make: Make, *, locked: bool) -> Packed:
        lock, trial = made.lock, made.lock.trial or Trial(())
        names = set() if locked else self._candidates(lock)
        needed = set(trial.needed)
        if not names:
            try:
                return make.finish(make.build(lock))
            except VerifyError as error:
                if locked or not trial.dropped:
                    raise self._by_hand(error) from error
                needed |= self._needed(error, trial.dropped, lock)
        names |= {*trial.dropped} - needed
        full = self._relock(made) if trial.dropped else lock
        for _ in range(_MOST_TRIALS):
            if not names:
                break
            try:
                lean = self._relock(made, names)
                packed = self._without(lean, full, make)
            except (LockError, VerifyError) as error:
                if isinstance(error, VerifyError) and self._brought(error, lock):
                    raise
                missing = self._needed(error, names, lock)
                needed |= missing
                names -= missing
                continue
            self._keep(made, lean, names, needed)
            locking.tell_of_dropped(self.context, lean)
            self._warn(names)
            return packed
        try:
            packed = make.finish(make.build(full))
        except VerifyError as error:
            raise self._by_hand(error) from error
        self._keep(made, full, (), needed | names)
        return packed

    def _warn(self, names: Collection[str]) -> None:
        """Say what the model's code imports somewhere and is left out: no recorded prediction came there."""
        for module, file in imported_by(self.facts).items():
            if found := locks.providing([module], names):
                text = (
                    f"{file} imports {module}, and no recorded prediction did: --keep {found[0]} if others do"
                )
                self.context.events(Event("drop", "warning", text))

    def _relock(self, made: locking.Locked, dropped: Collection[str] = ()) -> Lock:
        return locking.relock(self.context, self.what, self.facts, made, tuple(dropped))

    def _candidates(self, lock: Lock) -> set[str]:
        """Name what may be tried: nothing where no prediction is recorded, or nothing can be run here."""
        what = self.what
        if what.server != NATIVE or what.conda == "solve" or (what.base and what.base.form == "environment"):
            return set()
        if all(self.context.cannot_run(one.platform, self.sandbox) for one in lock.platforms):
            return set()
        for one in locks.unknown("keep", what.keep, lock):
            self.context.events(Event("drop", "warning", one))
        brought = _OF_MLFLOW if self.facts.loader == "pyfunc" else ()
        names = locks.candidates(lock, (*what.keep, *brought))
        if names and what.keep:
            kept = self._with_what_they_require(lock, locks.kept_among(lock, what.keep))
            names = tuple(one for one in names if one not in kept)
        if names and not self.examples:
            text = f"{', '.join(names)} may not be needed, which no recorded prediction tells: see --drop"
            self.context.events(Event("drop", "stage", text))
            return set()
        return set(names)

    def _with_what_they_require(self, lock: Lock, names: Collection[str]) -> set[str]:
        """Name libraries, with all that these need to be of use."""
        found: set[str] = set()
        for part in lock.platforms:
            fetch = locking.fetch_for(self.context, self.what, part)

            def bring(one: LockedWheel, fetch: Fetch = fetch) -> Path:
                return fetch.file(one.url, one.digest, one.size_bytes)

            found |= locks.closure(names, lock, part, bring)
        return found

    def _without(self, lean: Lock, full: Lock, make: Make) -> Packed:
        """Pack a lean lock; where outputs are not recorded, the full one's are what is expected."""
        built = make.build(lean)
        if any(one.outputs is None for one in self.examples):
            got, expected = (self._answers(one) for one in (built, make.build(full, compiles=False)))
            wrong = [one for one in verify.same(got, expected, ROUNDING) if not one.passed]
            if wrong:
                raise VerifyError(*(Issue(one.name, one.detail) for one in wrong))
        return make.finish(built)

    def _answers(self, built: Sequence[Built]) -> list[object]:
        one = next(one for one in built if not self.context.cannot_run(one.image.platform, self.sandbox))
        one = one.original or one
        return answers(self.context, one.image, one.bill, self.examples, self.sandbox)

    def _dropped_by_hand(self) -> dict[str, str]:
        """Map the names of what the author drops to his spelling."""
        return {normalise(one): one for one in self.what.drop}

    def _by_hand(self, error: VerifyError) -> VerifyError:
        """Say in an error's fix what the author himself has dropped, where that is what it misses."""
        spelt = self._dropped_by_hand()
        missing = [spelt[one] for one in locks.named_in(_text(error), spelt)]
        if not missing:
            return error
        first, *rest = error.issues
        fix = f"take {', '.join(missing)} from 'drop' and --drop: the model needs it"
        return VerifyError(replace(first, fix=fix), *rest)

    def _by_mlflow(self, error: VerifyError) -> VerifyError:
        """Say in the fix of a model that does not run that MLflow itself may serve it, where it does not."""
        first, *rest = error.issues
        if first.fix or not (first.where == "ready" or "No module named" in first.what):
            return error
        if self.facts.format != "mlflow" or not plan.without(self.what, self.facts):
            return error
        fix = "if it loads in MLflow, have that serve it: --loader mlflow"
        return VerifyError(replace(first, fix=fix), *rest)

    def _needed(self, error: LockError | VerifyError, dropped: Collection[str], lock: Lock) -> set[str]:
        """Return what an error says is missing, or what brings that, else all that was dropped; tell it."""
        text = _text(error)
        missing = {*locks.named_in(text, dropped)}
        locked = {one.name for part in lock.platforms for one in part.model}
        if not missing and (absent := {*locks.named_in(text, locked)}):
            missing = {one for one in dropped if absent & self._with_what_they_require(lock, {one})}
        missing = missing or set(dropped)
        self._tell(missing, error)
        return missing

    def _tell(self, missing: Collection[str], error: LockError | VerifyError) -> None:
        why = error.issues[0]
        says = f"{', '.join(sorted(missing))} put back: {why.where}: {why.what}".splitlines()[0]
        self.context.events(Event("drop", "stage", shorten(says, 300, placeholder=" …")))

    def _brought(self, error: VerifyError, lock: Lock) -> tuple[str, ...]:
        """Name what an error misses of that which is left out with MLflow, and not by trial or hand."""
        if locks.named_in(_text(error), self._dropped_by_hand()):
            return ()
        chosen = {*(lock.trial.dropped if lock.trial else ()), *self._dropped_by_hand()}
        gone = {one.name for part in lock.platforms for one in part.dropped} - chosen
        return locks.named_in(_text(error), gone - {*plan.without(self.what, self.facts)})

    def _bring(self, made: locking.Locked, names: Collection[str]) -> locking.Locked:
        """Ask for what MLflow would have brought, in the version that it would have been."""
        versions = {one.name: one.version for part in made.lock.platforms for one in part.dropped}
        more = tuple(f"{one}=={versions[one]}" for one in names)
        trial = made.lock.trial or Trial(())
        asked = replace(made, question=locking.bringing(made.question, more))
        lock = self._relock(asked, trial.dropped)
        lock = replace(lock, trial=replace(trial, brought=(*trial.brought, *more)))
        locking.keep(self.context, asked, lock)
        return replace(asked, lock=lock)

    def _keep(
        self, made: locking.Locked, lock: Lock, dropped: Collection[str], needed: Collection[str]
    ) -> None:
        """Write the lock with what was found out, so that nothing is tried twice."""
        brought = made.lock.trial.brought if made.lock.trial else ()
        trial = Trial(tuple(sorted(dropped)), tuple(sorted(needed)), brought)
        locking.keep(self.context, made, replace(lock, trial=trial))


def _text(error: LockError | VerifyError) -> str:
    return "\n".join(one.what for one in error.issues)
