"""What a conversion gives: the result, and what of the original it cannot say."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Loss:
    """One thing that a notation has no words for."""

    where: str
    """The field, such as `inputs.age`; of one without a name, its place."""
    what: str

    def __str__(self) -> str:
        """Print where and what."""
        return f"{self.where}: {self.what}"


@dataclass(frozen=True, slots=True)
class Converted(Generic[T]):
    """Law: what was converted without losses is converted back into what it was."""

    value: T
    losses: tuple[Loss, ...] = ()


@dataclass(slots=True)
class Losses:
    """Collects losses; each is told once."""

    found: dict[Loss, None] = field(default_factory=dict)

    def tell(self, where: str, what: str) -> None:
        """Add one."""
        self.found[Loss(where, what)] = None

    def told(self) -> tuple[Loss, ...]:
        """Return them in the order in which they were met."""
        return tuple(self.found)
