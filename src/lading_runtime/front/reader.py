"""Bytes in, requests out in their order, each with its body or with why it is refused.

The parser is llhttp, as strict as it comes; what it leaves to us is bounded here.
"""

from __future__ import annotations

import asyncio
from collections import deque

import httptools

from lading_runtime.front.application import Application
from lading_runtime.front.exchange import Exchange, Stop
from lading_runtime.front.listener import Listener
from lading_runtime.front.messages import RETRY_AFTER, Refusal
from lading_runtime.front.writer import Writer

HEAD_LIMIT_BYTES = 64 << 10
HEADER_LIMIT = 128
# what is parsed at once; with the number of requests at which reading stops, it bounds how many can wait
SLICE_BYTES = 16 << 10
MOST_WAITING = 32
_TOO_LARGE = "the head is too large"
_TOO_MUCH = "too much is being sent, or has not been read, at once"
_METHODS = {one.encode(): one for one in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")}
# what a connection reads: nothing yet, a head, a body, or what is thrown away
NOTHING, HEAD, BODY, REST = range(4)


class Reader:
    """The receiving side of one connection."""

    _transport: asyncio.Transport
    _writer: Writer

    def __init__(self, app: Application, listener: Listener) -> None:
        """Begin between two requests."""
        self._app = app
        self._listener = listener
        self._loop = listener.loop
        self._body_limit = listener.settings.body_limit_bytes
        self._parser = httptools.HttpRequestParser(self)
        self._reads = NOTHING
        self._since = listener.now
        self._progress = 0
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._head_bytes = 0
        self._incoming: Exchange | None = None
        self._waiting: deque[Exchange] = deque()
        self._running: Exchange | None = None
        self._unread = b""
        self._declined = b""
        self._is_paused = self._is_advancing = False
        # what still comes is thrown away; an answer is the last, though the client may go on sending
        self._is_over = self._lingers = False

    def on_message_begin(self) -> None:
        """Begin a head."""
        self._reads = HEAD
        self._since = self._listener.now
        self._url = b""
        self._headers = {}
        self._head_bytes = 0

    def on_url(self, url: bytes) -> None:
        """Collect the URL, which may come in pieces."""
        self._url += url
        self._head_bytes += len(url)
        if self._head_bytes > HEAD_LIMIT_BYTES:
            raise Stop(431, _TOO_LARGE)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header; what follows a body is read and not kept."""
        self._head_bytes += len(name) + len(value) + 4
        if self._head_bytes > HEAD_LIMIT_BYTES:
            raise Stop(431, _TOO_LARGE)
        if self._reads != HEAD:
            return
        name = name.lower()
        headers = self._headers
        if name in headers:
            if name == b"host":
                raise Stop(400, "got two Host headers")
            value = headers[name] + b", " + value
        elif len(headers) >= HEADER_LIMIT:
            raise Stop(431, f"got more than {HEADER_LIMIT} headers")
        headers[name] = value

    def on_headers_complete(self) -> None:
        """Decide, before any of the body is read, whether it is wanted."""
        headers = self._headers
        parser = self._parser
        if b"upgrade" in headers and parser.should_upgrade():
            return
        verb = parser.get_method()
        if verb == b"CONNECT":
            raise Stop(400, "CONNECT is not supported")
        exchange = self._incoming = Exchange(_METHODS.get(verb) or verb.decode(), headers)
        self._reads = BODY
        self._progress = 0
        exchange.is_last = not parser.should_keep_alive()
        if (
            b"host" not in headers
            or b"connection" in headers
            or b"transfer-encoding" in headers
            or b"expect" in headers
        ):
            self._look_closer(exchange)
        try:
            exchange.target = self._app.find(exchange.method, self._url)
            if self._listener.access is not None and not exchange.target.is_open:
                self._listener.access.check(headers)
            length = headers.get(b"content-length")
            if length is not None and int(length) > self._body_limit:
                raise self._too_large()
        except Refusal as refusal:
            # whoever waits to be told to go on may or may not send the body after all
            exchange.is_last = exchange.is_last or exchange.expects
            exchange.refusal = refusal
            self._accept(exchange)
            return
        if exchange.expects and self._is_idle:
            self._writer.go_on()
            exchange.expects = False

    def on_body(self, body: bytes) -> None:
        """Collect a body; a piece is copied once."""
        exchange = self._incoming
        if exchange is None:
            return
        self._progress += len(body)
        if exchange.refusal is not None:
            return
        if not exchange.body:
            exchange.body = body
            return
        if isinstance(exchange.body, bytes):
            exchange.body = bytearray(exchange.body)
        exchange.body += body
        exchange.held_bytes += len(body)
        listener = self._listener
        listener.held_bytes += len(body)
        if len(exchange.body) > self._body_limit:
            exchange.refusal = self._too_large()
        elif listener.is_full():
            exchange.refusal = Refusal(503, _TOO_MUCH, headers=RETRY_AFTER)
        if exchange.refusal is not None:
            self._release(exchange)
            self._accept(exchange)

    def on_message_complete(self) -> None:
        """Answer a request, or put it behind those that came before it."""
        exchange = self._incoming
        if exchange is None:  # it offers to upgrade, and will be read again
            return
        self._incoming = None
        self._reads = NOTHING
        self._since = self._listener.now
        if exchange.is_last:
            self._is_over = True
        if exchange.refusal is None:
            if len(exchange.body) > self._body_limit:  # in one piece, and without a Content-Length
                exchange.refusal = self._too_large()
            self._accept(exchange)

    @property
    def _is_idle(self) -> bool:
        return self._running is None and not self._waiting

    def _parse(self, data: bytes) -> None:
        if self._reads == HEAD:
            self._head_bytes += len(data)  # the parser keeps a header until it is whole
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._declined = self._decline() + data[upgrade.args[0] :]
        except httptools.HttpParserError as error:
            if self._is_over:  # what follows a last request is nobody's
                return
            cause = error.__context__
            if isinstance(cause, Stop):
                self._refuse(cause.refusal)
            else:
                self._refuse(Refusal(400, "got what is not HTTP/1.1"))
        else:
            if self._reads == HEAD and self._head_bytes > HEAD_LIMIT_BYTES:
                self._refuse(Refusal(431, _TOO_LARGE))

    def _pump(self) -> None:
        """Parse what is unread, until too many requests wait."""
        data, self._unread = self._declined + self._unread, b""
        self._declined = b""
        start = 0
        while not self._is_over and start < len(data):
            if len(self._waiting) >= MOST_WAITING:
                break
            self._parse(data[start : start + SLICE_BYTES])
            start += SLICE_BYTES
            if self._declined:
                data, start, self._declined = self._declined + data[start:], 0, b""
        if self._is_over:
            return
        self._unread = data[start:]
        if len(self._waiting) >= MOST_WAITING and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()

    def _look_closer(self, exchange: Exchange) -> None:
        """Read what says how a request is sent, which most requests need not."""
        headers = exchange.headers
        version = self._parser.get_http_version()
        if version not in {"1.0", "1.1"}:
            raise Stop(400, "got what is not HTTP/1.1")
        exchange.is_old = version != "1.1"
        if b"host" not in headers and not exchange.is_old:
            raise Stop(400, "got no Host header")
        coding = headers.get(b"transfer-encoding")
        if coding is not None and (exchange.is_old or coding.lower() != b"chunked"):
            raise Stop(400, "got a transfer-encoding that is not 'chunked'")
        exchange.expects = headers.get(b"expect", b"").lower() == b"100-continue" and not exchange.is_old

    def _decline(self) -> bytes:
        """Return the head of a request that offers another protocol without its offer, to be read again.

        RFC 9110 lets us ignore it. The parser skips such a request's body, and Java's client makes the offer
        with every first request.
        """
        method, version = self._parser.get_method(), self._parser.get_http_version()
        head = [b"%s %s HTTP/%s" % (method, self._url, version.encode())]
        dropped = (b"upgrade", b"connection", b"http2-settings")
        head += [b"%s: %s" % (name, value) for name, value in self._headers.items() if name not in dropped]
        self._parser = httptools.HttpRequestParser(self)
        self._reads = NOTHING
        return b"\r\n".join([*head, b"", b""])

    def _refuse(self, refusal: Refusal) -> None:
        """Answer what came before, then this, then nothing more."""
        self._is_over = self._lingers = True
        exchange = self._incoming or Exchange("GET", {})
        self._incoming = None
        if exchange.refusal is not None:  # it has been answered already
            self._transport.abort()
            return
        self._release(exchange)
        exchange.refusal = refusal
        exchange.is_last = True
        self._accept(exchange)

    def _accept(self, exchange: Exchange) -> None:
        if self._running is None and not self._waiting and not self._writer.is_blocked:
            self._run(exchange)
        else:
            self._hold(exchange)
            self._waiting.append(exchange)

    def _hold(self, exchange: Exchange) -> None:
        """Count what a request holds while others are answered before it; refuse it where it is too much."""
        more = len(exchange.body) - exchange.held_bytes
        if exchange.refusal is not None or more <= 0:
            return
        exchange.held_bytes += more
        self._listener.held_bytes += more
        if self._listener.is_full():
            self._release(exchange)
            exchange.refusal = Refusal(503, _TOO_MUCH, headers=RETRY_AFTER)

    def _run(self, exchange: Exchange) -> None:
        """Answer a request, the oldest that is not answered."""
        raise NotImplementedError

    def _release(self, exchange: Exchange) -> None:
        """Forget a body."""
        self._listener.held_bytes -= exchange.held_bytes
        exchange.held_bytes = 0
        exchange.body = b""

    def _too_large(self) -> Refusal:
        return Refusal(413, f"got a body of more than {self._body_limit} bytes (LADING_BODY_LIMIT_BYTES)")
