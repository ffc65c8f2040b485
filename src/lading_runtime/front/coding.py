"""Compressed bodies: a request's inflated, at most to the limit, and an answer's compressed where asked."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Mapping

from lading_runtime.front.messages import Refusal, Request, Response

_GZIP, _ZLIB, _RAW = 31, 15, -15
_CODINGS = ("gzip", "deflate")
_LEVEL = 1
_ASIDE_BYTES = 64 << 10
"""More than this is compressed beside the loop: zlib lets go of the interpreter."""
_WORTHWHILE_BYTES = 4 << 10
_MAX_MEMBERS = 16
"""A gzip file may be several, one behind another (RFC 1952); each costs a copy of all that follow."""


async def inflated(request: Request, limit_bytes: int) -> Request:
    """Return a request with its body as it was before `Content-Encoding`; refuse one that grows too large."""
    coding = request.headers.get(b"content-encoding")
    if coding is None:
        return request
    headers = {name: value for name, value in request.headers.items() if name != b"content-encoding"}
    name = coding.strip().lower().decode("latin-1")
    if name == "identity":
        return request._replace(headers=headers)
    if name not in _CODINGS:
        raise Refusal(415, f"got content-encoding {name[:40]!r}, expected one of {', '.join(_CODINGS)}")
    if len(request.body) <= _ASIDE_BYTES // 4:
        body = inflate(request.body, name, limit_bytes)
    else:
        loop = asyncio.get_running_loop()
        body = await loop.run_in_executor(None, inflate, request.body, name, limit_bytes)
    return request._replace(headers=headers, body=body)


def inflate(body: bytes, coding: str, limit_bytes: int) -> bytes:
    """Undo `gzip` or `deflate`; never makes more than the limit, whatever the body says of itself.

    A deflated body is zlib's (RFC 9110), or deflate's own without a wrapper, as some clients have it.
    """
    parts: list[bytes] = []
    left = limit_bytes
    for _ in range(_MAX_MEMBERS):
        stream = zlib.decompressobj(_GZIP if coding == "gzip" else _ZLIB if _is_zlib(body) else _RAW)
        try:
            parts.append(stream.decompress(body, left + 1))
        except zlib.error as error:
            raise Refusal(400, f"got a body that is not {coding}: {error}") from None
        left -= len(parts[-1])
        if left < 0:
            limit = f"{limit_bytes} bytes (LADING_BODY_LIMIT_BYTES)"
            raise Refusal(413, f"got a body that inflates to more than {limit}")
        if not stream.eof:
            raise Refusal(400, f"got a body whose {coding} ends too early")
        body = stream.unused_data
        if not body:
            return parts[0] if len(parts) == 1 else b"".join(parts)
        if coding != "gzip":
            break
    raise Refusal(400, f"got {len(body)} bytes behind the end of the {coding} body")


async def compressed(response: Response, headers: Mapping[bytes, bytes]) -> Response:
    """Compress an answer as the client's `Accept-Encoding` says.

    One coding alone is a wish. A list of them is what HTTP libraries send unasked: then only large JSON is
    compressed, which pays for it.
    """
    accepted = headers.get(b"accept-encoding")
    if accepted is None or response.stream is not None:
        return response
    coding = choose(accepted, response)
    if coding is None:
        return response
    if len(response.body) <= _ASIDE_BYTES:
        body = _deflate(response.body, coding)
    else:
        body = await asyncio.get_running_loop().run_in_executor(None, _deflate, response.body, coding)
    more = {**(response.headers or {}), "content-encoding": coding, "vary": "accept-encoding"}
    return response._replace(body=body, headers=more)


def choose(accepted: bytes, response: Response) -> str | None:
    """Choose a coding for an answer, or none."""
    offers = [one.partition(";") for one in accepted.decode("latin-1").lower().split(",")]
    named = [name.strip() for name, _, weight in offers if not _is_refused(weight)]
    known = [name for name in named if name in _CODINGS]
    if not known:
        return None
    if len(named) > 1:
        is_json = response.content_type.startswith(b"application/json")
        if not is_json or len(response.body) < _WORTHWHILE_BYTES:
            return None
    return known[0]


def _is_refused(weight: str) -> bool:
    """Tell whether a weight is nought (RFC 9110, 12.4.2)."""
    value = weight.replace(" ", "").partition("q=")[2]
    return bool(value) and not value.strip("0.")


def _deflate(body: bytes, coding: str) -> bytes:
    stream = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP if coding == "gzip" else _ZLIB)
    return stream.compress(body) + stream.flush()


def _is_zlib(data: bytes) -> bool:
    """Tell zlib's two bytes of header (RFC 1950) from a bare stream."""
    return len(data) >= 2 and data[0] & 0x0F == 8 and (data[0] << 8 | data[1]) % 31 == 0
