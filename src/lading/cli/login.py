"""`lading login`."""

from __future__ import annotations

import getpass
import sys
from typing import Annotated

from cyclopts import Parameter

from lading.cli.console import Common, Console
from lading.core.errors import Issue, SpecError
from lading.pipeline import logins
from lading.pipeline.context import Context


def run(
    registry: str,
    /,
    *,
    username: Annotated[str | None, Parameter(alias="-u")] = None,
    password_stdin: Annotated[bool, Parameter(negative="")] = False,
    plain_http: Annotated[bool, Parameter(negative="")] = False,
    common: Common = Common(),
) -> int:
    """Log in to a registry: the login is tried, then kept where Docker, podman and skopeo find it too.

    A credential helper that their configuration names keeps it instead of the file.

    For example:

        lading login registry.example.com

        lading login registry.example.com -u anna --password-stdin < token

    Args:
        registry: Host and perhaps a port, or a namespace in it, such as quay.io/team.
        username: Who you are; default: ask.
        password_stdin: Read the password from standard input; default: ask without showing it.
        plain_http: Speak to the registry without TLS, which loopback is spoken to without anyway.
    """
    console = Console(common)
    context = Context(common.settings(), console.event)
    user, password = _ask(username, from_stdin=password_stdin)
    path = logins.login(context, registry, user, password, plain_http=plain_http)
    document = {"registry": registry, "username": user, "file": str(path)}
    console.result(f"logged in to {registry} as {user}, kept by {path}", document)
    return 0


def _ask(username: str | None, *, from_stdin: bool) -> tuple[str, str]:
    """Ask for what is missing; raise SpecError where nobody can be asked."""
    if from_stdin:
        if username is None:
            raise SpecError(Issue("login", "--password-stdin needs a user", "name it with --username"))
        try:
            password = sys.stdin.buffer.read().decode().rstrip("\r\n")
        except UnicodeDecodeError:
            # the exception holds what was read
            raise SpecError(Issue("login", "the password is not text in UTF-8")) from None
    elif sys.stdin.isatty():
        if username is None:
            print("Username: ", end="", file=sys.stderr, flush=True)
            username = sys.stdin.readline().strip()
        password = getpass.getpass("Password: ", stream=sys.stderr)
    else:
        fix = "give the password on standard input, with --username and --password-stdin"
        raise SpecError(Issue("login", "there is no terminal to ask for the password", fix))
    if not username or ":" in username or not password:
        what = "got an empty user or password, or a ':' in the user"
        raise SpecError(Issue("login", what, "give both"))
    return username, password
