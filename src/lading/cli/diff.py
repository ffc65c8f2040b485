"""`lading diff`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from lading.cli.console import Common, Console, size
from lading.core.errors import VerifyError
from lading.core.platform import Platform
from lading.pipeline import comparing
from lading.pipeline.comparing import Compared
from lading.pipeline.context import Context

_FAILING = {"yes": ("yes",), "maybe": ("yes", "maybe")}
_MOST = 8


def run(
    before: str,
    after: str,
    /,
    *,
    fail_if: Literal["differ", "maybe", "yes"] | None = None,
    platform: str | None = None,
    common: Common = Common(),
) -> int:
    """Tell what differs between two packages, and whether a client would notice.

    For example:

        lading diff iris:1 iris:2

        lading diff registry.example.com/team/iris:prod iris:2

        lading diff iris:1 iris:2 --json | jq .reasons

        lading diff iris:prod iris:new --fail-if yes   # in CI: exit status 6 where a client would notice

    Args:
        before: A name, a digest, the beginning of one, or the name of a package in a registry.
        after: The package to compare it with.
        fail_if: Exit with 6 where they differ, or a client may (maybe) or would (yes) notice; default: 0.
        platform: One of packages of several platforms; default: this machine's.
    """
    console = Console(common)
    context = Context(common.settings(), console.event)
    found = comparing.diff(context, before, after, Platform.parse(platform) if platform else None)
    console.result("\n".join(_lines(found, before, after)), found.to_json())
    if fail_if == "differ":
        failed = not found.is_same
    else:
        failed = found.difference.notice in _FAILING.get(fail_if or "", ())
    return VerifyError.exit_status if failed else 0


def _lines(found: Compared, before: str, after: str) -> Iterator[str]:
    yield f"{before} → {after}, {found.after.image.platform}"
    if found.is_same:
        yield f"the same package, {found.after.image.descriptor.digest}"
        return
    difference = found.difference
    weighty = [one for one in difference.reasons if one.notice != "no"]
    yield f"would a client notice?  {difference.notice}"
    for reason in weighty or difference.reasons or ():
        yield f"  {reason.notice:<6} {reason.what}"
    if weighty and difference.answers and not difference.answers.differing:
        yield f"  {'no':<6} {difference.reasons[-1].what}"
    yield ""
    rows = list(_rows(difference.changes))
    widths = [max((len(row[column]) for row in rows), default=0) for column in (0, 1)]
    for part, name, text in rows:
        yield f"{part:<{widths[0]}}  {name:<{widths[1]}}  {text}"
    yield ""
    yield from _sizes(found)
    yield from _figures(difference.figures)


def _rows(changes: Sequence[Any]) -> Iterator[tuple[str, str, str]]:
    """Print a change a line, the many of one part shortened."""
    seen: dict[str, int] = {}
    for one in changes:
        seen[one.part] = seen.get(one.part, 0) + 1
    shown: dict[str, int] = {}
    for one in changes:
        shown[one.part] = shown.get(one.part, 0) + 1
        if shown[one.part] <= _MOST:
            part = one.part if shown[one.part] == 1 else ""
            yield part, one.name, _text(one)
        elif shown[one.part] == _MOST + 1:
            yield "", "…", f"{seen[one.part] - _MOST} more (--json lists all)"


def _text(change: Any) -> str:  # noqa: ANN401 - any Change
    """Print `1.2 → 1.3`, `+ 1.3` for what is new and `- 1.2` for what is gone."""
    if change.before is None:
        return f"+ {_value(change.after)}"
    if change.after is None:
        return f"- {_value(change.before)}"
    old, new = _value(change.before), _value(change.after)
    if old == new:  # the same version, in other bytes
        old, new = (f"{old} ({_short(one['digest'])})" for one in (change.before, change.after))
    return f"{old} → {new}"


def _value(value: Any) -> str:  # noqa: ANN401 - any JSON value
    text = str(value)
    match value:
        case {"version": str(version)}:
            text = version
        case {"digest": str(digest), "rows": rows}:
            text = f"{rows} rows, {_short(digest)}"
        case {"digest": str(digest), "size_bytes": int(size_bytes)}:
            text = f"{size(size_bytes)}, {_short(digest)}"
        case {"type": str(kind)}:
            text = _field(kind, value)
        case list():
            text = ", ".join(map(str, value))
        case dict():
            text = ", ".join(f"{key} {one}" for key, one in value.items())
    return text


def _field(kind: str, field: Mapping[str, Any]) -> str:
    """Print a column, a tensor or a parameter, given as MLflow's object."""
    if "tensor-spec" in field:
        return f"{field['tensor-spec']['dtype']}{field['tensor-spec']['shape']}"
    if "default" in field:
        return f"{kind}, default {field['default']}"
    inner = [_value(field[key]) for key in ("items", "values") if key in field]
    inner += [", ".join(field["properties"])] if "properties" in field else []
    return " of ".join([kind, *inner]) + ("" if field.get("required", True) else ", optional")


def _short(digest: str) -> str:
    return digest.partition(":")[2][:12]


def _sizes(found: Compared) -> Iterator[str]:
    """Print how many bytes a registry that has one of them saves with the other."""
    layers = found.difference.layers
    sides = (("shared", "", layers.shared), ("before", "-", layers.before), ("after", "+", layers.after))
    for name, sign, listed in sides:
        title = f"layers only {name}" if sign else "layers shared"
        yield f"{title:<18}  {size(sum(one.size_bytes for one in listed)):>7}  {len(listed)}"
        biggest = sorted(listed, key=lambda one: -one.size_bytes)
        for one in biggest[:_MOST] if sign else ():
            yield f"  {sign:<16}  {size(one.size_bytes):>7}  {one.title}"
    sizes = [size(one.image.size_bytes) for one in (found.before, found.after)]
    yield f"{'in all':<18}  {sizes[0]:>7}  → {sizes[1]}"


def _figures(figures: Mapping[str, tuple[float | None, float | None]]) -> Iterator[str]:
    """Print what verification measured of each."""
    for name, pair in figures.items():
        yield f"{name:<18}  {_figure(name, pair[0]):>7}  → {_figure(name, pair[1])}"


def _figure(name: str, value: float | None) -> str:
    if value is None:
        return "unknown"
    if name.endswith("_bytes"):
        return size(int(value))
    return f"{value:g}"
