"""What contracts are written in: requests, responses, and refusals, which are responses that are raised."""

from __future__ import annotations

import json
import reprlib
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, NamedTuple, Optional

import msgspec

# status → the code that MLflow's clients know it by
_CODES = {
    400: "BAD_REQUEST",
    401: "UNAUTHENTICATED",
    404: "RESOURCE_DOES_NOT_EXIST",
    405: "METHOD_NOT_ALLOWED",
    406: "NOT_ACCEPTABLE",
    408: "REQUEST_TIMEOUT",
    409: "RESOURCE_CONFLICT",
    413: "REQUEST_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    422: "INVALID_PARAMETER_VALUE",
    431: "REQUEST_HEADER_FIELDS_TOO_LARGE",
    500: "INTERNAL_ERROR",
    501: "NOT_IMPLEMENTED",
    503: "TEMPORARILY_UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
RETRY_AFTER = {"retry-after": "1"}
_MAX_MESSAGE = 2000
_SHORT = 30
_MOST_NAMES = 6
_LONGEST_NAME = 60


class Request(NamedTuple):
    """A request whose body is there. Header names are in lower case."""

    headers: Mapping[bytes, bytes]
    body: bytes
    arguments: tuple[str, ...] = ()
    """What the route's pattern left open, such as the model's name."""
    method: str = "GET"
    path: str = "/"
    query: bytes = b""
    """What follows the path's `?`, as it was sent."""


class Response(NamedTuple):
    """An answer."""

    body: bytes
    status: int = 200
    content_type: bytes = b"application/json"
    headers: Optional[Mapping[str, str]] = None  # noqa: UP045 - evaluated under Python 3.9 too
    stream: Optional[AsyncIterator[bytes]] = None  # noqa: UP045
    """What follows `body`, piece by piece; its length is not known when it begins."""


def encode(document: object, status: int = 200) -> Response:
    """Make a JSON response; NaN and infinities become null."""
    return Response(msgspec.json.encode(document), status)


class Refusal(Exception):  # noqa: N818 - what it is called in every contract here
    """A request that is not answered with a prediction, and why."""

    said: str = ""
    """What the model's own process said, where it did, without a word of ours before."""
    times_s: tuple[float, float] | None = None
    """How long it waited for a worker and was with one, where it came so far."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
        reason: str | None = None,
    ) -> None:
        """Say why, in a line without secrets or stack traces."""
        super().__init__(message)
        self.status = status
        # a message may quote what a client sent
        self.message = message if len(message) <= _MAX_MESSAGE else message[:_MAX_MESSAGE] + "…"
        self.code = code or _CODES[status]
        self.headers = headers
        # for those who count: a word, of few that there are
        self.reason = reason or self.code.lower()

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel between processes: the arguments of a subclass are its own."""
        return _revived, (type(self), self.args, self.__dict__)

    def response(self) -> Response:
        """Make the one error body that satisfies every contract's clients: each key is read by some."""
        document = {"error": self.message, "error_code": self.code, "message": self.message}
        return encode(document, self.status)._replace(headers=self.headers)


def _revived(kind: type[Refusal], arguments: tuple[Any, ...], state: dict[str, Any]) -> Refusal:
    refusal = kind.__new__(kind, *arguments)
    refusal.__dict__.update(state)
    return refusal


def quote(value: object) -> str:
    """Print a value of a client, shortened: the values may be many, long and deeply nested."""
    if type(value) is str and len(value) <= _SHORT:
        return repr(value)
    return reprlib.repr(value)


def shown(value: object) -> str:
    """Print a JSON value in JSON's words: a list or an object by its kind alone."""
    if isinstance(value, (list, tuple)):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return "an object"
    text = json.dumps(value, default=str)
    return text if len(text) <= _LONGEST_NAME else text[: _LONGEST_NAME - 3] + "…"


def listed(names: Iterable[object]) -> str:
    """Print names; of many the first few and how many they are, so that a message stays short."""
    given = list(names)
    shown = ", ".join(
        repr(one) if len(str(one)) <= _LONGEST_NAME else quote(one) for one in given[:_MOST_NAMES]
    )
    return f"[{shown}, … {len(given)} in all]" if len(given) > _MOST_NAMES else f"[{shown}]"


def repeated(names: Iterable[str]) -> list[str]:
    """Return the names that are there more than once."""
    seen: set[str] = set()
    return list(dict.fromkeys(one for one in names if one in seen or seen.add(one)))  # type: ignore[func-returns-value]


def invalid(message: str) -> Refusal:
    """Refuse a value that the client can correct."""
    return Refusal(400, message, code="INVALID_PARAMETER_VALUE")
