"""MLflow's variables and file of credentials in; who to be at a tracking server, and whom to trust, out.

Source: `mlflow/utils/credentials.py` and `rest_utils.py`. Nobody but the server itself is sent any of it.
"""

from __future__ import annotations

import base64
import ssl
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from lading.core.errors import Issue, RegistryError, SpecError
from lading.http.client import Authorize, Client, origin, public

_FILE = ".mlflow/credentials"
_SECTION = "mlflow"
_TRUE = {"1", "true"}
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_DISTRUST = "name its certificate in MLFLOW_TRACKING_SERVER_CERT_PATH"
_UNREACHED = "check MLFLOW_TRACKING_URI, the network and the proxies"
LOG_IN = "set MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"


def client(environ: Mapping[str, str]) -> Client:
    """Open a client that trusts whom the variables say; SpecError where they cannot be followed."""
    return Client(trust=_trust(environ), distrust=_DISTRUST, unreached=_UNREACHED)


def stranger() -> Client:
    """Open a client for a host that a server names: it is nobody there."""
    return Client(unreached=_UNREACHED)


def split(url: str) -> tuple[str, tuple[str, str] | None]:
    """Cut user and password out of a server's URL."""
    parts = urlsplit(url)
    bare = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))
    pair = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
    return bare, pair


def authorize(base: str, pair: tuple[str, str] | None, environ: Mapping[str, str]) -> Authorize:
    """Return what logs in to one server: its URL's own pair, then the variables', then the file's.

    A pair goes before a token, as with MLflow. Redirected elsewhere, nothing is sent along.
    """
    headers = {"Authorization": _header(pair, environ)}
    workspace = environ.get("MLFLOW_WORKSPACE", "")
    own = {name: value for name, value in {**headers, "X-MLFLOW-WORKSPACE": workspace}.items() if value}

    def ask(url: str) -> tuple[str, Mapping[str, str]]:
        return url, own if origin(url) == origin(base) else {}

    return ask


def is_overheard(base: str, authorize: Authorize) -> bool:
    """Tell whether a secret goes through a network in clear."""
    parts = urlsplit(base)
    return (
        parts.scheme == "http" and parts.hostname not in _LOOPBACK and "Authorization" in authorize(base)[1]
    )


def _header(pair: tuple[str, str] | None, environ: Mapping[str, str]) -> str:
    if not pair:
        kept = _kept(environ)
        user = environ.get("MLFLOW_TRACKING_USERNAME") or kept.get("mlflow_tracking_username")
        password = environ.get("MLFLOW_TRACKING_PASSWORD") or kept.get("mlflow_tracking_password")
        pair = (user, password) if user and password else None
    if pair:
        return f"Basic {base64.b64encode(':'.join(pair).encode()).decode()}"
    token = environ.get("MLFLOW_TRACKING_TOKEN", "").strip()
    if not token.isprintable() or not token.isascii():
        raise SpecError(Issue("MLFLOW_TRACKING_TOKEN", "has letters that no header can carry"))
    return f"Bearer {token}" if token else ""


def _kept(environ: Mapping[str, str]) -> Mapping[str, str]:
    """Read `~/.mlflow/credentials`; empty where there is none."""
    import configparser

    path = Path(environ.get("HOME") or "/") / _FILE
    if not path.is_file():
        return {}
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, configparser.Error) as error:
        # the parser's own text may quote the line, and so a password
        what = f"cannot be read: {type(error).__name__}"
        raise RegistryError(Issue(str(path), what, f"write it anew, or {LOG_IN}")) from None
    return dict(parser[_SECTION]) if _SECTION in parser else {}


def _trust(environ: Mapping[str, str]) -> ssl.SSLContext | None:
    """Make a context of what is said of certificates; None where nothing is."""
    insecure = environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in _TRUE
    certificates = environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH")
    own = environ.get("MLFLOW_TRACKING_CLIENT_CERT_PATH")
    if insecure and certificates:
        what = "is set, and so is MLFLOW_TRACKING_SERVER_CERT_PATH"
        raise SpecError(Issue("MLFLOW_TRACKING_INSECURE_TLS", what, "unset one of them"))
    if not (insecure or certificates or own):
        return None
    where = "MLFLOW_TRACKING_SERVER_CERT_PATH"
    try:
        if certificates:
            Path(certificates).stat()  # a folder that is not there would be one without certificates
        context = ssl.create_default_context(
            cafile=certificates if certificates and Path(certificates).is_file() else None,
            capath=certificates if certificates and not Path(certificates).is_file() else None,
        )
        if insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if own:
            where = "MLFLOW_TRACKING_CLIENT_CERT_PATH"
            context.load_cert_chain(own)
    except (OSError, ssl.SSLError) as error:
        what = f"cannot be read: {error.strerror or error}"
        raise SpecError(Issue(where, what, "name a file of certificates in PEM")) from error
    return context


def unauthorised(url: str, line: str) -> RegistryError:
    """Say that a server knows nobody of that name, or allows it too little."""
    return RegistryError(Issue(public(url), line, LOG_IN))
