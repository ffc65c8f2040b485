"""TorchServe: a model archive (`.mar`) that is made here, without Java; a Java from Debian runs the server.

An archive is a ZIP with `MAR-INF/MANIFEST.json` (model_archiver/manifest_components), the model's files and a
handler. Equal files, equal archive: nothing of it is compressed, and its times are the ZIP format's first.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from lading.core.bill import Bill
from lading.core.errors import Issue, SpecError
from lading.core.model import ModelFacts
from lading.core.server import Ask, Listening, Server, ServerNeeds
from lading.core.spec import PackageSpec
from lading.servers.layout import MODEL, PYTHON, SERVING, model_name
from lading.servers.recorded import table

NAME = "torchserve"
PORT, MANAGEMENT, METRICS = 8080, 8081, 8082
_FOLDER = f"{SERVING}/torchserve"
_STORE = f"{_FOLDER}/model-store"
_SCRIPT = f"{_FOLDER}/serve_torchserve.py"
_HANDLER = "lading_handler.py"
_ARCHIVER = "0.12.0"
_FIRST_TIME = (1980, 1, 1, 0, 0, 0)

_STARTS = f'''"""Start TorchServe's Java in this process, where signals reach it."""

import glob
import importlib.util
import os
import sys

(package,) = importlib.util.find_spec("ts").submodule_search_locations
home = os.environ.get("JAVA_HOME") or next(iter(sorted(glob.glob("/usr/lib/jvm/java-*/"))), "")
java = os.path.join(home, "bin", "java") if home else "java"
command = [java, "-Djava.io.tmpdir=/tmp", "-Dmodel_server_home=" + os.path.dirname(package)]
command += ["-cp", ".:" + os.path.join(package, "frontend", "*"), "org.pytorch.serve.ModelServer"]
command += ["--python", sys.executable, "-f", "{_FOLDER}/config.properties", "-ncs"]
os.chdir("/tmp")
os.execvp(java, command)
'''.encode()

_HANDLES = b'''"""Rows in, as JSON in any form of MLflow's /invocations; what the model answers out."""

import json

import torch
from ts.torch_handler.base_handler import BaseHandler


class Handler(BaseHandler):
    """One batch of the requests that came together."""

    def preprocess(self, data):
        tensors = [torch.as_tensor(rows(one), dtype=torch.float32) for one in data]
        self.sizes = [len(one) for one in tensors]
        return torch.cat(tensors).to(self.device)

    def postprocess(self, data):
        return [part.tolist() for part in data.split(self.sizes)]


def rows(request):
    body = request.get("body")
    body = request.get("data") if body is None else body
    value = json.loads(body) if isinstance(body, (bytes, bytearray, str)) else body
    if isinstance(value, dict) and "dataframe_split" in value:
        return value["dataframe_split"]["data"]
    if isinstance(value, dict):
        forms = ("dataframe_records", "instances", "inputs")
        value = next((value[key] for key in forms if key in value), value)
    return [list(row.values()) if isinstance(row, dict) else row for row in value]
