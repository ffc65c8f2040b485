"""Connections and a URL go in; who to be there comes out. A secret is looked for when it is needed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

from lading.connections import Book, Safe
from lading.core.connection import Connection, ConnectionType, place_of
from lading.core.login import Login


class Connected:
    """Who this user is, by the connections of one home."""

    def __init__(self, home: Path, environ: Mapping[str, str]) -> None:
        """Name the home; nothing is read yet."""
        self.book = Book(home)
        self.safe = Safe(home, environ)

    @cached_property
    def _listed(self) -> tuple[Connection, ...]:
        return self.book.listed()

    def feed(self, url: str) -> tuple[str, str] | None:
        """Tell user and password for a feed's URL, or that of a file it leads to."""
        return self._pair("python_feed", url)

    def git(self, url: str) -> tuple[str, str] | None:
        """Tell user and password for the URL of a repository."""
        return self._pair("git", url)

    def registry(self, registry: str, repository: str) -> Login | None:
        """Tell the login for a repository of a container registry."""
        pair = self._pair("container_registry", f"{registry}/{repository}")
        return Login(*pair) if pair else None

    def _pair(self, kind: ConnectionType, url: str) -> tuple[str, str] | None:
        """Take the connection to that host and scheme whose path goes with the URL's the furthest.

        Raises RegistryError where its secret is gone.
        """
        place = place_of(url).split("/")
        fitting = [
            (_common(place, one.place.split("/")), one)
            for one in self._listed
            if one.type == kind and _is_secure_alike(one.target, url)
        ]
        count, best = max(fitting, key=lambda one: one[0], default=(0, None))
        if not count or best is None or (secret := self.safe.find(best)) is None:
            return None
        return best.user, secret


def _common(one: list[str], other: list[str]) -> int:
    """Count the parts that two places begin with alike; the first is the host."""
    alike = [ours == theirs for ours, theirs in zip(one, other, strict=False)]
    return (*alike, False).index(False)


def _is_secure_alike(target: str, url: str) -> bool:
    """Tell whether what is meant for TLS would go over TLS."""
    if "://" not in target or "://" not in url:
        return True
    return urlsplit(target).scheme == urlsplit(url).scheme
