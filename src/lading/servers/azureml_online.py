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
_GUNICORN = "/opt/lading/azureml/gunicorn.conf.py"
_HOST = "LADING_HOST"
# the server says `--bind 0.0.0.0:PORT` to gunicorn, which wins over what a configuration says of itself
_ON_HOST = f"""\
import os

def on_starting(server):
    host = os.environ["{_HOST}"]
    host = "[%s]" % host if ":" in host else host
    server.cfg.set("bind", [one.replace("0.0.0.0", host) for one in server.cfg.settings["bind"].get()])
""".encode()


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
        files={**layout.files, _GUNICORN: _ON_HOST},
        model_path=layout.model_path,
        code_path=layout.code_path,
        working_directory=str(layout.script.parent),
    )


def listen(host: str, port: int) -> Listening:
    """Say the port by an argument, which wins over the image's own, and the host to gunicorn below it."""
    return Listening(("--port", str(port)), {_HOST: host, "GUNICORN_CMD_ARGS": f"--config {_GUNICORN}"})


def give_up(timeout_s: float) -> dict[str, str]:
    """Say it by a variable: its one worker would be busy with what nobody waits for."""
    return {"SCORING_TIMEOUT_MS": f"{timeout_s * 1000:.0f}"}


SERVER = Server(NAME, needs, listen, azureml_requests.ask, give_up=give_up)
