"""Azure ML's inference server (azureml-inference-server-http), laid out as Azure ML lays it out.

Code in /var/azureml-app/NAME, the model in /var/azureml-app/azureml-models/NAME/VERSION, where a folder keeps
its own name and a single file lies directly ("Understand how models are deployed", AZUREML_MODEL_DIR).
"""

from __future__ import annotations

from pathlib import PurePosixPath

from lading.core.errors import Issue, SpecError
from lading.core.model import ModelFacts
from lading.core.server import Listening, Server, ServerNeeds
from lading.core.spec import PackageSpec

NAME = "azureml_online"
DISTRIBUTION = "azureml-inference-server-http"
PORT = 5001
_APP = "/var/azureml-app"


def needs(spec: PackageSpec, facts: ModelFacts) -> ServerNeeds:
    """Return what it needs to serve a scoring script; SpecError where there is none."""
    if facts.code is None or facts.entry is None or ":" in facts.entry:
        what = f"got {facts.entry!r}, expected a scoring script with init() and run()"
        raise SpecError(Issue("entry", what, "set 'code' and 'entry: score.py'"))
    settings = spec.server_settings
    name = settings.model_name or spec.name or "model"
    mount = settings.model_mount_path or f"{_APP}/azureml-models"
    folder = f"{mount}/{name}/{settings.model_version or spec.version or '1'}"
    code = f"{_APP}/{facts.code.name if facts.code.is_dir() else 'code'}"
    script = PurePosixPath(code, facts.entry)
    return ServerNeeds(
        name=NAME,
        requirements=(DISTRIBUTION,),
        entrypoint=("/opt/lading/env/bin/python", "-m", "azureml_inference_server_http"),
        command=("--entry_script", str(script), "--port", str(PORT)),
        port=PORT,
        routes={"liveness": "/", "readiness": "/", "scoring": "/score"},
        modules=("azureml_inference_server_http",),
        variables={
            "AML_APP_ROOT": str(script.parent),
            "AZUREML_ENTRY_SCRIPT": script.name,
            "AZUREML_MODEL_DIR": folder,
        },
        model_path=f"{folder}/{settings.model_folder}" if settings.model_folder else folder,
        code_path=code,
        working_directory=str(script.parent),
    )


def listen(_: str, port: int) -> Listening:
    """Say it by an argument, which wins over the image's own; it listens on every address."""
    return Listening(("--port", str(port)))


SERVER = Server(NAME, needs, listen)
