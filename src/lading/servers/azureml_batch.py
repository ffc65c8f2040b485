"""Azure ML's batch scoring: `init()` and `run(mini_batch)`, driven by `lading score` or by a request.

The driver in the image is ours and needs nothing; the layout is that of the online server.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lading.core.bill import Bill
from lading.core.model import ModelFacts
from lading.core.server import Ask, Listening, Server, ServerNeeds
from lading.core.spec import PackageSpec
from lading.servers import azureml_requests
from lading.servers.azureml_layout import BATCH_SCRIPT, lay_out

NAME = "azureml_batch"
PORT = 5001
OUTPUT = "/tmp/lading-output"  # noqa: S108 - in the image: the one folder that may be written
_DRIVER = "/opt/lading/batch/driver.py"


def needs(spec: PackageSpec, facts: ModelFacts) -> ServerNeeds:
    """Return what it needs to run a batch scoring script; SpecError where there is none."""
    layout = lay_out(spec, facts, BATCH_SCRIPT)
    driver = Path(__file__).with_name("batch_driver.py").read_bytes()
    return ServerNeeds(
        name=NAME,
        requirements=layout.requirements,
        entrypoint=("/opt/lading/env/bin/python", _DRIVER),
        command=(str(layout.script),),
        port=PORT,
        routes={"liveness": "/", "readiness": "/", "scoring": "/score"},
        variables={**layout.variables, "AZUREML_BI_OUTPUT_PATH": OUTPUT},
        files={**layout.files, _DRIVER: driver},
        model_path=layout.model_path,
        code_path=layout.code_path,
        working_directory=str(layout.script.parent),
    )


def listen(host: str, port: int) -> Listening:
    """Say it by arguments."""
    return Listening(("--host", host, "--port", str(port)))


def ask(inputs: Any, bill: Bill) -> Ask:  # noqa: ANN401 - any JSON value
    """Send a recorded example as files: those it names, or one of JSON."""
    files = inputs.get("files") if isinstance(inputs, dict) else None
    if files is None:
        fields = bill.model.signature.inputs if bill.model.signature else ()
        is_made = bill.code is None or bill.code.entry is None
        value = azureml_requests.as_input_data(inputs, fields) if is_made else inputs
        files = {"example.json": json.dumps(value)}
    return Ask(bill.server.routes["scoring"], json.dumps({"files": files}).encode())


def outputs(body: bytes, bill: Bill) -> Any:  # noqa: ANN401 - any JSON value
    """Take the predictions out of the rows: of an MLflow model without their numbers and files."""
    answer = json.loads(body)
    rows: list[Any] = answer["rows"]
    if bill.code is not None and bill.code.entry is not None:
        return [row[0] if isinstance(row, list) and len(row) == 1 else row for row in rows]
    names = answer["columns"][1:-1]
    return [row[1] if len(row) == 3 else dict(zip(names, row[1:-1], strict=True)) for row in rows]


SERVER = Server(NAME, needs, listen, ask, outputs)
