"""A connection: who this user is where packages, sources or images come from. No secret stands in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from lading.core import typed

ConnectionType = Literal["python_feed", "git", "container_registry"]
TYPES: tuple[ConnectionType, ...] = get_args(ConnectionType)
CredentialType = Literal["none", "pat", "username_password", "api_key"]
Kept = Literal["nowhere", "environment", "keyring", "file"]
"""Where the secret is: nowhere, in a variable, in the operating system's keyring, in a file in clear."""
_VARIABLE = re.compile(r"\$\{\{?\s*(?:env[.:])?([A-Za-z_][A-Za-z0-9_]*)\s*\}?\}\Z")
_ANY_USER: Mapping[ConnectionType, str] = {
    "python_feed": "__token__",
    "git": "x-access-token",
    "container_registry": "00000000-0000-0000-0000-000000000000",
}
"""Who somebody is with a token alone: most places take any name, and these where they want a certain one."""


@dataclass(frozen=True, slots=True)
class Connection:
    """Law: `Connection.from_json(c.to_json()) == c`."""

    name: str
    type: ConnectionType
    target: str
    """The URL of a feed or repository, or what it begins with; a registry's host, and perhaps a path."""
    credentials: CredentialType = "none"
    username: str | None = None
    variable: str | None = None
    """The variable that holds the secret, where one does."""
    kept: Kept = "nowhere"
    key: str = ""
    """What the keyring calls the secret."""
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """Host, port and path, by which URLs are told to be of this place."""
        return place_of(self.target)

    @property
    def user(self) -> str:
        """Who to be; with a token alone, a name that goes with one."""
        return self.username or _ANY_USER[self.type]

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return typed.to_json(self)

    @classmethod
    def from_json(cls, document: object, where: str) -> Connection:
        """Read what `to_json` wrote; raise IntegrityError for anything else."""
        return typed.from_json(cls, document, where)


@dataclass(frozen=True, slots=True)
class ConnectionDraft:
    """A connection and, where it was given in clear, its secret."""

    connection: Connection
    secret: str | None = field(default=None, repr=False)


def place_of(url: str) -> str:
    """Return host, port and path of a URL, without a slash at its end.

    >>> place_of("https://me@Feed.example.com:8443/team/simple/")
    'feed.example.com:8443/team/simple'
    """
    parts = urlsplit(url if "://" in url else f"//{url}")
    return parts.netloc.rpartition("@")[2].lower() + parts.path.rstrip("/")


def variable_in(text: str) -> str | None:
    """Return the variable that a text stands for: `${NAME}`, `${{NAME}}`, `${{ env.NAME }}`.

    >>> variable_in("${FEED_PAT}"), variable_in("hunter2")
    ('FEED_PAT', None)
    """
    match = _VARIABLE.match(text.strip())
    return match[1] if match else None
