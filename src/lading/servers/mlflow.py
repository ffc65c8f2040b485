"""MLflow's own scoring server: FastAPI on uvicorn, or Flask on gunicorn before MLflow 2.21.

It is started as `mlflow models serve --env-manager local` starts it (mlflow/pyfunc/scoring_server), without
the command line's process, which would import MLflow a second time and hand no signal on.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from packaging.version import InvalidVersion, Version

from lading.core.bill import Bill
from lading.core.errors import Issue, SpecError
from lading.core.model import ModelFacts
from lading.core.server import Ask, Listening, Server, ServerNeeds
from lading.core.spec import PackageSpec
from lading.servers.layout import MODEL, PYTHON, SERVING
from lading.servers.recorded import AZURE, table

NAME = "mlflow"
PORT = 8080
_FASTAPI, _WITHOUT_ROUTE = Version("2.21"), Version("3.12")
_SCRIPT = f"{SERVING}/serve_mlflow.py"
_TEXT = b'''"""Start MLflow's scoring server in this process."""

import importlib.util
import os
import sys

# what is downloaded is linked to, which MLflow takes for an escape
os.environ["__pyfunc_model_path__"] = os.path.realpath(os.environ["__pyfunc_model_path__"])
host, port = os.environ["MLFLOW_HOST"], os.environ["MLFLOW_PORT"]
workers = os.environ.get("MLFLOW_MODELS_WORKERS") or "1"
(package,) = importlib.util.find_spec("mlflow").submodule_search_locations
server = "mlflow.pyfunc.scoring_server"
if os.path.exists(os.path.join(package, "pyfunc", "scoring_server", "app.py")):
    command = ["uvicorn", "--host", host, "--port", port, "--workers", workers, server + ".app:app"]
else:
    address = "[{}]:{}" if ":" in host else "{}:{}"
    command = ["gunicorn", "-b", address.format(host, port), "-w", workers, "--timeout", "60"]
    command += ["--worker-tmp-dir", "/tmp", server + ".wsgi:app"]
os.execv(sys.executable, [sys.executable, "-m", *command])
'''


def needs(spec: PackageSpec, facts: ModelFacts) -> ServerNeeds:
    """Return what it needs to serve an MLflow model; SpecError for another."""
    if facts.format != "mlflow":
        what = f"got a model of format {facts.format!r}, expected an MLflow model folder"
        raise SpecError(Issue("server", what, "save it with mlflow.<flavour>.save_model, or take 'lading'"))
    return ServerNeeds(
        name=NAME,
        requirements=("mlflow", *_beside(spec.server_settings.version, facts.saved_with)),
        entrypoint=(PYTHON, _SCRIPT),
        port=PORT,
        routes={"liveness": "/ping", "readiness": "/ping", "scoring": "/invocations"},
        modules=("uvicorn", "uvicorn.main", "mlflow.pyfunc.scoring_server"),
        variables={
            "__pyfunc_model_path__": MODEL,
            "MLFLOW_HOST": "0.0.0.0",  # noqa: S104 - in a container
            "MLFLOW_PORT": str(PORT),
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "GIT_PYTHON_REFRESH": "quiet",
        },
        files={_SCRIPT: _TEXT},
    )


def _beside(asked: str | None, saved_with: Sequence[str]) -> tuple[str, ...]:
    """Return what MLflow forgot to ask for: its server used `app.route`, which Starlette 1 no longer has."""
    saved = next((one for one in saved_with if one.startswith("mlflow==")), "")
    try:
        version = Version(asked or saved.removeprefix("mlflow=="))
    except InvalidVersion:
        return ()
    return ("starlette<1",) if _FASTAPI <= version < _WITHOUT_ROUTE else ()


def listen(host: str, port: int) -> Listening:
    """Say it by the variables that MLflow has for it."""
    return Listening(variables={"MLFLOW_HOST": host, "MLFLOW_PORT": str(port)})


def ask(inputs: Any, bill: Bill) -> Ask:  # noqa: ANN401 - any JSON value
    """Send MLflow's own forms as they stand, and plain rows as a frame or a tensor."""
    body = inputs
    is_own = isinstance(inputs, dict) and AZURE not in inputs
    read = None if is_own else table(inputs, bill.model.signature)
    if read and read.columns:
        body = {"dataframe_split": {"columns": list(read.columns), "data": list(read.rows)}}
        body |= {"params": dict(read.params)} if read.params else {}
    elif read:
        body = {"inputs": list(read.rows)}
    return Ask(bill.server.routes["scoring"], json.dumps(body).encode())


SERVER = Server(NAME, needs, listen, ask)
