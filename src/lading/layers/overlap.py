"""What the wheels of an environment install, in; which of them leave out what another holds, out.

Installers let the last wheel win, in an order that they do not promise. Here the one whose name sorts first
keeps a path, and the others are laid out without it. Files that agree in contents and mode stay in each.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

from lading.core.errors import IntegrityError, Issue
from lading.core.ports import Event
from lading.layers.wheel import Installed, Placed

_NAMED = 3
_ENVIRONMENT = "the environment"


class Overlap(NamedTuple):
    """A path that two wheels, named by their files, hold with other contents."""

    path: str
    kept_by: str
    left_out_by: str


class OverlapError(Exception):
    """The wheels overlap otherwise than was foreseen."""

    def __init__(self, overlaps: Sequence[Overlap]) -> None:
        """Carry how they really do."""
        super().__init__(overlaps)
        self.overlaps = tuple(overlaps)


def find(plans: Iterable[Installed], reserved: Collection[str]) -> list[Overlap]:
    """Compare the wheels of one environment, in the order of their names.

    Raises IntegrityError for a path that belongs to the environment, for metadata that two wheels hold, and
    for what is a file in one place and a folder in another.
    """
    holders: dict[str, tuple[str, Placed | None]] = dict.fromkeys(reserved, (_ENVIRONMENT, None))
    overlaps, issues = [], []
    for one in plans:
        for placed in one.files:
            holder, other = holders.setdefault(placed.path, (one.filename, placed))
            if other is None:
                issues.append(Issue(one.filename, f"holds {placed.path!r}, which belongs to the environment"))
            elif (placed.digest, placed.mode) != (other.digest, other.mode):
                if _is_metadata(placed.path):
                    issues.append(_refused(holder, one.filename, f"both hold {placed.path!r}"))
                overlaps.append(Overlap(placed.path, holder, one.filename))
    issues += _files_for_folders({path: holder for path, (holder, _) in holders.items()})
    if issues:
        raise IntegrityError(*issues)
    return overlaps


def left_out(overlaps: Iterable[Overlap], filename: str, prefix: str) -> list[str]:
    """Return the paths below a prefix that a wheel leaves out, sorted."""
    inside = f"{prefix}/"
    return sorted(one.path for one in overlaps if one.left_out_by == filename and one.path.startswith(inside))


def warning(overlaps: Sequence[Overlap]) -> Event:
    """Tell of the first few."""
    named = [f"{path!r} is {kept_by}'s, not {other}'s" for path, kept_by, other in overlaps[:_NAMED]]
    more = len(overlaps) - len(named)
    text = "; ".join([*named, *([f"and {more} more"] if more else [])])
    return Event("assemble", "warning", f"wheels hold the same path with other contents: {text}")


def parse(value: Any) -> tuple[Overlap, ...]:  # noqa: ANN401 (any JSON value)
    """Read what was noted of overlaps; none where it is something else."""
    if not isinstance(value, list):
        return ()
    rows = [row for row in value if isinstance(row, list) and list(map(type, row)) == [str] * 3]
    return tuple(Overlap(*row) for row in rows)


def _is_metadata(path: str) -> bool:
    return any(part.endswith(".dist-info") for part in path.split("/"))


def _files_for_folders(holders: dict[str, str]) -> list[Issue]:
    """Look for every folder among the files; one issue for a pair of wheels and a path."""
    issues: dict[Issue, None] = {}
    for path, holder in holders.items():
        parent = path
        while parent := parent.rpartition("/")[0]:
            if parent in holders:
                what = f"{parent!r} is a file in the one, and a folder in the other"
                issues[_refused(holders[parent], holder, what)] = None
    return list(issues)


def _refused(one: str, other: str, what: str) -> Issue:
    return Issue(f"{one} and {other}", what, "ask for other versions, or for one of the two alone")
