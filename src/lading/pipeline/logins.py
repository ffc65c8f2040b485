"""A user and a password for a registry: tried, then kept where other tools find them too; forgotten."""

from __future__ import annotations

from pathlib import Path

from lading.core.errors import Issue, RegistryError, SpecError
from lading.core.login import Login
from lading.core.reference import Reference
from lading.logins import canonical
from lading.pipeline.context import Context


def login(context: Context, name: str, username: str, password: str, *, plain_http: bool = False) -> Path:
    """Try a login and keep it; return the file, which may name a helper that holds the secret.

    Raises RegistryError, and keeps nothing, where the registry refuses it or cannot be reached.
    """
    reference = _reference(name)
    mine = Login(username, password)
    with context.registry(reference, plain_http=plain_http, logins=lambda _: mine) as store:
        store.check()
    return context.logins.keep(canonical(name), mine)


def logout(context: Context, name: str) -> list[Path]:
    """Forget a login; return the files that knew it. RegistryError where none does."""
    _reference(name)
    if paths := context.logins.forget(name):
        return paths
    raise RegistryError(Issue(canonical(name), "nobody is logged in here", f"lading login {canonical(name)}"))


def _reference(name: str) -> Reference:
    """Check the name of a registry, or of a namespace in one."""
    text = canonical(name)
    reference = Reference.parse(text if "/" in text else f"{text}/x")
    if reference.registry is None or reference.tag or reference.digest:
        what = f"got {name!r}, expected a registry, such as 'registry.example.com' or 'quay.io/team'"
        raise SpecError(Issue("registry", what))
    return reference
