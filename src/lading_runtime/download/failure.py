"""Why a file could not be had, and what to do about it."""

from __future__ import annotations


class FetchError(Exception):
    """A source, a place on the disk or the bill stands in the way of having the files."""

    def __init__(self, what: str, fix: str = "", *, final: bool = False, pause_s: float = 0.0) -> None:
        """Say what is wrong, never with a secret; `final`: trying again as it is would be of no use.

        `pause_s` is how long the source asks to be left alone.
        """
        super().__init__(what)
        self.what = what
        self.fix = fix
        self.final = final
        self.pause_s = pause_s

    def __str__(self) -> str:
        """Print it on one line."""
        return f"{self.what}; {self.fix}" if self.fix else self.what
