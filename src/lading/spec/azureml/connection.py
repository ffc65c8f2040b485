"""A connection's YAML, `az ml connection create -f`: text → ConnectionDraft and back, without its secret.

Source: azure-ai-ml 1.35.2, `_schema/workspace/connections/`. A secret that is written as `${NAME}` stays in
the variable NAME. No message quotes what stands below `credentials`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import ClassVar, Literal, cast, get_args
from urllib.parse import urlsplit

import yaml

from lading.core.assets import word_problem
from lading.core.connection import (
    TYPES,
    Connection,
    ConnectionDraft,
    CredentialType,
    variable_in,
)
from lading.core.errors import Issue, SpecError
from lading.core.ports import Events, ignore
from lading.spec.azureml import text
from lading.spec.typed import read_text

_Type = Literal[
    "git",
    "container_registry",
    "python_feed",
    "s3",
    "snowflake",
    "azure_sql_db",
    "azure_synapse_analytics",
    "azure_my_sql_db",
    "azure_postgres_db",
    "custom",
    "azure_data_lake_gen_2",
]
_CredentialType = Literal[
    "pat",
    "sas",
    "username_password",
    "managed_identity",
    "service_principal",
    "access_key",
    "api_key",
    "account_key",
    "aad",
    "none",
]
_SECRETS: Mapping[str, str] = {"pat": "pat", "username_password": "password", "api_key": "key"}
"""Under which key each kind of credentials has its secret."""
_CLOUD = (
    "is an identity that Azure gives to its own machines, and here there is nobody who could vouch for it"
)
_REASONS = {
    "managed_identity": _CLOUD,
    "aad": _CLOUD,
    "service_principal": "is exchanged for a token by Microsoft Entra alone, which no feed or registry takes",
    "sas": "is for Azure's storage, and nothing is had from there by a connection",
    "account_key": "is for Azure's storage, and nothing is had from there by a connection",
    "access_key": "is for S3, whose own variables are read: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY",
}
_KINDS = frozenset(get_args(_CredentialType))
_LEAST_LENGTH = 3
_WORKFLOWS = re.compile(r"\$\{\{\s*(?:env[.:])?([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")
"""A variable as workflow files write it, which elsewhere is a template's placeholder."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """How somebody is known, as it is written."""

    type: _CredentialType | None = None
    pat: str | None = field(default=None, repr=False)
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    key: str | None = field(default=None, repr=False)
    sas_token: str | None = field(default=None, repr=False)
    account_key: str | None = field(default=None, repr=False)
    access_key_id: str | None = field(default=None, repr=False)
    secret_access_key: str | None = field(default=None, repr=False)
    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)
    tenant_id: str | None = None
    resource_id: str | None = None


@dataclass(frozen=True, slots=True)
class File:
    """The file, as it is written."""

    PRINTED: ClassVar = frozenset({"id", "creation_context"})
    """Keys that Azure prints of one and passes over when it reads them."""

    name: str | None = None
    type: _Type | None = None
    target: str | None = None
    credentials: Credentials | None = None
    is_shared: bool = True
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)


def load(path: Path | None, overrides: Sequence[str] = (), events: Events = ignore) -> ConnectionDraft:
    """Read a connection's file, None where all is given by overrides; raise SpecError with every issue."""
    return parse(read_text(path) if path else "", path, overrides, events)


def parse(
    written: str, path: Path | None, overrides: Sequence[str] = (), events: Events = ignore
) -> ConnectionDraft:
    """Read the text of the file at `path`; raise SpecError with every issue, none of which has a secret."""
    written = _WORKFLOWS.sub(r"${\1}", written)
    reader = text.Reader(path, [_WORKFLOWS.sub(r"${\1}", one) for one in overrides])
    try:
        found = reader.read(written, File)
        _check(found, reader)
        reader.finish(events)
    except SpecError as error:
        secrets = sorted({*_written_secrets(written), *_overriding(overrides)}, key=len, reverse=True)
        raise SpecError(*(_without(one, secrets) for one in error.issues)) from None
    return _draft(found)


def dump(connection: Connection) -> str:
    """Write a connection as YAML; of its secret, the variable that holds it."""
    secret = f"${{{connection.variable}}}" if connection.variable else None
    key = _SECRETS.get(connection.credentials)
    given = {key: secret, "username": connection.username} if key else {}
    credentials = Credentials(connection.credentials, **given) if connection.credentials != "none" else None
    file = File(
        connection.name,
        connection.type,
        connection.target,
        credentials,
        description=connection.description,
        tags=connection.tags,
        metadata=connection.metadata,
    )
    return text.dump(file)


