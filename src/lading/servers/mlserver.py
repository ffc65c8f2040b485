"""Seldon's MLServer: one model, by the runtime that its format has, in one process.

`settings.json` and `model-settings.json` are made; addresses are variables of the image instead, since what
stands in a file wins over variables there (mlserver/cli/serve.py, `load_settings`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from lading.core.bill import Bill
from lading.core.errors import Issue, SpecError
from lading.core.model import ModelFacts, ModelFile
from lading.core.server import Ask, Listening, Server, ServerNeeds
from lading.core.spec import PackageSpec
from lading.servers import oip
from lading.servers.layout import MODEL, PYTHON, SERVING, model_name
from lading.servers.recorded import table

NAME = "mlserver"
HTTP, GRPC, METRICS = 8080, 8081, 8082
_FOLDER = f"{SERVING}/mlserver"
# what is downloaded is linked to, which MLflow takes for an escape
_LINKED = f"import os; os.environ['MLSERVER_MODEL_URI'] = os.path.realpath({MODEL!r}); "
_XGBOOST = ("xgboost", "mlserver_xgboost.XGBoostModel")
_LIGHTGBM = ("lightgbm", "mlserver_lightgbm.LightGBMModel")


@dataclass(frozen=True, slots=True)
class _Runtime:
    """What serves a kind of model: a distribution, its class, and what is loaded."""

    distribution: str
    implementation: str
    uri: str
    extra: dict[str, Any]


_MLFLOW = _Runtime("mlserver-mlflow", "mlserver_mlflow.MLflowRuntime", MODEL, {})
_PATCHED = "lading_mlflow"
_HALF_SIGNED = _Runtime("mlserver-mlflow", f"{_PATCHED}.Runtime", MODEL, {})
_RUNTIME = b'''\
"""MLServer's runtime of MLflow, which fails on a signature without inputs or without outputs."""

from types import SimpleNamespace

from mlserver_mlflow import MLflowRuntime


class Runtime(MLflowRuntime):
    def _sync_metadata(self):
        signed = self._signature
        if signed is None or not signed.inputs:
            return
        if not signed.outputs:
            self._signature = SimpleNamespace(inputs=signed.inputs, outputs=SimpleNamespace(inputs=[]))
        super()._sync_metadata()
