"""MLflow's `POST /invocations`: its four JSON forms and CSV in, `{"predictions": …}` out."""

from __future__ import annotations

from lading_runtime.front import answers, bodies
from lading_runtime.front.messages import Request, Response
from lading_runtime.front.model import Model
from lading_runtime.front.render import predictions
from lading_runtime.front.routes import Table


async def invocations(model: Model, request: Request) -> Response:
    """Answer one request."""
    return await answers.respond(model, request, await bodies.read(model, request), predictions)


async def version(model: Model, _: Request) -> Response:
    """Answer `GET /version`: a bare string, as MLflow's server gives its own."""
    return Response(model.bill.lading.encode())


ROUTES: Table = {
    "/invocations": {"POST": invocations},
    "/predict": {"POST": invocations},
    "/version": {"GET": version},
}
