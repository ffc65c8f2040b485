"""Azure ML's inference server (azureml-inference-server-http), laid out as Azure ML lays it out."""

from __future__ import annotations

from lading.core.model import ModelFacts
from lading.core.server import Listening, Server, ServerNeeds
from lading.core.spec import PackageSpec
from lading.servers import azureml_requests
from lading.servers.azureml_layout import lay_out

NAME = "azureml_online"
DISTRIBUTION = "azureml-inference-server-http"
PORT = 5001


def needs(spec: PackageSpec, facts: ModelFacts) -> ServerNeeds:
    """Return what it needs to serve a scoring script; SpecError where there is none."""
    layout = lay_out(spec, facts)
    return ServerNeeds(
        name=NAME,
        requirements=(DISTRIBUTION, *layout.requirements),
        entrypoint=("/opt/lading/env/bin/python", "-m", "azureml_inference_server_http"),
        command=("--entry_script", str(layout.script), "--port", str(PORT)),
        port=PORT,
        routes={"liveness": "/", "readiness": "/", "scoring": "/score"},
        modules=("azureml_inference_server_http",),
        variables=layout.variables,
        files=layout.files,
        model_path=layout.model_path,
        code_path=layout.code_path,
        working_directory=str(layout.script.parent),
    )


def listen(_: str, port: int) -> Listening:
    """Say it by an argument, which wins over the image's own; it listens on every address."""
    return Listening(("--port", str(port)))


SERVER = Server(NAME, needs, listen, azureml_requests.ask)
