"""Cog: the author's own predictor, or one that is written around the model. HTTP on 5000."""

from __future__ import annotations

import json
from typing import Any

from lading.core.bill import Bill
from lading.core.errors import Issue, SpecError
from lading.core.model import ModelFacts
from lading.core.server import Ask, Listening, Server, ServerNeeds
from lading.core.spec import PackageSpec
from lading.servers import around
from lading.servers.layout import CODE, PYTHON, SERVING

NAME = "cog"
PORT = 5000
_FOLDER = f"{SERVING}/cog"
_PREDICTOR = f'''"""A predictor of Cog's around the model."""

import json

from cog import BasePredictor, Input

import {around.MODULE}


class Predictor(BasePredictor):
    """Predict from JSON: Cog has no type for rows of any kind."""

    def setup(self) -> None:
        """Load the model."""
        self.model = {around.MODULE}.load()

    def predict(self, inputs: str = Input(description="JSON, as MLflow's /invocations takes it")) -> str:
        """Predict; the answer is JSON, too."""
        return json.dumps(self.model(json.loads(inputs)))
'''.encode()


def needs(_: PackageSpec, facts: ModelFacts) -> ServerNeeds:
    """Return what it needs; SpecError for a model that no predictor can be written around."""
    folder, predictor = _FOLDER, "predict.py:Predictor"
    files: dict[str, bytes] = {}
    if facts.format == "python":
        folder, predictor = CODE, facts.entry or ""
        if ":" not in predictor:
            what = f"got {facts.entry!r}, expected the class of a predictor, 'predict.py:Predictor'"
            raise SpecError(Issue("entry", what))
    else:
        files = {f"{_FOLDER}/predict.py": _PREDICTOR, f"{_FOLDER}/{around.MODULE}.py": around.module(facts)}
        files |= {f"{_FOLDER}/cog.yaml": f"predict: {predictor}\n".encode()}
    return ServerNeeds(
        name=NAME,
        requirements=("cog",),
        entrypoint=(PYTHON, "-m", "cog.server.http"),
        port=PORT,
        routes={"liveness": "/health-check", "readiness": "/health-check", "scoring": "/predictions"},
        modules=("cog", "cog.server.http"),
        variables={"COG_PREDICT_TYPE_STUB": f"{folder}/{predictor}", "PORT": str(PORT), "PYTHONPATH": folder},
        files=files,
        working_directory=folder,
    )


def listen(host: str, port: int) -> Listening:
    """Say it by an argument and Cog's variable."""
    return Listening(("--host", host), {"PORT": str(port)})


def is_ready(body: bytes) -> bool:
    """Tell what /health-check, which always answers 200, says of itself."""
    try:
        answer = json.loads(body)
    except ValueError:
        return False
    return isinstance(answer, dict) and answer.get("status") == "READY"


def ask(inputs: Any, bill: Bill) -> Ask:  # noqa: ANN401 - any JSON value
    """Send a body of Cog's own as it stands, and anything else to the predictor that was written."""
    own = bill.model.format == "python"
    sends = isinstance(inputs, dict) and "input" in inputs
    body = inputs if own and sends else {"input": inputs if own else {"inputs": json.dumps(inputs)}}
    return Ask(bill.server.routes["scoring"], json.dumps(body).encode())


def outputs(body: bytes, bill: Bill) -> Any:  # noqa: ANN401 - any JSON value
    """Read the output; ValueError where the prediction has failed."""
    answer = json.loads(body)
    if not isinstance(answer, dict) or answer.get("status") not in {None, "succeeded"}:
        raise ValueError("the prediction has not succeeded")
    output = answer.get("output")
    return output if bill.model.format == "python" else json.loads(str(output))


SERVER = Server(NAME, needs, listen, ask, outputs, is_ready=is_ready)