def _draft(found: File) -> ConnectionDraft:
    given = found.credentials or Credentials("none")
    kind = given.type or "none"
    assert found.name
    assert found.target
    assert found.type in TYPES
    secret = getattr(given, _SECRETS[kind]) if kind in _SECRETS else None
    variable = variable_in(secret) if secret else None
    connection = Connection(
        found.name,
        found.type,
        found.target,
        cast("CredentialType", kind),
        given.username,
        variable,
        "environment" if variable else "nowhere",
        description=found.description,
        tags=found.tags,
        metadata=found.metadata,
    )
    return ConnectionDraft(connection, None if variable else secret)


def _check(found: File, reader: text.Reader) -> None:
    if found.name is None and not reader.issues:
        reader.complain("name", "is missing", "write name: NAME, or give -n NAME")
    elif found.name is not None and (problem := word_problem(found.name, "name")):
        reader.complain("name", problem)
    expected = ", ".join(TYPES)
    if found.type is None and not reader.issues:
        reader.complain("type", f"is missing, expected one of {expected}")
    elif found.type is not None and found.type not in TYPES:
        reader.complain("type", f"nothing is had by {found.type!r} here, expected one of {expected}")
    _check_target(found, reader)
    if found.credentials:
        _check_credentials(found.credentials, reader)


def _check_target(found: File, reader: text.Reader) -> None:
    if found.target is None:
        if not reader.issues:
            reader.complain("target", "is missing", "write target: URL")
        return
    try:
        parts = urlsplit(found.target)
    except ValueError:
        reader.complain("target", "got a malformed URL")
        return
    if parts.username is not None or parts.password is not None or parts.query:
        what = f"got credentials in the URL of {parts.hostname!r}"
        reader.complain("target", what, "write them below 'credentials'")
    elif found.type in {"python_feed", "git"} and (parts.scheme not in {"http", "https"} or not parts.netloc):
        reader.complain("target", f"got {found.target!r}, expected an http or https URL")


def _check_credentials(given: Credentials, reader: text.Reader) -> None:
    kind = given.type
    ways = "a personal access token (pat), or a user and password (username_password)"
    if kind is None:
        reader.complain("credentials.type", "is missing", f"take {ways}")
        return
    if reason := _REASONS.get(kind):
        reader.complain("credentials.type", f"{kind!r} {reason}", f"take {ways}")
        return
    wanted = {"type", _SECRETS.get(kind, ""), *(["username"] if kind != "none" else [])}
    for one in fields(Credentials):
        if getattr(given, one.name) is not None and one.name not in wanted:
            reader.complain(f"credentials.{one.name}", f"is not one of {kind!r}'s keys")
    for name in sorted(wanted - {"type", "" if kind == "username_password" else "username", ""}):
        if not getattr(given, name):
            reader.complain(f"credentials.{name}", "is missing", f"write it, or {name}: ${{VARIABLE}}")
    if given.username and ":" in given.username:
        reader.complain("credentials.username", "got a ':', which no user's name may have")


def _written_secrets(written: str) -> Iterator[str]:
    """List every text below `credentials`, but for the names of kinds."""
    try:
        document = yaml.compose(written, yaml.CSafeLoader)
    except yaml.YAMLError:
        return
    for key, value in document.value if isinstance(document, yaml.MappingNode) else ():
        if key.value == "credentials":
            yield from _texts(value)


def _texts(node: yaml.Node) -> Iterator[str]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value != "username" and not (key.value == "type" and value.value in _KINDS):
                yield from _texts(value)
    elif isinstance(node, yaml.SequenceNode):
        for one in node.value:
            yield from _texts(one)
    elif len(node.value) >= _LEAST_LENGTH:
        yield node.value


def _overriding(overrides: Sequence[str]) -> Iterator[str]:
    for one in overrides:
        key, _, value = one.partition("=")
        if key.startswith("credentials") and not key.endswith((".type", ".username")) and value:
            yield value


def _without(issue: Issue, secrets: Sequence[str]) -> Issue:
    def blotted(words: str) -> str:
        for one in secrets:
            words = words.replace(one, "***")
        return words

    return Issue(blotted(issue.where), blotted(issue.what), issue.fix and blotted(issue.fix))
