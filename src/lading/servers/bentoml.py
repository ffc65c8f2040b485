"""BentoML: the author's own service, or one that is written around the model. HTTP on 3000."""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import Any

from lading.core.bill import Bill
from lading.core.errors import Issue, SpecError
from lading.core.model import ModelFacts
from lading.core.server import Ask, Listening, Server, ServerNeeds
from lading.core.spec import PackageSpec
from lading.servers import around
from lading.servers.layout import CODE, PYTHON, SERVING

NAME = "bentoml"
PORT = 3000
_FOLDER = f"{SERVING}/bentoml"
_SERVICE = f'''"""A service of BentoML's around the model."""

from typing import Any

import bentoml

import {around.MODULE}


@bentoml.service(workers=1, traffic={{"timeout": 60}})
class Model:
    """The model."""

    def __init__(self) -> None:
        """Load it."""
        self.model = {around.MODULE}.load()

    @bentoml.api
    def predict(self, inputs: Any) -> Any:
        """Predict from what MLflow's /invocations takes."""
        return self.model(inputs)
'''.encode()


def needs(spec: PackageSpec, facts: ModelFacts) -> ServerNeeds:
    """Return what it needs; SpecError for a model that no service can be written around."""
    folder, service = _FOLDER, "service:Model"
    files: dict[str, bytes] = {}
    scoring = spec.server_settings.scoring
    if facts.format == "python":
        folder, service = CODE, _own(facts)
    else:
        files = {f"{_FOLDER}/service.py": _SERVICE, f"{_FOLDER}/{around.MODULE}.py": around.module(facts)}
    options = sorted(spec.server_settings.configuration.items())
    return ServerNeeds(
        name=NAME,
        requirements=("bentoml",),
        entrypoint=(PYTHON, "-m", "bentoml"),
        command=(
            "serve",
            service,
            "--working-dir",
            folder,
            *(part for key, text in options for part in (f"--{key.replace('_', '-')}", text)),
        ),
        port=PORT,
        routes={
            "liveness": "/livez",
            "readiness": "/readyz",
            "scoring": scoring.path if scoring else "/predict",
        },
        modules=("bentoml", "_bentoml_impl.server", "_bentoml_impl.worker.service", "uvicorn"),
        variables={
            "BENTOML_HOST": "0.0.0.0",  # noqa: S104 - in a container
            "BENTOML_PORT": str(PORT),
            "BENTOML_HOME": "/tmp/bentoml",  # noqa: S108
            "BENTOML_DO_NOT_TRACK": "true",
        },
        files=files,
        working_directory=folder,
    )


def _own(facts: ModelFacts) -> str:
    """Name the author's own service as BentoML does: `module:Class`."""
    file, _, name = (facts.entry or "").partition(":")
    if not name:
        what = f"got {facts.entry!r}, expected the class of a service, 'service.py:Model'"
        raise SpecError(Issue("entry", what))
    return f"{'.'.join(PurePosixPath(file).with_suffix('').parts)}:{name}"


def listen(host: str, port: int) -> Listening:
    """Say it by variables."""
    return Listening(variables={"BENTOML_HOST": host, "BENTOML_PORT": str(port)})


def ask(inputs: Any, bill: Bill) -> Ask:  # noqa: ANN401 - any JSON value
    """Send what the written service takes as its one argument, and to an author's own what it takes."""
    body = inputs if bill.model.format == "python" else {"inputs": inputs}
    return Ask(bill.server.routes["scoring"], json.dumps(body).encode())


SERVER = Server(NAME, needs, listen, ask)
