"""A demand that cannot be met → what clashes, by which chains, and the smallest change that helps."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from lading.core.errors import Issue, LockError
from lading.core.platform import Platform
from lading.lock import interpreter, prose
from lading.lock.accelerators import FAMILY, Torch
from lading.lock.asked import Asked, demand_for
from lading.lock.prose import Edge, Prose
from lading.lock.python import Answer, Demand, Target, Uv, last_lines
from lading.lock.sources import name_of
from lading.lock.ways import Ways, version_in

_MOST_ISSUES = 10


def explain(
    asked: Sequence[Asked],
    limits: Demand,
    target: Target,
    uv: Uv,
    answer: Answer,
    *,
    no_builds: Issue | None = None,
) -> LockError:
    """Say why a demand cannot be met: `answer` is uv's, of the whole.

    What cannot be had by itself is left out and the rest asked for again, so that all such are told at once.
    `no_builds` says why sources cannot be built for the target here.
    """
    issues: list[Issue] = []
    uvs: list[Issue] = []
    rest = list(asked)
    while not answer.solved and not answer.lacks_network and len(issues) < _MOST_ISSUES:
        core, text = _core(rest, limits, target, uv, answer)
        told = prose.parse(text)
        missing = _missing(core, told, target, uv.torch)
        wheelless = [*_wheelless(core, told, _Place(limits, target, uv, no_builds))]
        found = [*missing, *wheelless, *_clash(core, told, target)]
        issues += found or _unexplained(core, target)
        uvs.append(Issue("uv", last_lines(text)))
        ways = Ways(rest, limits, target, uv)
        if not any(issue.fix for issue in issues):
            issues[-1] = replace(issues[-1], fix=ways.change(core))
        elif any(one.own for one in core) and (tried := ways.tried(core)):
            issues[-1] = replace(issues[-1], fix=", or ".join(tried))
        rest = [one for one in rest if one not in core]
        if len(core) > 1 or not (missing or wheelless) or not rest:
            break
        answer = uv.compile(demand_for(rest, limits), target)
    return LockError(*issues, *uvs[:1]) if issues else _not_cached(target, answer.text)


def reason(
    asked: Sequence[Asked], limits: Demand, target: Target, uv: Uv, answer: Answer
) -> tuple[list[Asked], str]:
    """Say in one clause what keeps the server itself from being had, and by which minimal set."""
    core, text = _core(asked, limits, target, uv, answer)
    told = prose.parse(text)
    own = {name_of(one.text) for one in core if one.own}
    for name, _, python in told.pythons:
        if name in own:
            return core, f"it needs Python {python.rstrip(',')}"
    chains = [issue.what for issue in _clash(core, told, target)[1:] if issue.where.startswith("model")]
    others = [one.text for one in core if not one.own]
    if chains:
        told_of = [
            one.replace(" → ", " needs ", 1) if "→" in one else f"{one} is asked for" for one in chains
        ]
        return core, " and ".join(dict.fromkeys(told_of))
    return core, f"of {' and '.join(others)}" if others else "of the constraints"


def _unexplained(core: Sequence[Asked], target: Target) -> list[Issue]:
    names = " and ".join(repr(one.text) for one in core)
    return [Issue("requirements", f"{names} cannot be satisfied on {target}")]


def _core(
    asked: Sequence[Asked], limits: Demand, target: Target, uv: Uv, answer: Answer
) -> tuple[list[Asked], str]:
    """Find the minimal set by deletion: a requirement without which the rest still fails has no part in it.

    uv is asked from its cache first, where nearly everything lies after the first failure.
    """

    def fails(some: Sequence[Asked]) -> str | None:
        demand = demand_for(some, limits)
        answer = uv.without_network().compile(demand, target)
        if answer.lacks_network and not uv.offline:
            answer = uv.compile(demand, target)
        return None if answer.solved else answer.text

    return _minimal(asked, answer.text, fails)


def _minimal(
    asked: Sequence[Asked], text: str, fails: Callable[[Sequence[Asked]], str | None]
) -> tuple[list[Asked], str]:
    """Return a set of requirements that fails, and no part of which does; and uv's explanation of it."""
    core = [one for one in asked if prose.mentions(text, name_of(one.text))]
    reason = fails(core) if core and len(core) < len(asked) else text
    if not core or reason is None:
        core, reason = list(asked), text
    for one in list(core):
        rest = [other for other in core if other is not one]
        without = fails(rest) if rest else None
        if without is not None:
            core, reason = rest, without
    return core, reason


def _missing(core: Sequence[Asked], told: Prose, target: Target, torch: Torch | None) -> list[Issue]:
    """List packages that no index has, or not in that version, or not for this Python or platform."""
    issues = []
    for name in told.absent:
        what = f"no index has a package {name!r}"
        fix = "look at the spelling; name a private index in 'indexes' (pip's extra-index-url is not used)"
        if torch and name in FAMILY:
            what, fix = torch.lacks(name)
        issues.append(Issue(_chain_text(core, told, name), what, fix))
    for name, versions, python in told.pythons:
        what = f"{name}{versions} needs Python {python.rstrip(',')}, the package has {target.minor}"
        fix = f"choose another version, or another Python: {interpreter.ways()}"
        issues.append(Issue(_chain_text(core, told, name), what, fix))
    for name, versions in told.versionless:
        if any(edge.child == name and edge.child_versions == versions for edge in told.edges):
            what = f"there is no {name}{versions} for {target}"
            issues.append(Issue(_chain_text(core, told, name), what))
    return issues


