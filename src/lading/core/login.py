"""Who somebody is to a registry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from lading.core.errors import RegistryError


@dataclass(frozen=True, slots=True)
class Login:
    """A user and a password, or an identity token that stands for both. No secret is printed.

    >>> Login("anna", "hunter2")
    Login(username='anna')
    """

    username: str
    password: str = field(repr=False)
    identity_token: str | None = field(default=None, repr=False)


class HelperError(RegistryError):
    """The program that should know a login does not work; what is public can be had all the same."""


Logins = Callable[[str], Login | None]
"""Asked by registry, `host` or `host:port`; None is nobody. May raise HelperError."""


def no_logins(_: str) -> Login | None:
    """Be nobody everywhere."""
    return None