'''


def needs(spec: PackageSpec, facts: ModelFacts) -> ServerNeeds:
    """Return what it needs to serve a model of a format that it has a runtime for; SpecError for another."""
    runtime = _runtime(facts)
    name = model_name(spec, facts)
    is_linked = facts.format == "mlflow" and spec.mode == "download"
    parameters: dict[str, Any] = {
        "uri": None if is_linked else runtime.uri,
        "version": spec.server_settings.model_version or spec.version,
    }
    parameters |= {"extra": runtime.extra} if runtime.extra else {}
    model = {
        "name": name,
        "implementation": runtime.implementation,
        "parameters": {key: value for key, value in parameters.items() if value is not None},
    }
    # its workers are processes that each load the model; one process is what a replica of a container is
    server: dict[str, Any] = {
        "debug": False,
        "parallel_workers": 0,
        "metrics_dir": "/tmp",  # noqa: S108 - in the image
        "environments_dir": "/tmp",  # noqa: S108
    }
    server |= {key: _value(text) for key, text in spec.server_settings.configuration.items()}
    return ServerNeeds(
        name=NAME,
        requirements=("mlserver", runtime.distribution),
        entrypoint=(PYTHON, "-c", (_LINKED if is_linked else "") + "from mlserver.cli import main; main()"),
        command=("start", _FOLDER),
        port=HTTP,
        more_ports=(GRPC, METRICS),
        # the server is "ready" before it has begun to load, and after it has failed to: the model is not
        routes={**oip.routes(name), "readiness": f"/v2/models/{name}/ready"},
        modules=("mlserver.cli", runtime.distribution.replace("-", "_")),
        variables={
            "MLSERVER_HOST": "0.0.0.0",  # noqa: S104 - in a container
            "MLSERVER_HTTP_PORT": str(HTTP),
            "MLSERVER_GRPC_PORT": str(GRPC),
            "MLSERVER_METRICS_PORT": str(METRICS),
        },
        files={
            f"{_FOLDER}/settings.json": _json(server),
            f"{_FOLDER}/{name}/model-settings.json": _json(model),
            **({f"{_FOLDER}/{name}/{_PATCHED}.py": _RUNTIME} if runtime is _HALF_SIGNED else {}),
        },
        working_directory=_FOLDER,
    )


def _runtime(facts: ModelFacts) -> _Runtime:
    options = facts.loader_options
    if facts.format == "mlflow":
        signed = facts.signature
        is_half = signed is not None and not (signed.inputs and signed.outputs)
        return _HALF_SIGNED if is_half else _MLFLOW
    if facts.format == "sklearn" and options.get("serialization") != "skops":
        method = str(options.get("method") or "predict")
        extra = {} if method == "predict" else {"predict_fn": method}
        uri = f"{MODEL}/{options['file']}"
        return _Runtime("mlserver-sklearn", "mlserver_sklearn.SKLearnModel", uri, extra)
    if len(facts.files) == 1 and (found := _booster(facts.files[0])):
        return _Runtime(f"mlserver-{found[0]}", found[1], f"{MODEL}/{facts.files[0].path}", {})
    what = (
        f"got a model of format {facts.format!r}, expected an MLflow model, a pickled estimator or a booster"
    )
    raise SpecError(Issue("server", what, "save it so, or take 'lading', which serves any model of Python's"))


def _booster(file: ModelFile) -> tuple[str, str] | None:
    """Tell whose booster a file is: its library, and the class of MLServer's that serves it."""
    ending = PurePosixPath(file.path).suffix
    if ending in {".ubj", ".json", ".xgb"}:
        return _XGBOOST
    if ending == ".cbm":
        return "catboost", "mlserver_catboost.CatboostModel"
    if ending in {".txt", ".lgb", ".bst"}:
        with file.source.open("rb") as stream:
            is_text = stream.read(5) == b"tree\n"
        return _LIGHTGBM if is_text else _XGBOOST if ending == ".bst" else None
    return None


def _value(text: str) -> Any:  # noqa: ANN401 - any JSON value
    """Read a configured value: JSON, or the text as it stands."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _json(document: object) -> bytes:
    return json.dumps(document, indent=2, sort_keys=True).encode() + b"\n"


def listen(host: str, port: int) -> Listening:
    """Say it by variables; gRPC and metrics, which would take ports of their own, take any that is free."""
    return Listening(
        variables={
            "MLSERVER_HOST": host,
            "MLSERVER_HTTP_PORT": str(port),
            "MLSERVER_GRPC_PORT": "0",
            "MLSERVER_METRICS_PORT": "0",
        }
    )


def ask(inputs: Any, bill: Bill) -> Ask:  # noqa: ANN401 - any JSON value
    """Send a table column by column as a frame, and what nobody names as one tensor."""
    signature = bill.model.signature
    read = table(inputs, signature)
    if read is None:
        body = inputs
    elif read.columns:
        parameters = {"content_type": "pd", **read.params}
        body = {"parameters": parameters, "inputs": oip.columns(read, signature)}
    else:
        field = signature.inputs[0] if signature and len(signature.inputs) == 1 else None
        written = oip.tensor(read.rows, field, (field and field.name) or "input-0")
        body = {"parameters": {"content_type": "np", **read.params}, "inputs": [written]}
    return Ask(bill.server.routes["scoring"], json.dumps(body).encode())


def outputs(body: bytes, bill: Bill) -> Any:  # noqa: ANN401 - any JSON value
    """Read the outputs as the rows that they are."""
    return oip.rows(body, bill.model.signature)


SERVER = Server(NAME, needs, listen, ask, outputs, takes="either")
