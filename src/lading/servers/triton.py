"""NVIDIA's Triton, in an image that the author names: a model repository, its `config.pbtxt` made if missing.

A repository is `NAME/VERSION/model.onnx`, `model.pt` or `model.savedmodel/` (Triton, "Model repository"); one
that is a `triton_model` already is taken as it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from lading.core.bill import Bill
from lading.core.datatypes import OIP
from lading.core.errors import Issue, SpecError
from lading.core.model import ModelFacts
from lading.core.server import Ask, Listening, Server, ServerNeeds
from lading.core.signature import Field, Signature
from lading.core.spec import PackageSpec
from lading.servers import oip
from lading.servers.azureml_layout import model_places
from lading.servers.layout import image_issues, model_name
from lading.servers.recorded import Table, table

NAME = "triton"
HTTP, GRPC, METRICS = 8000, 8001, 8002
_REPOSITORY = "/opt/lading/serving/triton"
_VERSIONED = re.compile(r"([^/]+)/(\d+)/(?:model\.[^/]+|[^/]+)(?:/|\Z)")
_BACKENDS = {".onnx": "onnxruntime", ".pt": "pytorch"}
_SAVED = "saved_model.pb"


def needs(spec: PackageSpec, facts: ModelFacts) -> ServerNeeds:
    """Return what it needs; SpecError, with every issue, for what Triton could not load."""
    issues = list(image_issues(spec, "Triton's, such as nvcr.io/nvidia/tritonserver:25.06-py3"))
    models = sorted({found[1] for one in facts.files if (found := _VERSIONED.match(one.path))})
    files: dict[str, bytes] = {}
    if models:
        repository = path = model_places(spec)[1]
        name = models[0]
    else:
        repository, name = _REPOSITORY, model_name(spec, facts)
        path, files = _laid_out(spec, facts, name, issues)
    if issues:
        raise SpecError(*issues)
    return ServerNeeds(
        name=NAME,
        requirements=(),
        entrypoint=("/opt/tritonserver/bin/tritonserver",),
        command=(f"--model-repository={repository}", *_options(spec)),
        port=HTTP,
        more_ports=(GRPC, METRICS),
        routes=oip.routes(name),
        variables={"AZUREML_MODEL_DIR": model_places(spec)[0]},
        files=files,
        model_path=path,
    )


def _options(spec: PackageSpec) -> Iterator[str]:
    for key, text in sorted(spec.server_settings.configuration.items()):
        yield f"--{key.replace('_', '-')}={text}"


def _laid_out(
    spec: PackageSpec, facts: ModelFacts, name: str, issues: list[Issue]
) -> tuple[str, dict[str, bytes]]:
    """Give a single model its place in a repository, and a configuration."""
    asked = spec.server_settings.model_version or spec.version or "1"
    folder = f"{_REPOSITORY}/{name}/{asked if asked.isdecimal() and int(asked) else '1'}"
    if any(one.path == _SAVED for one in facts.files):
        return f"{folder}/model.savedmodel", _configured(name, "tensorflow", None, facts.signature)
    found = [(one.path, end) for one in facts.files for end in _BACKENDS if one.path.endswith(end)]
    if len(found) != 1:
        what = (
            f"got {len(found)} files of ONNX or TorchScript, expected one, or a repository: NAME/1/model.onnx"
        )
        issues.append(Issue("model", what))
        return folder, {}
    path, end = found[0]
    if facts.signature is None:
        what = f"{path!r} says nothing of its inputs and outputs, which Triton has to be told"
        issues.append(
            Issue("model", what, "give a repository with config.pbtxt, or an MLflow model's signature")
        )
        return folder, {}
    issues += _strange(facts.signature)
    return folder, _configured(name, _BACKENDS[end], path, facts.signature)


def _strange(signature: Signature) -> Iterator[Issue]:
    for one in (*signature.inputs, *signature.outputs):
        if one.type != "tensor" or not one.name:
            what = f"{one.name!r} is no tensor with a name, and Triton speaks of nothing else"
            yield Issue("model", what, "export it so; with skl2onnx: options={'zipmap': False}")


def _configured(name: str, backend: str, path: str | None, signature: Signature | None) -> dict[str, bytes]:
    """Write config.pbtxt (model_config.proto); what it does not say Triton reads of the model itself."""
    lines = [f"name: {json.dumps(name)}", f"backend: {json.dumps(backend)}", "max_batch_size: 0"]
    if path:
        lines.append(f"default_model_filename: {json.dumps(path)}")
    else:
        lines.append('platform: "tensorflow_savedmodel"')
    for kind, fields in (("input", signature.inputs), ("output", signature.outputs)) if signature else ():
        lines += [_tensor(kind, one) for one in fields if one.type == "tensor" and one.name]
    return {f"{_REPOSITORY}/{name}/config.pbtxt": "\n".join(lines).encode() + b"\n"}


def _tensor(kind: str, field: Field) -> str:
    datatype = OIP[field.dtype or "float32"]
    datatype = "STRING" if datatype == "BYTES" else datatype
    dims = ", ".join(map(str, field.shape or (1,)))
    return f"{kind} [ {{ name: {json.dumps(field.name)} data_type: TYPE_{datatype} dims: [ {dims} ] }} ]"


def listen(host: str, port: int) -> Listening:
    """Say it by arguments; without gRPC and metrics, which would take ports of their own."""
    only = ("--allow-grpc=false", "--allow-metrics=false")
    return Listening((f"--http-address={host}", f"--http-port={port}", *only))


def ask(inputs: Any, bill: Bill) -> Ask:  # noqa: ANN401 - any JSON value
    """Send a body of the protocol as it stands, and rows as the tensors that the model names."""
    read = None if _is_of_protocol(inputs) else table(inputs, None)
    fields = bill.model.signature.inputs if bill.model.signature else ()
    body = inputs if read is None else {"inputs": list(_tensors(read, fields))}
    return Ask(bill.server.routes["scoring"], json.dumps(body).encode())


def _is_of_protocol(inputs: object) -> bool:
    sent = inputs.get("inputs") if isinstance(inputs, dict) else None
    return isinstance(sent, list) and all(isinstance(one, dict) and "datatype" in one for one in sent)


def _tensors(read: Table, fields: Sequence[Field]) -> Iterator[dict[str, Any]]:
    named = {one.name: one for one in fields}
    if read.columns and set(read.columns) <= set(named):
        for number, name in enumerate(read.columns):
            yield oip.tensor([row[number] for row in read.rows], named[name], name)
    else:
        field = fields[0] if len(fields) == 1 else None
        yield oip.tensor(read.rows, field, (field and field.name) or "input-0")


def outputs(body: bytes, _: Bill) -> Any:  # noqa: ANN401 - any JSON value
    """Read the one output, or all by name."""
    found = oip.named(body)
    return next(iter(found.values())) if len(found) == 1 else found


SERVER = Server(NAME, needs, listen, ask, outputs, takes="files")
