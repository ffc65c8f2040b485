"""What one platform of a lock pins ⇄ the JSON document that travels in the package.

Law: `parse(encode(lock)) == lock`, but for the folders of local files, which are nobody else's business.
"""

from __future__ import annotations

from typing import Any

from lading.core import canonical, typed
from lading.core.descriptor import LOCK
from lading.core.errors import IntegrityError, Issue
from lading.core.lock import PlatformLock

_LOCAL = "file:"


def encode(lock: PlatformLock) -> bytes:
    """Write the document: equal locks, equal bytes."""
    return canonical.encode({"schema": LOCK, **_public(typed.to_json(lock))})


def parse(data: bytes, where: str = "lock") -> PlatformLock:
    """Read the document; raise IntegrityError, with every issue, where it is not one."""
    document = canonical.decode(data, where)
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema != LOCK:
        raise IntegrityError(Issue(where, f"got schema {schema!r}, expected {LOCK!r}"))
    return typed.from_json(PlatformLock, document, where)


def _public(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Leave of a local file's URL its name alone."""
    if isinstance(value, dict):
        return {
            key: _LOCAL + one.removeprefix(_LOCAL).rpartition("/")[2]
            if key == "url" and isinstance(one, str) and one.startswith(_LOCAL)
            else _public(one)
            for key, one in value.items()
        }
    return [_public(one) for one in value] if isinstance(value, list) else value
