"""TOML text ⇄ a dictionary."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from lading.core.errors import Issue, LockError


def parse(data: bytes, where: str) -> dict[str, Any]:
    """Read a TOML document; raise LockError, naming `where`, for one that is malformed."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    try:
        document: dict[str, Any] = tomllib.loads(data.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise LockError(Issue(where, f"not TOML: {_sentence(error)}")) from error
    return document


def render(document: Mapping[str, Any]) -> bytes:
    """Print a TOML document, in the order of its keys."""
    import tomli_w

    return tomli_w.dumps(document).encode()


def _sentence(error: Exception) -> str:
    text = str(error)
    return text[:1].lower() + text[1:]