'''


def needs(spec: PackageSpec, facts: ModelFacts) -> ServerNeeds:
    """Return what it needs to serve a `.mar`, or one file of PyTorch's; SpecError for another."""
    name = model_name(spec, facts)
    ready = [one for one in facts.files if one.path.endswith(".mar")]
    files = {_SCRIPT: _STARTS}
    if len(ready) == 1:
        store, archive = MODEL, ready[0].path
    else:
        store, archive = _STORE, f"{name}.mar"
        files[f"{_STORE}/{archive}"] = _archive(name, spec, facts)
    files[f"{_FOLDER}/config.properties"] = _properties(
        {
            "inference_address": f"http://0.0.0.0:{PORT}",
            "management_address": f"http://127.0.0.1:{MANAGEMENT}",
            "metrics_address": f"http://127.0.0.1:{METRICS}",
            "model_store": store,
            "load_models": f"{name}={archive}",
            "default_workers_per_model": "1",
            "disable_token_authorization": "true",
            # addresses are told by TS_ variables, too
            "enable_envvars_config": "true",
            **spec.server_settings.configuration,
        }
    )
    return ServerNeeds(
        name=NAME,
        # it imports setuptools' pkg_resources and torch, and requires neither
        requirements=("torchserve", "torch", "pyyaml", "setuptools<81"),
        system_packages=("default-jre-headless",),
        entrypoint=(PYTHON, _SCRIPT),
        port=PORT,
        routes={"liveness": "/ping", "readiness": "/ping", "scoring": f"/predictions/{name}"},
        modules=("torch", "ts.torch_handler.base_handler", "ts.model_service_worker"),
        variables={"LOG_LOCATION": "/tmp/logs", "METRICS_LOCATION": "/tmp/logs"},  # noqa: S108
        files=files,
    )


def _archive(name: str, spec: PackageSpec, facts: ModelFacts) -> bytes:
    """Make the archive; SpecError where it is not clear what the model is."""
    models = [one for one in facts.files if one.path.endswith((".pt", ".pth", ".onnx"))]
    if len(models) != 1:
        what = f"got {len(models)} files of PyTorch's, expected one (.pt), or an archive (.mar)"
        raise SpecError(Issue("model", what, "save it with torch.jit.script(model).save('model.pt')"))
    contents = {one.path: one.source.read_bytes() for one in facts.files}
    handler = _HANDLER
    if facts.code is None:
        contents[_HANDLER] = _HANDLES
    else:
        root = facts.code if facts.code.is_dir() else facts.code.parent
        code = sorted(facts.code.rglob("*.py")) if facts.code.is_dir() else [facts.code]
        contents |= {one.relative_to(root).as_posix(): one.read_bytes() for one in code}
        handler = facts.entry or ("handler.py" if facts.code.is_dir() else facts.code.name)
        if handler.partition(":")[0] not in contents:
            raise SpecError(
                Issue("entry", f"got {handler!r}, which is not in the code", "name the handler's file")
            )
    model = {
        "modelName": name,
        "serializedFile": models[0].path,
        "handler": handler,
        "modelVersion": spec.server_settings.model_version or spec.version or "1.0",
    }
    manifest = {
        "createdOn": "01/01/1980 00:00:00",
        "runtime": "python",
        "model": model,
        "archiverVersion": _ARCHIVER,
    }
    contents["MAR-INF/MANIFEST.json"] = json.dumps(manifest, indent=2).encode()
    return _zipped(contents)


def _zipped(contents: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for path, data in sorted(contents.items()):
            entry = zipfile.ZipInfo(str(PurePosixPath(path)), _FIRST_TIME)
            entry.create_system, entry.external_attr = 3, 0o644 << 16  # Unix, wherever it is made
            archive.writestr(entry, data)
    return stream.getvalue()


def _properties(settings: Mapping[str, str]) -> bytes:
    """Write a file of Java's properties."""
    return "".join(f"{key}={value}\n" for key, value in settings.items()).encode()


def listen(host: str, port: int) -> Listening:
    """Say it by variables; what manages the server listens on sockets in /tmp."""
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    return Listening(
        variables={
            "TS_INFERENCE_ADDRESS": address,
            "TS_MANAGEMENT_ADDRESS": "unix:///tmp/management.sock",
            "TS_METRICS_ADDRESS": "unix:///tmp/metrics.sock",
        }
    )


def ask(inputs: Any, bill: Bill) -> Ask:  # noqa: ANN401 - any JSON value
    """Send rows, which any handler takes for a body of JSON, and what is no table as it stands."""
    read = table(inputs, None)
    body = inputs if read is None else list(read.rows)
    return Ask(bill.server.routes["scoring"], json.dumps(body).encode())


def is_ready(body: bytes) -> bool:
    """Tell whether the worker is there: /ping answers 200 before, with another word."""
    return b"Healthy" in body and b"Partial" not in body


SERVER = Server(NAME, needs, listen, ask, takes="files", is_ready=is_ready)
