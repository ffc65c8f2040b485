"""A requirement, and who asks for it; several, as one demand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from lading.lock import sources
from lading.lock.python import Demand


@dataclass(frozen=True, slots=True)
class Asked:
    """A requirement, and who asks for it."""

    side: str
    """`model` or `server`."""
    text: str
    origin: str
    """`mlflow`, `spec`, `pickle`, `installed`, or the server's name."""
    where: str | None = None
    """The file and line that asks for it, where one does."""
    own: bool = False
    """Whether it is the server itself, and not what it needs besides."""
    chosen: bool = False
    """Whether the author has said which version of the server it is to be."""

    @property
    def who(self) -> str:
        """Name the side for people, and the line."""
        return f"{self.side} ({', '.join(filter(None, (self.origin, self.where)))})"


def demand_for(asked: Iterable[Asked], limits: Demand) -> Demand:
    """Group requirements by side, under the limits of another demand."""
    sides: dict[str, tuple[str, ...]] = {}
    for one in asked:
        sides[one.side] = (*sides.get(one.side, ()), one.text)
    return replace(limits, sides=sides)


def unpinned(asked: tuple[Asked, ...]) -> tuple[Asked, ...]:
    """Take away the versions that are installed here, for what the author has not listed."""
    return tuple(
        replace(one, text=sources.name_of(one.text)) if one.origin == "installed" else one for one in asked
    )


def unlike(pinned: tuple[Asked, ...], asked: tuple[Asked, ...]) -> str:
    """Say which versions that are installed here were taken away."""
    names = ", ".join(one.text for one, left in zip(pinned, asked, strict=True) if one != left)
    return f"installed here are {names}, which do not go with the requirements: their versions are left open"
