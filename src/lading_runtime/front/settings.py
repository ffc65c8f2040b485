"""Environment variables in, the settings of a server out. Every setting of our own is `LADING_*`."""

# a setting is of any type
# ruff: noqa: ANN401

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Optional

from lading_runtime import log

DEFAULT_PORT = 8080
AZURE_PORT = 5001
"""Where Azure ML's own images listen."""
# LADING_HTTP_PORT is the launcher's `--http_port`, which KServe's runtimes give
_PORT_VARIABLES = ("LADING_HTTP_PORT", "AIP_HTTP_PORT", "PORT", "WEBSITES_PORT")
_GRPC_PORT = 8081
_MOMENT_S = 5.0
_YES, _NO = {"1", "true", "yes", "on"}, {"0", "false", "no", "off"}
# parts of all that happens
_SHARES = ("LADING_ACCESS_LOG_SAMPLE", "LADING_INFERENCE_LOG_SAMPLE")
# where a platform says how long it waits between SIGTERM and SIGKILL: (variable, lame duck, grace) in seconds
_PLATFORMS = (
    ("WEBSITE_SITE_NAME", 0.0, 4.0),  # Azure App Service: 5 s
    ("K_SERVICE", 0.0, 8.0),  # Cloud Run and Knative: 10 s
    ("KUBERNETES_SERVICE_HOST", 3.0, 28.0),  # 30 s, and proxies go on sending for a while
)


class Settings(NamedTuple):
    """How a server behaves. `LADING_X_Y` sets `x_y`, read as what its default is."""

    uds: Optional[str] = None  # noqa: UP045 - evaluated under Python 3.9 too
    """Path of a Unix socket to listen on, instead of ports."""
    host: str = "0.0.0.0"  # noqa: S104 - a container's ports are published by its engine
    ports: tuple[int, ...] = (DEFAULT_PORT,)
    grpc_port: int = _GRPC_PORT
    """Where gRPC is spoken, if that port can be had; 0: nowhere."""
    grpc_uds: str = ""
    """Path of a Unix socket to speak gRPC on, instead of a port."""
    request_timeout_s: float = 60.0
    """Longest that a model may take for one request, and that a request may wait for its turn."""
    queue_length: int = 256
    """Requests that may wait while the workers are busy."""
    async_concurrency: int = 32
    """Requests that a worker has at a time, where the routine is async."""
    batch_rows: int = 64
    """Most rows that are given to the model at once, of requests that can be merged; 1: each by itself."""
    batch_wait_ms: float = 1.0
    """Longest that a free worker waits for the requests that are on their way; whole milliseconds."""
    body_limit_bytes: int = 100 << 20
    bind_after_s: float = 20.0
    """A model that takes longer to load is answered for, with 503, from then on."""
    load_timeout_s: float = 600.0
    keep_alive_s: int = 75
    head_timeout_s: float = 20.0
    """Longest that a request's head, or a TLS handshake, may take."""
    body_timeout_s: float = 30.0
    """In each such interval a client sends, or reads, at least 8 KiB of a body."""
    connection_limit: int = 4096
    buffer_limit_bytes: int = 1 << 30
    """What all requests' bodies together may hold while they arrive and wait."""
    row_limit: int = 1_000_000
    """Rows of one request."""
    depth_limit: int = 100
    """Lists and objects within one another in a request's JSON."""
    tensor_limit_bytes: int = 1 << 30
    """What one request's tensors may come to."""
    token_file: str = ""
    """Path of a file with a bearer token a line, one of which every request but health's has to bear."""
    open_metrics: bool = False
    """Whether `/metrics` is answered without a token too."""
    tls_certificate: str = ""
    """Path of a certificate chain in PEM; with it, ports speak TLS."""
    tls_key: str = ""
    """Path of its key, where that is not in the same file."""
    tls_client_ca: str = ""
    """Path of the authorities whose clients alone are accepted."""
    lame_duck_s: float = 0.0
    """Seconds after SIGTERM in which requests are still accepted, though readiness is gone."""
    grace_s: float = 25.0
    """Seconds after SIGTERM in which the server ends."""
    cog_shutdown: bool = False
    """Whether `POST /shutdown` ends the server, as it does Cog's."""
    webhooks: bool = True
    """Whether Cog's clients may name a URL that this server then tells of their predictions."""
    default_accept: str = "application/json"
    """The media type that `/invocations` answers with where the client has no wish."""
    lenient: bool = False
    """Whether values are cast as MLflow's own server casts them, even where that loses something."""
    strict_model_name: bool = False
    """Whether the Open Inference Protocol's routes answer 404 for other names than the package's."""
    access_log: bool = False
    """Whether a line is logged for each request, or for `access_log_sample` of them and all that failed."""
    access_log_sample: float = 1.0
    inference_log: str = ""
    """Where predictions are recorded: a path of JSON lines, of Parquet (`….parquet`), or `-` for stdout."""
    inference_log_sample: float = 1.0
    """Which part of them is recorded."""
    inference_log_max_bytes: int = 64 << 20
    """A file that has become so large is put by, and another one begun."""
    inference_log_files: int = 5
    """Files that are kept beside the current one."""
    inference_log_redact: str = ""
    """Names and JSON pointers of values that are not recorded, with commas between them."""
    served_name: str = ""
    served_version: str = ""
    """What the model is called here, where that is not what the package calls itself; `bill` reads them."""
    package_digest: str = ""
    """What a platform calls the package; its image cannot hold its own digest."""


