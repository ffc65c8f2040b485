"""Canonical JSON: equal values, equal bytes, so that a document can be named by its digest."""

from __future__ import annotations

import json
from typing import Any

from lading.core.errors import IntegrityError, Issue


def encode(document: Any, *, allow_nan: bool = False) -> bytes:  # noqa: ANN401 (any JSON value)
    """Write sorted keys, no spaces, UTF-8; raise IntegrityError for what JSON cannot say.

    `allow_nan` is for what clients send: `NaN` and `Infinity` are no JSON, and servers of models know them.
    """
    try:
        text = json.dumps(
            document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=allow_nan
        )
        return text.encode()
    except (TypeError, ValueError, RecursionError) as error:  # UnicodeEncodeError is a ValueError
        raise IntegrityError(Issue("document", f"cannot be written as JSON: {error}")) from error


def decode(data: bytes, where: str) -> Any:  # noqa: ANN401 (any JSON value)
    """Read JSON in UTF-8; raise IntegrityError, naming where it came from, for anything else."""
    try:
        return json.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise IntegrityError(Issue(where, f"is not JSON: {error}")) from error
