"""A server's name in, that server, which tells what it needs of a package, out."""

from __future__ import annotations

import difflib

from lading.core.errors import Issue, SpecError
from lading.core.server import Server
from lading.servers import (
    azureml_batch,
    azureml_online,
    bentoml,
    cog,
    custom,
    mlflow,
    mlserver,
    native,
    tensorflow_serving,
    torchserve,
    triton,
)

_SERVERS: dict[str, Server] = {
    one.SERVER.name: one.SERVER
    for one in (
        native,
        azureml_online,
        azureml_batch,
        mlflow,
        mlserver,
        bentoml,
        cog,
        torchserve,
        triton,
        tensorflow_serving,
        custom,
    )
}

__all__ = ["find"]


def find(name: str) -> Server:
    """Return a server; raise SpecError, which lists the known ones, for another name."""
    try:
        return _SERVERS[name]
    except KeyError:
        near = difflib.get_close_matches(name, _SERVERS, 1)
        expected = " or ".join(map(repr, sorted(_SERVERS)))
        fix = f"did you mean {near[0]!r}?" if near else None
        raise SpecError(Issue("server", f"got {name!r}, expected {expected}", fix)) from None
