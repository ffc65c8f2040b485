"""Who somebody is to a registry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Login:
    """A user and a password, or an identity token that stands for both. No secret is printed.

    >>> Login("anna", "hunter2")
    Login(username='anna')
    """

    username: str
    password: str = field(repr=False)
    identity_token: str | None = field(default=None, repr=False)


Logins = Callable[[str], Login | None]
"""Asked by registry, `host` or `host:port`; None is nobody."""


def no_logins(_: str) -> Login | None:
    """Be nobody everywhere."""
    return None
