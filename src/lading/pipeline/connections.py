"""A connection's YAML or flags go in; it is kept, shown and forgotten, its secret apart from it."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lading.core.connection import Connection, ConnectionDraft
from lading.core.errors import Issue, SpecError
from lading.core.ports import Event
from lading.pipeline.context import Context
from lading.spec.azureml import connection as written


def create(
    context: Context,
    file: Path | None,
    overrides: Sequence[str],
    *,
    secret: str | None = None,
    insecurely: bool = False,
) -> Connection:
    """Keep a connection, in place of one of its name.

    A `secret` takes the place of the one that the overrides name. Raises SpecError with every issue of the
    file and of overrides such as `credentials.pat=${PAT}`, and RegistryError where the secret cannot be kept.
    """
    draft = written.load(file, overrides, context.events)
    if secret is not None:
        draft = ConnectionDraft(replace(draft.connection, variable=None, kept="nowhere"), secret)
    connected = context.connected
    before = connected.book.find(draft.connection.name)
    kept = connected.safe.keep(draft, insecurely=insecurely)
    connected.book.keep(kept)
    if before:
        connected.safe.forget(before)
    if kept.kept == "file":
        context.events(Event("connection", "warning", "its secret is kept in a file, in clear"))
    if kept.kept == "environment" and kept.variable not in context.environ:
        context.events(Event("connection", "warning", f"the variable {kept.variable} is not set here"))
    return kept


def listed(context: Context) -> tuple[Connection, ...]:
    """Return all connections, by name."""
    return context.connected.book.listed()


def show(context: Context, name: str) -> Connection:
    """Return a connection; SpecError where there is none of this name."""
    connections = {one.name: one for one in listed(context)}
    if name in connections:
        return connections[name]
    near = difflib.get_close_matches(name, connections, 1)
    fix = f"did you mean {near[0]!r}?" if near else "lading connection list"
    raise SpecError(Issue("connection", f"there is none of the name {name!r}", fix))


def delete(context: Context, name: str) -> Connection:
    """Forget a connection and what was kept of its secret."""
    found = show(context, name)
    context.connected.book.forget(name)
    context.connected.safe.forget(found)
    return found


def to_json(connection: Connection) -> dict[str, Any]:
    """Return a connection as JSON values, in the words of its YAML; of its secret, where it is."""
    kept = {
        "nowhere": None,
        "environment": f"variable {connection.variable}",
        "keyring": "keyring",
        "file": "file, in clear",
    }[connection.kept]
    return {
        "name": connection.name,
        "type": connection.type,
        "target": connection.target,
        "credentials": {"type": connection.credentials, "username": connection.username, "secret": kept},
        "description": connection.description,
        "tags": dict(connection.tags),
        "metadata": dict(connection.metadata),
    }