def read(environ: Mapping[str, str]) -> Settings:
    """Read the settings; a value that makes no sense is logged, and the default stands."""
    lame_duck_s, grace_s = next(
        ((lame, grace) for variable, lame, grace in _PLATFORMS if environ.get(variable)),
        (Settings().lame_duck_s, Settings().grace_s),
    )
    accept = environ.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT") or Settings().default_accept
    default = Settings(lame_duck_s=lame_duck_s, grace_s=grace_s, default_accept=accept, ports=_ports(environ))
    default = default._replace(grpc_port=_grpc_port(environ), request_timeout_s=_timeout_s(environ))
    own = {
        name: _value(environ, f"LADING_{name.upper()}", getattr(default, name))
        for name in Settings._fields
        if name not in {"ports", "grpc_port"}
    }
    return _clamped(Settings(**{**default._asdict(), **own}))


def _timeout_s(environ: Mapping[str, str]) -> float:
    """Let a request take as long as Azure ML's variable says, and a moment, in which the worker ends it."""
    text = environ.get("SCORING_TIMEOUT_MS", "").strip()
    own_s = Settings().request_timeout_s
    return max(own_s, int(text) / 1000 + _MOMENT_S) if text.isdecimal() else own_s


def _clamped(settings: Settings) -> Settings:
    """Let what is in flight have the last seconds of the grace, however long requests are to be accepted."""
    most_s = max(0.0, settings.grace_s - 2.0)
    if settings.lame_duck_s <= most_s:
        return settings
    what = f"LADING_LAME_DUCK_S={settings.lame_duck_s:g} is too long for LADING_GRACE_S={settings.grace_s:g}"
    log.write("warning", f"{what}: it is {most_s:g}")
    return settings._replace(lame_duck_s=most_s)


def _ports(environ: Mapping[str, str]) -> tuple[int, ...]:
    """`LADING_PORT` alone, or the one that SageMaker gives; else 8080 and every one that a platform names.

    Kubernetes sets `<SERVICE>_PORT=tcp://…` for every service there is, so what is no number is passed over.
    """
    own = _port(environ, "LADING_PORT")
    if own is not None:
        return (own,)
    others = _platforms_ports(environ)
    if environ.get("LADING_PORT", "").strip():
        log.write("warning", f"without a LADING_PORT, the port is {' and '.join(map(str, others))}")
    return others


def _platforms_ports(environ: Mapping[str, str]) -> tuple[int, ...]:
    bound = _port(environ, "SAGEMAKER_BIND_TO_PORT")  # its containers share one network
    if bound:
        return (bound,)
    named = [_port(environ, name) for name in _PORT_VARIABLES]
    if environ.get("AZUREML_MODEL_DIR"):
        named.append(AZURE_PORT)
    grpc = environ.get("LADING_GRPC_PORT", "").strip()  # Knative's PORT may be the one of gRPC
    named = [port for port in named if str(port) != grpc]
    return tuple(dict.fromkeys((DEFAULT_PORT, *(port for port in named if port))))


def _grpc_port(environ: Mapping[str, str]) -> int:
    """Return where gRPC is spoken: beside HTTP's ports, but nowhere where that is told to have no others.

    A Unix socket is one place, and containers of SageMaker that share a network are given one port each.
    """
    own = _port(environ, "LADING_GRPC_PORT")
    if own is not None:
        return own
    return 0 if environ.get("LADING_UDS") or environ.get("SAGEMAKER_BIND_TO_PORT") else _GRPC_PORT


def _port(environ: Mapping[str, str], name: str) -> int | None:
    text = environ.get(name, "").strip()
    if text.isdecimal() and int(text) < 1 << 16:
        return int(text)
    if text:
        log.write("warning", f"ignored {name}={text!r}: expected a port number")
    return None


def _value(environ: Mapping[str, str], name: str, default: Any) -> Any:
    """Read a variable as what its default is: a switch, a number, or a text."""
    if isinstance(default, bool):
        text = environ.get(name, "").strip().lower()
        if text and text not in _YES | _NO:
            log.write("warning", f"ignored {name}={text!r}: expected 0 or 1; it is {int(default)}")
        return text in _YES or (default and text not in _NO)
    if isinstance(default, (int, float)):
        most = 1.0 if name in _SHARES else float("inf")
        return type(default)(number(environ, name, default, most))
    return environ.get(name) or default


def number(environ: Mapping[str, str], name: str, default: float, most: float = float("inf")) -> float:
    """Read a number from 0 to `most`; one that makes no sense is logged, and the default stands."""
    text = environ.get(name, "").strip()
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if 0 <= value < float("inf") and value <= most:
        return value
    wanted = "a number of at least 0" if most == float("inf") else f"a number from 0 to {most:g}"
    log.write("warning", f"ignored {name}={text!r}: expected {wanted}; it is {default:g}")
    return default
