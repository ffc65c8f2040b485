"""TensorFlow Serving, in an image that the author names: SavedModels below /models/NAME, REST on 8501."""

from __future__ import annotations

import json
import re
from typing import Any

from lading.core.bill import Bill
from lading.core.errors import Issue, SpecError
from lading.core.model import ModelFacts
from lading.core.server import Ask, Listening, Server, ServerNeeds
from lading.core.spec import PackageSpec
from lading.servers.layout import image_issues, model_name
from lading.servers.recorded import table

NAME = "tensorflow_serving"
REST, GRPC = 8501, 8500
_SAVED = re.compile(r"(?:(\d+)/)?saved_model\.pb(?:txt)?\Z")


def needs(spec: PackageSpec, facts: ModelFacts) -> ServerNeeds:
    """Return what it needs to serve a SavedModel, or a folder with versions of one; SpecError for another."""
    issues = list(image_issues(spec, "TensorFlow Serving's, such as docker.io/tensorflow/serving:2.19.0"))
    found = [match for one in facts.files if (match := _SAVED.match(one.path))]
    if not found:
        what = "got no saved_model.pb, expected a SavedModel, or a folder with one in each version"
        issues.append(Issue("model", what, "save it with tf.saved_model.save or model.export"))
    if issues:
        raise SpecError(*issues)
    name = model_name(spec, facts)
    asked = spec.server_settings.model_version or spec.version or "1"
    version = asked if asked.isdecimal() else "1"
    model = f"/v1/models/{name}"
    return ServerNeeds(
        name=NAME,
        requirements=(),
        entrypoint=("/usr/bin/tensorflow_model_server",),
        command=(
            f"--port={GRPC}",
            f"--rest_api_port={REST}",
            f"--model_name={name}",
            f"--model_base_path=/models/{name}",
            *(f"--{key}={text}" for key, text in sorted(spec.server_settings.configuration.items())),
        ),
        port=REST,
        more_ports=(GRPC,),
        routes={"liveness": model, "readiness": model, "scoring": f"{model}:predict"},
        variables={"MODEL_NAME": name, "MODEL_BASE_PATH": "/models"},
        model_path=f"/models/{name}" if found[0][1] else f"/models/{name}/{version}",
    )


def listen(_: str, port: int) -> Listening:
    """Say it by an argument, of which the last counts; it listens on every address. Without gRPC."""
    return Listening((f"--rest_api_port={port}", "--port=0"))


def ask(inputs: Any, bill: Bill) -> Ask:  # noqa: ANN401 - any JSON value
    """Send `instances` and `inputs` as they stand, and the rows of other forms as `instances`."""
    sends = isinstance(inputs, dict) and ("instances" in inputs or "inputs" in inputs)
    read = None if sends else table(inputs, None)
    body = inputs if read is None else {"instances": list(read.rows)}
    return Ask(bill.server.routes["scoring"], json.dumps(body).encode())


def outputs(body: bytes, _: Bill) -> Any:  # noqa: ANN401 - any JSON value
    """Read `predictions`, or the `outputs` that answer `inputs`."""
    answer = json.loads(body)
    return answer["outputs"] if isinstance(answer, dict) and "outputs" in answer else answer


SERVER = Server(NAME, needs, listen, ask, outputs, takes="files")
