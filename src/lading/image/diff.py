"""Two bills in; what differs, and whether a client would notice, out: pure, no I/O.

Law: `compare(bill, bill)` has no changes; swapping the two swaps `before` and `after`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from lading.core import canonical, typed
from lading.core.bill import (
    Bill,
    BilledEnvironment,
    BilledFile,
    BilledLayer,
    BilledModel,
    BilledPackage,
    BilledServer,
)
from lading.core.digest import Digest
from lading.image import contract
from lading.image.contract import ORDER, Change, Notice

T = TypeVar("T")
_RELEASE = re.compile(r"(?:\d+[!:])?(\d+(?:\.\d+)*)")
_MAY = "predictions may differ"
_SAME = "not part of what is promised to a client"


@dataclass(frozen=True, slots=True)
class Answers:
    """What both packages recorded for the same requests."""

    rows: int
    differing: int
    first: str = ""
    """The first difference, for people."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a client would notice, or would not."""

    notice: Notice
    what: str


@dataclass(frozen=True, slots=True)
class Sizes:
    """Layers that both have (they are stored and sent once), and those that one has alone."""

    shared: tuple[BilledLayer, ...]
    before: tuple[BilledLayer, ...]
    after: tuple[BilledLayer, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs between two packages."""

    changes: tuple[Change, ...]
    layers: Sizes
    answers: Answers | None
    figures: Mapping[str, tuple[float | None, float | None]]
    """What verification measured, of both."""

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """Say what a client would notice, the weightiest first; changes of one consequence together."""
        return tuple(sorted(_reasons(self), key=lambda one: -ORDER.index(one.notice)))

    @property
    def notice(self) -> Notice:
        """Tell whether a client would notice."""
        return max((one.notice for one in self.reasons), key=ORDER.index, default="no")

    def to_json(self) -> dict[str, Any]:
        """Return the difference as JSON values."""
        return {
            "client_would_notice": self.notice,
            "reasons": [typed.to_json(one) for one in self.reasons],
            "changes": [typed.to_json(one) for one in self.changes],
            "layers": {
                name: {
                    "count": len(found),
                    "size_bytes": sum(one.size_bytes for one in found),
                    "layers": [typed.to_json(one) for one in found],
                }
                for name, found in (
                    ("shared", self.layers.shared),
                    ("before", self.layers.before),
                    ("after", self.layers.after),
                )
            },
            "answers": typed.to_json(self.answers) if self.answers else None,
            "figures": {
                name: {"before": before, "after": after} for name, (before, after) in self.figures.items()
            },
        }


def compare(
    before: Bill,
    after: Bill,
    *,
    answers: Answers | None = None,
    reports: tuple[Mapping[str, Any] | None, Mapping[str, Any] | None] = (None, None),
) -> Difference:
    """Compare two packages by their bills; `answers` and `reports` are what else is known of both."""
    pair = (before, after)
    changes = (
        *_package(pair),
        *contract.compare(before.model.signature, after.model.signature),
        *_server((before.server, after.server)),
        *_model((before.model, after.model)),
        *_own(pair),
        *_environment((before.environment, after.environment)),
        *_values("example", pair, _examples, "no", _SAME),
    )
    return Difference(changes, _layers(before, after), answers, _figures(*reports))


def _values(
    part: str, pair: tuple[T, T], read: Callable[[T], Mapping[str, Any]], notice: Notice, why: str
) -> Iterator[Change]:
    """Compare what is read of each, JSON values by name."""
    before, after = map(read, pair)
    for name in [*before, *(name for name in after if name not in before)]:
        if before.get(name) != after.get(name):
            yield Change(part, name, before.get(name), after.get(name), notice, why)


def _package(pair: tuple[Bill, Bill]) -> Iterator[Change]:
    fields = ("name", "version", "description", "lading")
    yield from _values("package", pair, lambda it: {one: getattr(it, one) for one in fields}, "no", _SAME)
    yield from _values("tag", pair, lambda it: it.tags, "no", _SAME)
    machines = "it runs on other machines"
    yield from _values("package", pair, lambda it: {"platform": str(it.platform)}, "no", machines)


def _server(pair: tuple[BilledServer, BilledServer]) -> Iterator[Change]:
    yield from _values("server", pair, lambda it: {"server": it.name}, "yes", "another server answers")
    yield from _values("server", pair, lambda it: {"port": it.port}, "yes", "it listens elsewhere")
    for change in _values("route", pair, lambda it: it.routes, "yes", "requests go elsewhere"):
        # one that is new takes nothing away
        yield change if change.before else replace(change, notice="no", why=_SAME)
    for change in _packages("server library", *(one.packages for one in pair)):
        yield replace(change, notice="no", why=_SAME)


def _model(pair: tuple[BilledModel, BilledModel]) -> Iterator[Change]:
    fields = ("format", "flavour", "loader", "loader_options")
    yield from _values("model", pair, lambda it: {one: getattr(it, one) for one in fields}, "maybe", _MAY)
    origin = ("framework", "framework_version", "python")
    saved = "the model was saved by another version"
    yield from _values("saved by", pair, lambda it: {one: getattr(it, one) for one in origin}, "no", saved)
    yield from _values("model file", pair, lambda it: _files(it.files), "maybe", _MAY)
    otherwise = "it is fetched otherwise, and is the same"
    yield from _values("model", pair, lambda it: {"mode": it.mode, "sources": [*it.sources]}, "no", otherwise)
    yield from _served_by(*pair)
    yield from _values("risk", pair, lambda it: {one.name: one.why for one in it.risks}, "no", _SAME)


def _served_by(before: BilledModel, after: BilledModel) -> Iterator[Change]:
    """Compare what answers: the model, or a form of it; one that is bit-identical answers the same."""
    old, new = before.compiled, after.compiled
    is_exact = all(one is None or one.tolerance == 0 for one in (old, new))
    notice: Notice = "no" if is_exact else "maybe"
    why = "bit-identical to its model" if is_exact else _MAY
    yield from _values("served by", (before, after), lambda it: {"form": _answering(it)}, notice, why)


def _answering(model: BilledModel) -> str:
    """Say what answers; forms that differ are called differently."""
    form = model.compiled
    if form is None:
        return "the model"
    name = f"compiled {form.kind} ({Digest.of(canonical.encode(_files(form.files))).short})"
    return name if form.tolerance == 0 else f"{name} within {form.tolerance:g}"


def _own(pair: tuple[Bill, Bill]) -> Iterator[Change]:
    """Compare the author's own code and assets."""
    entry = _values("code", pair, lambda it: {"entry": it.code and it.code.entry}, "maybe", _MAY)
    yield from entry
    yield from _values("code", pair, lambda it: _files(it.code.files if it.code else ()), "maybe", _MAY)
    yield from _values("asset", pair, lambda it: _files(it.assets), "maybe", _MAY)
    yield from _values(
        "input", pair, lambda it: {one.path: _files(one.files) for one in it.inputs}, "maybe", _MAY
    )


def _files(files: Sequence[BilledFile]) -> dict[str, Any]:
    return {one.path: {"digest": str(one.digest), "size_bytes": one.size_bytes} for one in files}


def _environment(pair: tuple[BilledEnvironment, BilledEnvironment]) -> Iterator[Change]:
    before, after = pair
    yield from _values("environment", pair, lambda it: {"base": it.base}, "maybe", _MAY)
    slim = "what nothing needs that runs is left out of its wheels, or is there again"
    yield from _values("environment", pair, lambda it: {"slim": it.slim is not None}, "no", slim)
    if before.python != after.python:
        step = _step(before.python, after.python)
        yield Change("environment", "python", before.python, after.python, *step)
    otherwise = "it may answer otherwise"
    yield from _values("variable", pair, lambda it: it.variables, "maybe", otherwise)
    yield from _packages("library", before.packages, after.packages)
    for change in _packages("system package", before.system_packages, after.system_packages):
        yield replace(change, notice="no", why=_SAME)


def _packages(part: str, before: Sequence[BilledPackage], after: Sequence[BilledPackage]) -> Iterator[Change]:
    old, new = ({one.name: one for one in each} for each in (before, after))
    for name in sorted({*old, *new}):
        was, now = old.get(name), new.get(name)
        if was == now:
            continue
        notice, why = _step(was.version, now.version) if was and now else ("no", "added or removed")
        yield Change(part, name, _package_json(was), _package_json(now), notice, why)


def _package_json(package: BilledPackage | None) -> dict[str, Any] | None:
    if package is None:
        return None
    return {"version": package.version, "digest": str(package.digest), "size_bytes": package.size_bytes}


def _step(before: str, after: str) -> tuple[Notice, str]:
    """Tell what a step from one version to another promises: up to the minor number, the same answers."""
    if before == after:
        return "no", "the same version in other bytes"
    old, new = (_RELEASE.match(one) for one in (before, after))
    minors = [one.group(1).split(".")[:2] for one in (old, new) if one]
    if len(minors) == 2 and minors[0] == minors[1]:
        return "no", "a patch level"
    return "maybe", _MAY


def _examples(bill: Bill) -> dict[str, Any]:
    return {
        one.path.rpartition("/")[2]: {
            "digest": str(one.digest),
            "rows": one.rows,
            "tolerance": one.tolerance,
            "has_outputs": one.has_outputs,
        }
        for one in bill.examples
    }


def _layers(before: Bill, after: Bill) -> Sizes:
    old, new = ({one.digest: one for one in each.layers} for each in (before, after))
    return Sizes(
        tuple(one for digest, one in old.items() if digest in new),
        tuple(one for digest, one in old.items() if digest not in new),
        tuple(one for digest, one in new.items() if digest not in old),
    )


def _figures(
    before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
) -> dict[str, tuple[float | None, float | None]]:
    names = ("ready_s", "latency_ms", "peak_memory_bytes", "predictions", "matched")
    old, new = (
        {**{name: each.get(name) for name in names}, **(each.get("figures") or {})} if each else {}
        for each in (before, after)
    )
    return {name: (old.get(name), new.get(name)) for name in dict.fromkeys((*old, *new))}


def _reasons(found: Difference) -> Iterator[Reason]:
    answers = found.answers
    if answers and answers.differing:
        what = f"{answers.differing} of {answers.rows} recorded predictions differ for the same requests"
        yield Reason("yes", f"{what}: {answers.first}")
    together: dict[tuple[Notice, str, str], list[str]] = {}
    for one in found.changes:
        together.setdefault((one.notice, one.part, one.why), []).append(one.name)
    for (notice, part, why), names in together.items():
        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        yield Reason(notice, f"{part} {shown}: {why}" if part != shown else f"{part}: {why}")
    if answers and not answers.differing and found.changes:
        yield Reason("no", f"all {answers.rows} recorded predictions are equal for the same requests")
