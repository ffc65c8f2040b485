"""`WWW-Authenticate` → the ways to log in that a server offers (RFC 9110, 11.6.1)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER = re.compile(rf'({_WORD})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|({_WORD}))')
_SCHEME = re.compile(rf"({_WORD})(?=\s|,|\Z)")
_REST = re.compile(r"[^,]*")
_SPACE = re.compile(r"[\s,]*")


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way to log in: its scheme and the names of its parameters in lower case."""

    scheme: str
    parameters: Mapping[str, str]


def parse(text: str) -> tuple[Challenge, ...]:
    """Read the challenges in order; what is malformed is left out.

    >>> parse('Bearer realm="https://a/token",scope="repository:x:pull,push", Basic realm=b')[0].parameters
    {'realm': 'https://a/token', 'scope': 'repository:x:pull,push'}
    """
    found: list[tuple[str, dict[str, str]]] = []
    at = _SPACE.match(text).end()  # type: ignore[union-attr] # it matches nothing, too
    while at < len(text):
        if found and (parameter := _PARAMETER.match(text, at)):
            name, quoted, plain = parameter.groups()
            value = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            found[-1][1].setdefault(name.lower(), value)
            at = parameter.end()
        elif scheme := _SCHEME.match(text, at):
            found.append((scheme[1].lower(), {}))
            at = scheme.end()
        else:  # token68, or nothing that the grammar knows
            at = _REST.match(text, at).end()  # type: ignore[union-attr] # it matches nothing, too
        at = _SPACE.match(text, at).end()  # type: ignore[union-attr] # it matches nothing, too
    return tuple(Challenge(scheme, parameters) for scheme, parameters in found)
