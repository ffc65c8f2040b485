"""A requirement, and who asks for it; several, as one demand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

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
