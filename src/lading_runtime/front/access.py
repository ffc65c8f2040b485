"""What the server was told of tokens and certificates in; who may ask it out.

Whatever cannot be read ends the server: one that was to be closed is never open.
"""

from __future__ import annotations

import hmac
import ssl
from collections.abc import Mapping, Sequence

from lading_runtime.front.messages import Refusal
from lading_runtime.front.settings import Settings

_SCHEME = b"bearer "


class AccessError(Exception):
    """A token or a certificate cannot be had."""


class Access:
    """Bearer tokens, each of which opens every route."""

    def __init__(self, tokens: Sequence[str]) -> None:
        """Take the tokens; a file may hold the old one and the new one, a line each."""
        self._tokens = [one.encode() for one in tokens]

    def check(self, headers: Mapping[bytes, bytes]) -> None:
        """Refuse a request without one of the tokens; how long that takes does not tell how near it came."""
        given = headers.get(b"authorization", b"")
        token = given[len(_SCHEME) :].strip() if given[: len(_SCHEME)].lower() == _SCHEME else b""
        # each is compared, so that neither tells which of them it was
        if not sum([hmac.compare_digest(token, one) for one in self._tokens]):
            headers_out = {"www-authenticate": "Bearer"}
            raise Refusal(401, "expected 'authorization: Bearer …' with the token", headers=headers_out)


def read(settings: Settings, environ: Mapping[str, str]) -> Access | None:
    """Read the tokens of `LADING_TOKEN` and `LADING_TOKEN_FILE`; return None where neither is set.

    They are no settings of the others' kind, so that whatever prints those cannot print them.
    """
    tokens = [environ.get("LADING_TOKEN", "").strip()]
    path = settings.token_file
    if path:
        try:
            with open(path, encoding="utf-8") as stream:  # noqa: PTH123 - no need of pathlib for this
                tokens += [line.strip() for line in stream]
        except (OSError, UnicodeDecodeError) as error:
            raise AccessError(f"LADING_TOKEN_FILE={path!r}: {_why(error)}") from None
        if not any(tokens):
            raise AccessError(f"LADING_TOKEN_FILE={path!r}: holds no token")
    tokens = [one for one in tokens if one]
    if "LADING_TOKEN" in environ and not tokens:
        raise AccessError("LADING_TOKEN: is empty")
    return Access(tokens) if tokens else None


def tls(settings: Settings) -> ssl.SSLContext | None:
    """Make what speaks TLS; return None where no certificate is set."""
    certificate, key, authority = settings.tls_certificate, settings.tls_key, settings.tls_client_ca
    if not certificate:
        if key or authority:
            raise AccessError("LADING_TLS_CERTIFICATE: is not set, though LADING_TLS_KEY or _CLIENT_CA is")
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    name = "LADING_TLS_CERTIFICATE"
    try:
        # a key that wants a passphrase would have it asked for at a terminal
        context.load_cert_chain(certificate, key or None, password=lambda: "")
        if authority:
            name, certificate = "LADING_TLS_CLIENT_CA", authority
            context.load_verify_locations(authority)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ValueError) as error:  # ssl's errors are OSErrors
        raise AccessError(f"{name}={certificate!r}: {_why(error)}") from None
    return context


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__
