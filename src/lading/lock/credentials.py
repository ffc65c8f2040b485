"""The secrets that this process knows → texts and locks without them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from lading.core.errors import Issue, LockError

_USERINFO = re.compile(r"(?<=://)([^/@\s\"'?#]+)@")
_VARIABLE = re.compile(r"(?:UV|PIP)_[A-Z0-9_]*(?:PASSWORD|TOKEN)\Z")
_WORD_LENGTH = 8
_LEAST_LENGTH = 4


def known(environ: Mapping[str, str], texts: Iterable[str] = ()) -> frozenset[str]:
    """Collect secret values: of variables, of URLs in variables and in `texts`, and of netrc."""
    found = {value for name, value in environ.items() if _VARIABLE.match(name)}
    found |= {name for text in (*environ.values(), *texts) for name in _in_urls(text)}
    found |= set(_in_netrc(environ))
    found |= {unquote(secret) for secret in found}
    return frozenset(secret for secret in found if len(secret) >= _LEAST_LENGTH)


def redact(text: str, secrets: Iterable[str]) -> str:
    """Blot out every URL's user information and every known secret."""
    text = _USERINFO.sub("***@", text)
    for secret in sorted(secrets, key=len, reverse=True):
        text = _pattern(secret).sub("***", text)
    return text


def occurs(text: str, secrets: Iterable[str]) -> bool:
    """Tell whether a secret stands in a text."""
    return bool(_USERINFO.search(text)) or any(_pattern(secret).search(text) for secret in secrets)


def clean(url: str, where: str) -> str:
    """Return a URL without its fragment; raise LockError where it carries credentials or a query.

    A query may be a token, and one that is taken away may be missed: neither is guessed.
    """
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None or parts.query:
        plain = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
        carried = "a query, which may be a token" if parts.query else "credentials"
        fix = "give credentials by netrc, keyring or UV_INDEX_<NAME>_PASSWORD, or the wheel by 'find_links'"
        raise LockError(Issue(where, f"{plain!r} carries {carried}; it would be written to the lock", fix))
    return urlunsplit(parts._replace(fragment=""))


def _pattern(secret: str) -> re.Pattern[str]:
    # a short secret is a word on its own, else 'test' would be found in 'pytest'
    edge = "" if len(secret) >= _WORD_LENGTH else r"\b"
    return re.compile(edge + re.escape(secret) + edge)


def _in_urls(text: str) -> Iterable[str]:
    for match in _USERINFO.finditer(text):
        user, colon, password = match[1].partition(":")
        yield password if colon and password else user


def _in_netrc(environ: Mapping[str, str]) -> Iterable[str]:
    import netrc

    path = Path(environ.get("NETRC") or Path(environ.get("HOME") or os.curdir, ".netrc"))
    try:
        hosts = netrc.netrc(str(path)).hosts
    except (OSError, netrc.NetrcParseError, UnicodeDecodeError):
        return ()
    return [password for _, _, password in hosts.values() if password]
