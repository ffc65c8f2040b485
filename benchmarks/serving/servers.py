"""A model's name and a folder of environments in; each server's command, address and request out."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PEERS = Path(__file__).parent / "peers"
UV = Path(sys.executable).parent / "uv"
# one scikit-learn for all: the models are pickles
COMMON = ("scikit-learn==1.9.1", "numpy", "joblib", "xgboost-cpu", "onnxruntime", "msgspec")
REQUIREMENTS: Mapping[str, Sequence[str]] = {
    "mlflow": ("mlflow", "onnx", "skl2onnx"),
    "mlserver": ("mlserver", "mlserver-sklearn"),
    "bentoml": ("bentoml",),
    "azureml": ("azureml-inference-server-http",),
    "cog": ("cog",),
    "fastapi": ("fastapi", "uvicorn[standard]"),
}
NAMES = ("lading", "lading-compiled", "mlserver", "bentoml", "mlflow", "azureml", "cog", "fastapi", "floor")
Rows = list[list[float]]


@dataclass(frozen=True)
class Server:
    """How a server is started and asked. `command` and `env` are made for a port, `body` for rows."""

    name: str
    path: str
    body: Callable[[Rows], Any]
    command: Callable[[int], Sequence[str]]
    env: Callable[[int], Mapping[str, str]] = lambda _: {}
    cwd: Path = PEERS
    headers: Mapping[str, str] = field(default_factory=dict)


def environment(folder: Path, name: str) -> Path:
    """Make a peer's environment, once; return where its programs lie."""
    made = folder / "environments" / name
    if not (made / "done").exists():
        subprocess.run([UV, "venv", "--quiet", "--clear", "--python", "3.11", made], check=True)
        subprocess.run(
            [UV, "pip", "install", "--quiet", "--compile-bytecode", *COMMON, *REQUIREMENTS[name]],
            check=True,
            env={**os.environ, "VIRTUAL_ENV": str(made)},
        )
        (made / "done").touch()
    return made / "bin"


def train(folder: Path) -> Path:
    """Train the models, once; return their folder."""
    models = folder / "models"
    if not (models / "mlflow-mlp").exists():
        models.mkdir(parents=True, exist_ok=True)
        subprocess.run([environment(folder, "mlflow") / "python", PEERS / "train.py", models], check=True)
    return models


