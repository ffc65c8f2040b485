"""Bytes of a server in, the tables and texts that are looked for out; whatever is otherwise is not there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def read(data: bytes | None) -> object:
    """Read JSON; None where it is none."""
    try:
        return json.loads(data) if data else None
    except (ValueError, RecursionError):
        return None


def table(document: Mapping[str, Any] | None, key: str) -> dict[str, Any]:
    """Take an object out of another; an empty one where there is none."""
    found = (document or {}).get(key)
    return found if isinstance(found, dict) else {}


def tables(document: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """Take a list of objects."""
    found = document.get(key)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def text(document: Mapping[str, Any], key: str) -> str:
    """Take a text, or a number as one; "" where there is neither."""
    found = document.get(key)
    return str(found) if isinstance(found, str | int) else ""
