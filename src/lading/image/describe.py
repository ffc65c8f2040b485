"""Layers and their bill → an OCI image: config, manifest, and an index of several (OCI image spec)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import PurePosixPath
from typing import Any

from lading.core import canonical
from lading.core.accelerator import cuda
from lading.core.bases import BaseImage
from lading.core.bill import Bill
from lading.core.descriptor import CONFIG, INDEX, MANIFEST, Descriptor
from lading.core.digest import Digest
from lading.core.errors import IntegrityError, Issue
from lading.core.image import Image, Layer
from lading.core.server import ServerNeeds

MAX_LAYERS = 60
"""Some engines break near 70."""
USER = "65532:0"
_CERTIFICATES = "SSL_CERT_FILE"
_REACHING_IN = frozenset({"PYTHONHOME", "PYTHONPATH"})
"""Variables of a base that would put its own modules into the environments."""
_ENVIRONMENT = {
    "HOME": "/tmp",  # noqa: S108 (the one folder that a package may write)
    "LANG": "C.UTF-8",
    "PATH": "/opt/lading/env/bin:/usr/local/bin:/usr/bin:/bin",
    # the root file system is read-only: do not try
    "PYTHONDONTWRITEBYTECODE": "1",
    # no maintainer script has made the hashed links that OpenSSL looks for by default
    _CERTIFICATES: "/etc/ssl/certs/ca-certificates.crt",
}
# where the server listens is for its variables to say, as lading_runtime's settings read them
_PROBE = """\
import os, socket
env = os.environ
host = env.get("LADING_HOST") or "0.0.0.0"
port = (env.get("LADING_PORT") or env.get("SAGEMAKER_BIND_TO_PORT") or "").strip()
port = int(port) if port.isdecimal() and 0 < int(port) < 65536 else {port}
host = {{"0.0.0.0": "127.0.0.1", "::": "::1"}}.get(host, host)
s = socket.create_connection((host, port), 4)
if env.get("LADING_TLS_CLIENT_CA"):
    raise SystemExit  # it has no certificate to show: an open port has to do
if env.get("LADING_TLS_CERTIFICATE"):
    import ssl
    s = ssl._create_unverified_context().wrap_socket(s)  # it asks this machine's own
