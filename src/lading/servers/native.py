"""The native server: `lading_runtime`'s front in an environment of its own, its worker in the model's."""

from __future__ import annotations

from dataclasses import replace

from lading.core.model import ModelFacts
from lading.core.server import NATIVE, Listening, Server, ServerNeeds
from lading.core.spec import PackageSpec
from lading.servers import azureml_layout

NEEDS = ServerNeeds(
    name=NATIVE,
    # httptools 0.6.3 is the first whose parser is as strict about requests as the front relies on
    requirements=("httptools>=0.6.3", "uvloop>=0.21", "msgspec>=0.19", "grpcio>=1.66"),
    # -I: neither the working folder nor PYTHON* variables may add to the server's modules
    entrypoint=("/opt/lading/server/bin/python", "-I", "-m", "lading_runtime"),
    command=("serve",),
    port=8080,
    more_ports=(8081,),  # gRPC
    routes={"liveness": "/v2/health/live", "readiness": "/v2/health/ready", "scoring": "/invocations"},
    modules=(
        "lading_runtime.__main__",
        "lading_runtime.front.run",
        "lading_runtime.front.rpc",
        "lading_runtime.front.reading",
        "lading_runtime.front.shortcut",
        "lading_runtime.router.__main__",
        "lading_runtime.router.rpc",
        "lading_runtime.front.inference_log",
        "lading_runtime.front.tracer",
        # the worker reads these from the server's folder, whatever its own environment
        "lading_runtime.worker.loop",
        "lading_runtime.loaders.pickle",
        "lading_runtime.loaders.pyfunc",
        "lading_runtime.loaders.routine",
        "lading_runtime.azureml.aml_request",
        "lading_runtime.azureml.aml_response",
        "lading_runtime.loaders.catboost",
        "lading_runtime.loaders.compiled",
        "lading_runtime.loaders.keras",
        "lading_runtime.loaders.lightgbm",
        "lading_runtime.loaders.module",
        "lading_runtime.loaders.onnx",
        "lading_runtime.loaders.pmml",
        "lading_runtime.loaders.prophet",
        "lading_runtime.loaders.python_model",
        "lading_runtime.loaders.pytorch",
        "lading_runtime.loaders.sentence_transformers",
        "lading_runtime.loaders.spacy",
        "lading_runtime.loaders.statsmodels",
        "lading_runtime.loaders.table",
        "lading_runtime.loaders.tensorflow",
        "lading_runtime.loaders.torch_program",
        "lading_runtime.loaders.transformers",
        "lading_runtime.loaders.xgboost",
    ),
)


def needs(spec: PackageSpec, facts: ModelFacts) -> ServerNeeds:
    """Return what it needs of any package; a model that is registered lies as Azure lays it out.

    One that is described in Azure ML's words, of assets of a workspace, is asked as there, too.
    """
    if spec.server_settings.model_name is None:
        is_debian = spec.base is None or spec.base.form == "debian"
        # C.UTF-8, by which texts are lowered; other bases have it
        wants_locale = is_debian and facts.loader_options.get("locale")
        return replace(NEEDS, system_packages=("libc-bin",)) if wants_locale else NEEDS
    folder, path = azureml_layout.model_places(spec)
    found = replace(NEEDS, variables={"AZUREML_MODEL_DIR": folder}, model_path=path)
    if not spec.used:
        return found
    found = replace(found, routes={**NEEDS.routes, "liveness": "/", "scoring": "/score"})
    if facts.code is None or facts.entry is None or ":" in facts.entry:
        return found
    layout = azureml_layout.lay_out(spec, facts)
    return replace(found, variables=layout.variables, code_path=layout.code_path)


def listen(host: str, port: int) -> Listening:
    """Say it by variables; without gRPC, which would take a second port."""
    return Listening(variables={"LADING_HOST": host, "LADING_PORT": str(port), "LADING_GRPC_PORT": "0"})


def give_up(timeout_s: float) -> dict[str, str]:
    """Say it by a variable."""
    return {"LADING_REQUEST_TIMEOUT_S": f"{timeout_s:g}"}


SERVER = Server(NATIVE, needs, listen, give_up=give_up)
