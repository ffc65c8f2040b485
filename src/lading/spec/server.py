"""The key `server` of lading.yaml as keys and values in, ServerSettings out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from lading.core.spec import Route, ServerName, ServerSettings
from lading.spec.typed import Reader

_PORTS = range(1, 65536)


@dataclass(frozen=True, slots=True)
class RouteText:
    """A port and a path of an HTTP server."""

    port: Annotated[int, "port"]
    path: Annotated[str, "path, such as /score"]


@dataclass(frozen=True, slots=True)
class ServerText:
    """An inference server and what is asked of it."""

    type: Annotated[ServerName, "inference server"] = "lading"
    version: Annotated[
        str | None,
        "of the server's distribution: a version, such as 1.4.1, or specifiers, such as '>=1.4,<2'",
    ] = None
    model_name: Annotated[str | None, "what the model is called; default: the package's name"] = None
    model_version: Annotated[str | None, "the model's version; default: the package's, or 1"] = None
    model_mount_path: Annotated[
        str | None, "absolute folder in which the model lies, as NAME/VERSION (azureml_online, azureml_batch)"
    ] = None
    liveness_route: Annotated[RouteText | None, "where the server tells that it lives"] = None
    readiness_route: Annotated[RouteText | None, "where the server tells that it is ready"] = None
    scoring_route: Annotated[RouteText | None, "where the server answers"] = None
    command: Annotated[tuple[str, ...], "what starts a server of one's own"] = ()
    configuration: Annotated[Mapping[str, str], "the server's own keys"] = field(default_factory=dict)


def settings(text: ServerText, reader: Reader) -> ServerSettings:
    """Check what types cannot say, and return the settings."""
    mount = text.model_mount_path
    if mount is not None and (not mount.startswith("/") or {"..", "."} & set(mount.split("/"))):
        reader.complain(
            "server.model_mount_path", f"got {mount!r}, expected an absolute path, such as /models"
        )
    for key in ("model_name", "model_version"):
        value = getattr(text, key)
        if value is not None and (not value or "/" in value or value in {".", ".."}):
            reader.complain(f"server.{key}", f"got {value!r}, expected a name without a slash")
    return ServerSettings(
        version=text.version,
        liveness=_route("liveness_route", text.liveness_route, reader),
        readiness=_route("readiness_route", text.readiness_route, reader),
        scoring=_route("scoring_route", text.scoring_route, reader),
        command=text.command,
        configuration=text.configuration,
        model_name=text.model_name,
        model_version=text.model_version,
        model_mount_path=mount.rstrip("/") if mount else None,
    )


def _route(key: str, route: RouteText | None, reader: Reader) -> Route | None:
    if route is None:
        return None
    if route.port not in _PORTS:
        reader.complain(f"server.{key}.port", f"got {route.port}, expected 1 to 65535")
    if not route.path.startswith("/"):
        reader.complain(f"server.{key}.path", f"got {route.path!r}, expected a path that begins with '/'")
    return Route(route.port, route.path)
