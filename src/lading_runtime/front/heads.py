"""A response in, the bytes of its head out; what most heads share is made once a second, with the date."""

from __future__ import annotations

import time
from collections.abc import Mapping

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# those that are answered with; http.HTTPStatus would know all, and cost as much as the rest of this file
_REASONS = {
    200: "OK",
    201: "Created",
    202: "Accepted",
    204: "No Content",
    304: "Not Modified",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    408: "Request Timeout",
    409: "Conflict",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    422: "Unprocessable Content",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    504: "Gateway Timeout",
    507: "Insufficient Storage",
}
_MAX_KEPT = 100


class Heads:
    """Heads by status and content type, for as long as the second lasts."""

    def __init__(self) -> None:
        """Begin with this second's date."""
        self._made: dict[tuple[int, bytes], bytes] = {}
        self._second = 0
        self._date = b""
        self.turn()

    def turn(self) -> None:
        """Bring the date up to now."""
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._date = date(second)
            self._made.clear()

    def start(self, status: int, content_type: bytes) -> bytes:
        """Return status line, date and content type."""
        made = self._made.get((status, content_type))
        if made is None:
            reason = _REASONS.get(status, "").encode()
            made = b"HTTP/1.1 %d %s\r\ndate: %s\r\n" % (status, reason, self._date)
            if content_type:
                made += b"content-type: %s\r\n" % content_type
            if len(self._made) < _MAX_KEPT:
                self._made[status, content_type] = made
        return made


def date(second: int) -> bytes:
    """Print a time as HTTP has it, whatever the locale."""
    t = time.gmtime(second)
    day, month = _DAYS[t.tm_wday], _MONTHS[t.tm_mon - 1]
    clock = f"{t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02}"
    return f"{day}, {t.tm_mday:02} {month} {t.tm_year} {clock} GMT".encode()


def lines(headers: Mapping[str, str]) -> bytes:
    """Print further headers; a line break in one, which would begin another, becomes a space."""
    text = ""
    for name, value in headers.items():
        one_line = " ".join(value.splitlines()) if "\n" in value or "\r" in value else value
        text += f"{name}: {one_line}\r\n"
    return text.encode("latin-1", "replace")