@dataclass(frozen=True, slots=True)
class _Place:
    """Where wheels are missing, and how to ask for others."""

    limits: Demand
    target: Target
    uv: Uv
    no_builds: Issue | None

    def has(self, requirement: str) -> str | None:
        """Return the newest version that a requirement allows and that has a wheel here."""
        demand = replace(self.limits, sides={"model": (requirement,)})
        answer = self.uv.compile(demand, self.target)
        return version_in(answer.text, name_of(requirement)) if answer.solved else None


def _wheelless(core: Sequence[Asked], told: Prose, place: _Place) -> Iterator[Issue]:
    """Name packages without a wheel for this place, the versions that have one, and the ways out."""
    for name in told.wheelless:
        tags = told.tags.get(name)
        has = f"; there are wheels for {tags}" if tags else "; there is only its source"
        what = f"{name!r} has no wheel for {place.target}{has}"
        ways = [_other_versions(name, core, told, place), "choose another Python"]
        if place.no_builds and not tags:
            ways.append(f"let its source be built: {place.no_builds.fix or place.no_builds.what}")
        if place.target.platform != Platform.current():
            ways.append(f"leave {place.target.platform} out of 'platforms'")
        if place.uv.torch and name in FAMILY:
            ways.append(f"choose another accelerator than {place.uv.torch.accelerator}")
        ways.append("name the folder of a wheel of it in 'indexes.find_links'")
        yield Issue(_chain_text(core, told, name), what, ", or ".join(ways))


def _other_versions(name: str, core: Sequence[Asked], told: Prose, place: _Place) -> str:
    """Say which other versions have a wheel, the nearest older and the newest."""
    wanted = [edge.child_versions for edge in told.edges if edge.child == name]
    wanted += [one.text.partition(name)[2] for one in core if name_of(one.text) == name]
    pinned = next((one.removeprefix("==") for one in wanted if one.startswith("==") and "*" not in one), None)
    if pinned is None:
        return "drop it: no version has one" if place.has(name) is None else "choose another version"
    found = [place.has(f"{name}<{pinned}"), place.has(f"{name}>{pinned}")]
    versions = [one for one in found if one]
    return (
        f"ask for version {' or '.join(versions)}, which has one"
        if versions
        else "drop it: no version has one"
    )


def _clash(core: Sequence[Asked], told: Prose, target: Target) -> list[Issue]:
    """Show the package over which requirements clash, and the chain by which each comes to it."""
    into: dict[str, list[Edge]] = {}
    for edge in told.edges:
        into.setdefault(edge.child, []).append(edge)
    contested = [name for name, edges in into.items() if len({one.child_versions for one in edges}) > 1]
    if not contested:
        return []
    name = max(contested, key=lambda one: len({edge.parent for edge in into[one]}))
    names = " and ".join(repr(one.text) for one in core)
    verb = "cannot both be had" if len(core) == 2 else "cannot be had"
    head = Issue("requirements", f"{names} {verb} on {target}: they clash over {name!r}")
    sides = [_side(core, told, edge) for edge in into[name]]
    return [head, *sorted(sides, key=lambda one: one.where.startswith("server"))]


def _side(core: Sequence[Asked], told: Prose, edge: Edge) -> Issue:
    chain = _chain(core, told, edge)
    if not chain:
        return Issue(edge.parent, f"{edge.child}{edge.child_versions}")
    first, steps = chain
    return Issue(first.who, " → ".join((first.text, *steps)))


def _chain(core: Sequence[Asked], told: Prose, last: Edge) -> tuple[Asked, tuple[str, ...]] | None:
    """Find the shortest way from a requirement to an edge's child, through that edge."""
    side = last.parent.removeprefix("the-")
    direct = [one for one in core if name_of(one.text) == last.child and one.side == side]
    if direct and last.parent.startswith("the-"):
        fitting = [one for one in direct if last.child_versions.replace(" ", "") in one.text.replace(" ", "")]
        return (fitting or direct)[0], ()
    begun: list[tuple[Asked, str, tuple[str, ...]]] = [(one, name_of(one.text), ()) for one in core]
    waiting = deque(begun)
    seen: set[str] = set()
    while waiting:
        first, name, steps = waiting.popleft()
        if name == last.parent:
            return first, (*steps, f"{last.child}{last.child_versions}")
        if name in seen:
            continue
        seen.add(name)
        waiting.extend(
            (first, edge.child, (*steps, f"{edge.child}{edge.child_versions}"))
            for edge in told.edges
            if edge.parent == name
        )
    return None


def _chain_text(core: Sequence[Asked], told: Prose, name: str) -> str:
    """Say who wants a package, for an issue's `where`."""
    for edge in told.edges:
        if edge.child == name and (chain := _chain(core, told, edge)):
            first, steps = chain
            return f"{first.who}: " + " → ".join((first.text, *steps))
    return f"package {name!r}"


def _not_cached(target: Target, text: str) -> LockError:
    what = f"the cache does not hold all that is asked for on {target}"
    return LockError(
        Issue("requirements", what, "lock once without --offline"), Issue("uv", last_lines(text, 3))
    )
