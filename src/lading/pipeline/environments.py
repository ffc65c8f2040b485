"""The environment of another package goes in as a base; the lock of a model laid upon it comes out.

That package's lock is taken as it is, so the layers are its own, byte for byte: nothing is resolved. What the
model needs has to be in it.
"""

from __future__ import annotations

from dataclasses import replace

from lading.core.bases import BaseName
from lading.core.errors import IntegrityError, Issue, LockError, RegistryError
from lading.core.image import Layer
from lading.core.lock import Lock
from lading.core.model import Requirement
from lading.core.platform import Platform
from lading.core.ports import Event
from lading.core.spec import PackageSpec
from lading.layers import Cargo, recipes, slimming
from lading.layers.cache import key
from lading.lock import Question, satisfied, sources
from lading.pipeline import recover, shelf
from lading.pipeline.context import Context

_TAKEN = {"base", "interpreter", "environment", "server"}


def adopt(context: Context, question: Question, name: BaseName, python: str | None) -> Lock:
    """Lock what an environment holds; LockError names each requirement that it does not meet.

    `python` is the version that the author, or the model itself, asks for.
    """
    context.events(Event("lock", "step", f"taking the environment of {name.name}"))
    requirements = _requirements(context, question)
    issues: list[Issue] = []
    platforms = []
    for platform in question.platforms:
        package = shelf.original(context, shelf.find(context, name.name, platform))
        recover.bring_base(context, package)
        platforms.append(recover.read_lock(context, package))
        issues += _problems(question, requirements, package, platform, python, where=str(name))
    if issues:
        raise LockError(*dict.fromkeys(issues))
    return Lock(question.digest, question.server.name, requirements, tuple(platforms))


def slimmed(context: Context, what: PackageSpec) -> PackageSpec:
    """Let what is laid upon a slim environment be slim: its layers are that environment's own."""
    if what.slim or what.base is None or what.base.form != "environment":
        return what
    try:
        package = shelf.original(context, shelf.find(context, what.base.name))
    except (LockError, IntegrityError, RegistryError):
        return what
    return replace(what, slim=package.bill.environment.slim is not None)


def share(context: Context, name: BaseName, cargo: Cargo) -> None:
    """Let the layers of an environment in the store stand for those that would be made of its lock."""
    try:
        package = shelf.original(context, shelf.find(context, name.name, cargo.lock.platform))
        slim = package.bill.environment.slim
        is_same = (slim is not None) == cargo.slim and recover.read_lock(context, package) == cargo.lock
    except (LockError, IntegrityError, RegistryError):
        return
    if not is_same:
        return
    if slim is not None:
        slimming.known(cargo, slim, context.layers)
    known: dict[tuple[str, str], list[Layer]] = {}
    for layer in package.image.layers:
        known.setdefault((layer.kind, layer.title), []).append(layer)
    for recipe in recipes.recipes(cargo, context.digests):
        found = known.get((recipe.kind, recipe.title), [])
        name_of = key(recipe.made_from, "gzip")
        if recipe.kind in _TAKEN and len(found) == 1 and context.layers.get(name_of) is None:
            context.layers.put(name_of, found[0])


def _requirements(context: Context, question: Question) -> tuple[Requirement, ...]:
    path = question.requirements_file
    read = sources.load(path, context.environ) if path else None
    if read and read.pylock:
        fix = "name the requirements themselves, or another base"
        raise LockError(Issue(read.pylock.name, "pins an environment, and the base is one already", fix))
    listed = (
        Requirement(text, question.requirements_file_origin) for text in (read.requirements if read else ())
    )
    left_out = {sources.normalise(one) for one in question.without}
    joined = dict.fromkeys((*question.requirements, *listed))
    return tuple(one for one in joined if sources.name_of(one.text) not in left_out)


def _problems(
    question: Question,
    requirements: tuple[Requirement, ...],
    package: shelf.Package,
    platform: Platform,
    python: str | None,
    *,
    where: str,
) -> list[Issue]:
    bill = package.bill
    environment = bill.environment
    issues = []
    if bill.server.name != question.server.name:
        what = f"got {question.server.name!r}, and {where} has {bill.server.name!r}"
        issues.append(Issue("server", what, "take another environment"))
    if python and python.split(".")[:2] != environment.python.split(".")[:2]:
        what = f"got Python {python}, and {where} has {environment.python}"
        issues.append(Issue("python", what, "take another environment, or leave out 'python'"))
    if missing := set(question.system_packages) - {one.name for one in environment.system_packages}:
        issues += [Issue(f"system package {one!r}", f"{where} has it not") for one in sorted(missing)]
    versions = {one.name: one.version for one in environment.conda_packages}
    versions |= {one.name: one.version for one in environment.packages}
    issues += satisfied.problems(requirements, versions, environment.python, platform, where)
    serving = [Requirement(text, "spec") for text in question.server.requirements]
    served = {one.name: one.version for one in bill.server.packages} or versions
    serves_with = bill.server.python or environment.python
    return issues + satisfied.problems(serving, served, serves_with, platform, f"the server of {where}")