s.sendall(b"GET {route} HTTP/1.0\\r\\n\\r\\n")
raise SystemExit(s.recv(12)[9:] != b"200")
"""
_SECOND_NS = 1_000_000_000
_IMAGE = "org.opencontainers.image."
_BIND_TO_PORT = "com.amazonaws.sagemaker.capabilities.accept-bind-to-port"


def describe(
    bill: Bill,
    layers: Sequence[Layer],
    server: ServerNeeds,
    *,
    created_s: int = 0,
    revision: str | None = None,
    base: BaseImage | None = None,
) -> Image:
    """Describe one platform's image: what the bill says, over these layers, the bill's own last.

    `created_s` is SOURCE_DATE_EPOCH, else 0; `revision` the model's source, where known; `base` the image
    below, whose variables, user and, under a model without code, working directory are kept. Equal
    arguments, equal bytes.
    Raises IntegrityError for more than MAX_LAYERS layers.
    """
    if len(layers) > MAX_LAYERS:
        raise IntegrityError(Issue("image", f"got {len(layers)} layers, expected at most {MAX_LAYERS}"))
    created = _time(created_s)
    facts = _annotations(bill, created, revision)
    config = {
        "architecture": bill.platform.architecture,
        "os": bill.platform.os,
        "created": created,
        "config": _settings(bill, server, facts, base),
        "rootfs": {"type": "layers", "diff_ids": [str(layer.diff_id) for layer in layers]},
        # one for each layer: there are registries that refuse another number
        "history": [{"created": created, "created_by": "lading", "comment": layer.title} for layer in layers],
    }
    config_bytes = canonical.encode(config)
    config_descriptor = Descriptor(CONFIG, Digest.of(config_bytes), len(config_bytes))
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config_descriptor.to_json(),
        "layers": [layer.descriptor.to_json() for layer in layers],
        "annotations": facts,
    }
    return Image(bill.platform, tuple(layers), config_bytes, canonical.encode(manifest))


def index(images: Sequence[Image], annotations: Mapping[str, str]) -> tuple[bytes, Descriptor]:
    """Describe several platforms as one, in order of their platforms; return the index and its descriptor."""
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [one.descriptor.to_json() for one in sorted(images, key=lambda one: one.platform)],
    }
    if annotations:
        document["annotations"] = dict(annotations)
    data = canonical.encode(document)
    return data, Descriptor(INDEX, Digest.of(data), len(data))


def _environment(base: BaseImage | None) -> dict[str, str]:
    """Return the variables, those of the image below under our own; the PATH is both."""
    if base is None:
        return _ENVIRONMENT
    theirs = {key: value for key, value in base.variables.items() if key not in _REACHING_IN}
    environment = theirs | _ENVIRONMENT
    path = _ENVIRONMENT["PATH"].partition(":")
    environment["PATH"] = f"{path[0]}:{theirs.get('PATH') or path[2]}"
    if named := theirs.get(_CERTIFICATES) or base.certificates:
        environment[_CERTIFICATES] = named
    else:
        del environment[_CERTIFICATES]
    return environment


def _settings(
    bill: Bill, server: ServerNeeds, labels: Mapping[str, str], base: BaseImage | None
) -> dict[str, Any]:
    """Say how a container of the image runs (OCI image spec, config.md, "config")."""
    environment = _environment(base) | _accelerated(bill.environment.accelerator)
    if bill.environment.conda_packages:
        ours, _, rest = environment["PATH"].partition(":")
        programs = PurePosixPath(bill.environment.interpreter).parent
        environment["PATH"] = f"{ours}:{programs}:{rest}"
    environment |= dict(bill.environment.variables)
    entrypoint, command = server.entrypoint, server.command
    # what fetches at start (`… --`) becomes what the image brings, where the server has no command of its own
    if base and entrypoint[-1:] in ((), ("--",)):
        entrypoint, command = (*entrypoint, *base.entrypoint), command or base.command
    settings: dict[str, Any] = {
        "User": (base and base.user) or USER,
        "ExposedPorts": {f"{port}/tcp": {} for port in (server.port, *server.more_ports)},
        "Env": [f"{key}={environment[key]}" for key in sorted(environment)],
        "Entrypoint": list(entrypoint),
        "Cmd": list(command),
        "WorkingDir": server.working_directory or _folder(bill, base),
        "Labels": {**labels, _BIND_TO_PORT: "true"},
        "StopSignal": "SIGTERM",
    }
    # without a Python there is nothing in the image to ask with
    if bill.environment.interpreter and (route := server.routes.get("readiness")):
        # Docker's extension; there is no shell in the image
        settings["Healthcheck"] = {
            "Test": [
                "CMD",
                f"{bill.server.path}/bin/python",
                "-ISc",
                _PROBE.format(port=server.port, route=route),
            ],
            "Interval": 10 * _SECOND_NS,
            "Timeout": 5 * _SECOND_NS,
            "StartPeriod": 120 * _SECOND_NS,
            "Retries": 3,
        }
    return settings


def _folder(bill: Bill, base: BaseImage | None) -> str:
    return bill.code.path if bill.code else (base and base.working_dir) or "/opt/lading"


def _accelerated(accelerator: str | None) -> dict[str, str]:
    """Ask for the machine's GPUs, as NVIDIA's container runtime reads it.

    A driver for an older CUDA of the same major version will do (CUDA Compatibility, "Minor version").
    """
    version = cuda(accelerator)
    if version is None:
        return {}
    return {
        "NVIDIA_VISIBLE_DEVICES": "all",
        "NVIDIA_DRIVER_CAPABILITIES": "compute,utility",
        "NVIDIA_REQUIRE_CUDA": f"cuda>={version[0]}.0",
    }


def _annotations(bill: Bill, created: str, revision: str | None) -> dict[str, str]:
    """Say what the image is (OCI image spec, annotations.md); what is not known is left out."""
    known = {
        "title": bill.name,
        "version": bill.version,
        "description": bill.description,
        "created": created,
        "base.name": bill.environment.base,
        "base.digest": bill.environment.base_digest and str(bill.environment.base_digest),
        "revision": revision,
    }
    return {f"{_IMAGE}{key}": text for key, text in known.items() if text}


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