def free_port() -> int:
    """Name a port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def instances(rows: Rows) -> dict[str, Rows]:
    """Write rows as most of the servers take them."""
    return {"instances": rows}


def tensor(rows: Rows) -> dict[str, Any]:
    """Write rows as the Open Inference Protocol has them."""
    flat = [value for row in rows for value in row]
    shape = [len(rows), len(rows[0])]
    return {"inputs": [{"name": "input-0", "datatype": "FP32", "shape": shape, "data": flat}]}


def find(name: str, model: str, folder: Path) -> Server:
    """Return a server of a model; environments and models are made where they are not there yet."""
    models = train(folder)
    file = models / (f"{model}.onnx" if model == "mlp" else f"{model}.joblib")
    if name.startswith("lading"):
        return _lading(name, model, models, folder)
    bin_folder = environment(folder, "fastapi" if name == "floor" else name)
    env = {
        "MODEL": str(file),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONPATH": str(PEERS),
        "PATH": f"{bin_folder}:{os.environ['PATH']}",  # some start `python` again
    }
    how = {"floor": _uvicorn, "fastapi": _uvicorn, "azureml": _azureml, "cog": _cog, "bentoml": _bentoml}
    if name in how:
        return how[name](name, bin_folder, env)
    if name == "mlflow":
        return _mlflow(models / f"mlflow-{model}", bin_folder, env)
    return _mlserver(model, file, bin_folder, folder, env)


def _uvicorn(name: str, bin_folder: Path, env: Mapping[str, str]) -> Server:
    app = {"floor": "floor:app", "fastapi": "fastapi_app:app"}[name]
    start = (str(bin_folder / "python"), "-m", "uvicorn", app, "--no-access-log")
    path = "/predict" if name == "fastapi" else "/"
    return Server(name, path, instances, lambda port: (*start, "--port", str(port)), lambda _: env)


def _azureml(name: str, bin_folder: Path, env: Mapping[str, str]) -> Server:
    start = (str(bin_folder / "azmlinfsrv"), "--entry_script", str(PEERS / "azureml_score.py"))
    quiet = {**env, "AZUREML_LOG_LEVEL": "WARNING"}
    return Server(name, "/score", instances, lambda port: (*start, "--port", str(port)), lambda _: quiet)


def _cog(name: str, bin_folder: Path, env: Mapping[str, str]) -> Server:
    start = (str(bin_folder / "python"), "-m", "cog.server.http", "--host", "127.0.0.1")
    cog = {**env, "COG_PREDICT_TYPE_STUB": "cog_predict.py:Predictor", "COG_LOG_LEVEL": "warning"}

    def body(rows: Rows) -> dict[str, Any]:
        return {"input": {"instances": json.dumps(rows)}}

    return Server(name, "/predictions", body, lambda _: start, lambda port: {**cog, "PORT": str(port)})


def _bentoml(name: str, bin_folder: Path, env: Mapping[str, str]) -> Server:
    start = (str(bin_folder / "bentoml"), "serve", "bento_service:Model", "-p")
    quiet = {**env, "BENTOML_DO_NOT_TRACK": "true"}
    return Server(name, "/predict", instances, lambda port: (*start, str(port)), lambda _: quiet)


def _mlflow(source: Path, bin_folder: Path, env: Mapping[str, str]) -> Server:
    start = (str(bin_folder / "mlflow"), "models", "serve", "-m", str(source), "--env-manager", "local")

    def command(port: int) -> Sequence[str]:
        return (*start, "--workers", "1", "--port", str(port))

    return Server("mlflow", "/invocations", lambda rows: {"inputs": rows}, command, lambda _: env)


def _mlserver(model: str, file: Path, bin_folder: Path, folder: Path, env: Mapping[str, str]) -> Server:
    """Write MLServer's two files: one process, adaptive batching as measured best."""
    place = folder / "mlserver" / model
    place.mkdir(parents=True, exist_ok=True)
    runtime = "mlserver_onnx.Onnx" if model == "mlp" else "mlserver_sklearn.SKLearnModel"
    settings = {
        "name": "m",
        "implementation": runtime,
        "max_batch_size": 64,
        "max_batch_time": 0.002,
        "parameters": {"uri": str(file)},
    }
    (place / "model-settings.json").write_text(json.dumps(settings))

    def command(port: int) -> Sequence[str]:
        ports = {"http_port": port, "grpc_port": free_port(), "metrics_port": free_port()}
        server = {"parallel_workers": 0, "host": "127.0.0.1", "debug": False, **ports}
        (place / "settings.json").write_text(json.dumps(server))
        return (str(bin_folder / "mlserver"), "start", str(place))

    return Server("mlserver", "/v2/models/m/infer", tensor, command, lambda _: env)


def _lading(name: str, model: str, models: Path, folder: Path) -> Server:
    """Pack the model, once, and serve the package in a sandbox, validation and metrics on."""
    program = str(Path(sys.executable).parent / "lading")
    env = {"LADING_HOME": str(folder / "lading"), "LADING_WORKERS": "1"}
    source = models / f"mlflow-{model}"
    reference = f"{model}-compiled:1" if name == "lading-compiled" else f"{model}:1"
    compile_ = "auto" if name == "lading-compiled" else "off"
    place = folder / "specs" / reference.replace(":", "-")
    place.mkdir(parents=True, exist_ok=True)
    (place / "lading.yaml").write_text(f"model: {source}\ncompile: {compile_}\n")
    pack = [program, "pack", place, "--tag", reference]
    done = subprocess.run(pack, env={**os.environ, **env}, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{pack}: {done.stdout}{done.stderr}")
    return Server(
        name,
        "/invocations",
        instances,
        lambda port: (program, "serve", reference, "--port", str(port)),
        lambda _: env,
    )
