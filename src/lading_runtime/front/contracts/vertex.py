"""Vertex AI's custom containers: `{"instances", "parameters"}` in, `{"predictions": […]}` out.

The paths are in `AIP_HEALTH_ROUTE` and `AIP_PREDICT_ROUTE`. By default they differ in `:predict`, and some
deployments give that to both: each of them answers GET with health and POST with predictions.
"""

from __future__ import annotations

from collections.abc import Mapping

from lading_runtime import log
from lading_runtime.front import answers, bodies
from lading_runtime.front.contracts.health import ready
from lading_runtime.front.messages import Request, Response
from lading_runtime.front.model import Model
from lading_runtime.front.render import wrapped
from lading_runtime.front.routes import Table


async def predict(model: Model, request: Request) -> Response:
    """Answer the route that predicts; `rawPredict` hands on bodies of any media type."""
    return await answers.respond(model, request, await bodies.read(model, request), wrapped)


_DEPLOYED = "/v1/endpoints/{endpoint}/deployedModels/{deployed}"
ROUTES: Table = {
    _DEPLOYED: {"GET": ready, "POST": predict},
    f"{_DEPLOYED}:predict": {"GET": ready, "POST": predict},
}


def asked(environ: Mapping[str, str]) -> Table:
    """Return the routes that the platform asks for, which come before any other."""
    table = {}
    for variable in ("AIP_HEALTH_ROUTE", "AIP_PREDICT_ROUTE"):
        path = environ.get(variable, "").strip()
        if path.startswith("/") and not set(path) & set("{}?#"):
            table[path] = {"GET": ready, "POST": predict}
        elif path:
            log.write("warning", f"ignored {variable}={path!r}: expected a path")
    return table
