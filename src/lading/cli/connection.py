"""`lading connection …`: who this user is at feeds, git servers and registries, as `az ml` has it."""

from __future__ import annotations

import getpass
import sys
from typing import Annotated

from cyclopts import Parameter

from lading.cli.assets import File, Name, Named, Set
from lading.cli.console import Console, GroupCommon
from lading.core.errors import Issue, SpecError
from lading.pipeline import connections
from lading.pipeline.context import Context

_GIVEN = "GIVEN"
"""What stands for a secret that is handed on apart from the words."""


def create(
    *,
    file: File = None,
    set_: Set = (),
    name: Name = None,
    type_: Annotated[
        str | None, Parameter(name=["--type", "-t"], help="python_feed, git or container_registry.")
    ] = None,
    target: str | None = None,
    username: Annotated[str | None, Parameter(name=["--username", "-u"])] = None,
    secret_env: str | None = None,
    secret_stdin: Annotated[bool, Parameter(negative="")] = False,
    insecure_storage: Annotated[bool, Parameter(negative="")] = False,
    common: GroupCommon = GroupCommon(),
) -> int:
    """Keep who you are at a Python feed, a git server or a container registry.

    In the file a secret is best written as ${NAME}: it stays in that variable, read when it is needed.
    A secret in clear goes to the operating system's keyring, and into no file of lading's.

    For example:

        lading connection create -f connection.yml

        lading connection create -n feed -t python_feed --target https://feed.example --secret-env PAT

        lading connection create -n hub -t container_registry --target hub.example.com -u anna --secret-stdin

    Args:
        target: URL of the feed or repository, or what it begins with; a registry's host.
        username: Who you are; with a token alone nobody need be named.
        secret_env: Variable that holds the token or password.
        secret_stdin: Read the token or password from standard input.
        insecure_storage: Keep a secret that was given in clear in a file of mode 0600, in clear.
    """
    console = Console(common)
    given = {"name": name, "type": type_, "target": target}
    words = [f"{key}={value}" for key, value in given.items() if value is not None]
    if secret_env and secret_stdin:
        raise SpecError(Issue("--secret-stdin", "got a variable too, expected one of them"))
    secret = _read() if secret_stdin or (username and not secret_env) else None
    words += _credentials(username, secret_env or (_GIVEN if secret else None))
    with Context(common.settings(), console.event) as context:
        kept = connections.create(context, file, (*words, *set_), secret=secret, insecurely=insecure_storage)
    console.result(f"{kept.name}  {kept.type}  {kept.target}", connections.to_json(kept))
    return 0


def _credentials(username: str | None, variable: str | None) -> list[str]:
    """Spell flags as what the file would have below `credentials`."""
    if variable is None:
        return []
    kind, key = ("username_password", "password") if username else ("pat", "pat")
    words = [f"credentials.type={kind}", f"credentials.{key}=${{{variable}}}"]
    return [*words, *([f"credentials.username={username}"] if username else [])]


def _read() -> str:
    if sys.stdin.isatty():
        return getpass.getpass("Token or password: ", stream=sys.stderr)
    try:
        secret = sys.stdin.buffer.read().decode().rstrip("\r\n")
    except UnicodeDecodeError:
        # the exception holds what was read
        raise SpecError(Issue("connection", "the secret is not text in UTF-8")) from None
    if not secret:
        raise SpecError(Issue("connection", "got no secret on standard input"))
    return secret


def show(*, name: Named, common: GroupCommon = GroupCommon()) -> int:
    """Show a connection, and where its secret is kept; never the secret.

    For example:

        lading connection show -n feed
    """
    console = Console(common)
    with Context(common.settings(), console.event) as context:
        found = connections.to_json(connections.show(context, name))
    lines = [f"{key:<12} {value}" for key, value in found.items() if value and key != "credentials"]
    lines += [f"{key:<12} {value}" for key, value in found["credentials"].items() if value]
    console.result("\n".join(lines), found)
    return 0


def list_(*, common: GroupCommon = GroupCommon()) -> int:
    """List the connections.

    For example:

        lading connection list
    """
    console = Console(common)
    with Context(common.settings(), console.event) as context:
        found = [connections.to_json(one) for one in connections.listed(context)]
    rows = [[one["name"], one["type"], one["target"], one["credentials"]["secret"] or ""] for one in found]
    console.table(["NAME", "TYPE", "TARGET", "SECRET"], rows, found)
    return 0


def delete(
    *,
    name: Named,
    yes: Annotated[bool, Parameter(alias="-y", negative="")] = False,  # noqa: ARG001 - nothing is asked
    common: GroupCommon = GroupCommon(),
) -> int:
    """Forget a connection, and its secret where lading had it kept.

    For example:

        lading connection delete -n feed

    Args:
        yes: Taken, as az has it; nothing is asked.
    """
    console = Console(common)
    with Context(common.settings(), console.event) as context:
        found = connections.delete(context, name)
    console.result(f"forgot {found.name}", connections.to_json(found))
    return 0
