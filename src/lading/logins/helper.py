"""A program `docker-credential-NAME`, asked for a login, given one, told to forget one.

Source: github.com/docker/docker-credential-helpers, "Development": a verb as the argument, JSON or the server
on stdin, JSON or a message on stdout. What a helper prints is never repeated: it may hold a secret.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess

from lading.core.errors import Issue, RegistryError
from lading.core.login import Login

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")
"""What may stand for NAME: the name of a program on PATH, never a path."""
_TIMEOUT_S = 30.0
_NOT_FOUND = "credentials not found"
_TOKEN_USER = "<token>"  # noqa: S105 - the user that stands for "the secret is an identity token"


def get(name: str, server: str) -> Login | None:
    """Ask for a login; None where the helper has none. RegistryError where it is missing, fails or hangs."""
    done = _run(name, "get", server, server)
    if done.returncode != 0 and _NOT_FOUND in done.stdout:
        return None
    _check(done, name, "get", server)
    try:
        answer = json.loads(done.stdout)
        username, secret = answer["Username"], answer["Secret"]
    except (ValueError, KeyError, TypeError) as error:
        raise RegistryError(_issue(name, "answers no JSON of Username and Secret", server)) from error
    if not isinstance(username, str) or not isinstance(secret, str):
        raise RegistryError(_issue(name, "answers no JSON of Username and Secret", server))
    if not username and not secret:
        return None
    return Login("", "", secret) if username == _TOKEN_USER else Login(username, secret)


def store(name: str, server: str, login: Login) -> None:
    """Hand a login over; RegistryError where the helper does not take it."""
    username = _TOKEN_USER if login.identity_token else login.username
    document = {
        "ServerURL": server,
        "Username": username,
        "Secret": login.identity_token or login.password,
    }
    _check(_run(name, "store", json.dumps(document), server), name, "store", server)


def erase(name: str, server: str) -> None:
    """Have a login forgotten; no error where there is none."""
    done = _run(name, "erase", server, server)
    if _NOT_FOUND not in done.stdout:
        _check(done, name, "erase", server)


def _run(name: str, verb: str, text: str, server: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which(f"docker-credential-{name}") if NAME.match(name) else None
    if program is None:
        raise RegistryError(_issue(name, "is configured, but not on PATH", None))
    try:
        return subprocess.run(
            [program, verb],
            input=text,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            errors="replace",
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        # the exception holds what was written: it must not become the cause of another
        problem = f"has not answered {verb!r} within {_TIMEOUT_S:.0f} s"
    except OSError as error:
        problem = f"cannot be run: {error.strerror}"
    raise RegistryError(_issue(name, problem, server))


def _check(done: subprocess.CompletedProcess[str], name: str, verb: str, server: str) -> None:
    if done.returncode != 0:
        raise RegistryError(_issue(name, f"{verb!r} fails with exit status {done.returncode}", server))


def _issue(name: str, what: str, server: str | None) -> Issue:
    program = f"docker-credential-{name}"
    fix = f"install it, or take {name!r} out of the configuration that names it"
    return Issue(program, what, fix if server is None else f"see what `echo {server} | {program} get` says")
