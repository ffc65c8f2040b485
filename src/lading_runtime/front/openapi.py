"""A model in, the OpenAPI document of its server out, with the model's own schema and an example in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from lading_runtime.front import example, json_schema, media, platforms, routine_schema
from lading_runtime.front.forms import KEYS, SIGNATURE, UNIFIED
from lading_runtime.front.json_schema import Json
from lading_runtime.front.model import Model

VERSION = "3.1.0"
_DATATYPES = [
    "BOOL", *(f"{sign}INT{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)), "FP32", "FP64", "BYTES"
]  # fmt: skip
_ERRORS = {
    400: "the body cannot be read, or the input does not fit the model",
    404: "no such model, version or prediction",
    409: "a prediction of that id is running, or as many are as there may be",
    413: "the body is too large",
    415: "another media type, charset or encoding",
    422: "the input does not fit the model",
    429: "too many requests",
    500: "the model failed",
    503: "loading, shutting down, or too many requests are waiting: come again after `Retry-After`",
    504: "the model took too long",
}

_OF_COG = {409, 422}
# what a table comes in besides JSON
_FILES: Mapping[str, Json] = {
    "text/csv": {"schema": {"type": "string", "description": "a header line where columns have names"}},
    media.LINES: {"schema": {"type": "string", "description": "a row on each line"}},
    **{
        kind: {"schema": {"type": "string", "format": "binary"}}
        for kind in (media.NPY, media.NPZ, "application/vnd.apache.parquet")
    },
}


class Operation(NamedTuple):
    """What a route is for. `body` and `answer` name schemas among the document's components."""

    tag: str
    summary: str
    body: str = ""
    answer: str = ""
    error: str = "Error"
    is_cog: bool = False
    """Whether it answers with a prediction's state: 202 before it is done, 422 for an input that is none."""


_PREDICT, _HEALTH, _ABOUT = "predictions", "health", "about"
# what a path leaves open → what it is, an example; without one, the model's own
_PLACES: Mapping[str, tuple[str, str]] = {
    "name": ("the model's name", ""),
    "model": ("the model's name", ""),
    "version": ("the model's version", ""),
    "prediction": ("an id of the client's own; to TorchServe's clients the model's name", "prediction-1"),
    "endpoint": ("the endpoint's number", "1"),
    "deployed": ("the deployed model's number", "1"),
}
_KSERVE = "Predict (KServe v1, TensorFlow Serving)"
_OIP = "Predict (Open Inference Protocol)"
# (pattern, method) → what it is for
OPERATIONS: Mapping[tuple[str, str], Operation] = {
    ("/invocations", "post"): Operation(_PREDICT, "Predict (MLflow, SageMaker)", "Invocation", "Predictions"),
    ("/predict", "post"): Operation(_PREDICT, "Predict, as /invocations does", "Invocation", "Predictions"),
    ("/score", "post"): Operation(_PREDICT, "Predict (Azure ML)", "Score", "ServiceOutput", "ErrorResponse"),
    ("/predictions", "post"): Operation(
        _PREDICT, "Predict (Cog)", "PredictionRequest", "PredictionResponse", is_cog=True
    ),
    ("/predictions/{prediction}", "put"): Operation(
        _PREDICT, "Predict once for an id (Cog)", "PredictionRequest", "PredictionResponse", is_cog=True
    ),
    ("/predictions/{prediction}", "post"): Operation(
        _PREDICT, "Predict (TorchServe)", "Score", "ServiceOutput"
    ),
    ("/predictions/{model}/{version}", "post"): Operation(
        _PREDICT, "Predict with one version (TorchServe)", "Score", "ServiceOutput"
    ),
    ("/predictions/{prediction}/cancel", "post"): Operation(_PREDICT, "Cancel (Cog)", answer="Anything"),
    ("/v1/models/{name}:predict", "post"): Operation(_PREDICT, _KSERVE, "Instances", "Predictions"),
    ("/v1/models/{name}/versions/{version}:predict", "post"): Operation(
        _PREDICT, f"{_KSERVE}, one version", "Instances", "Predictions"
    ),
    ("/v1/endpoints/{endpoint}/deployedModels/{deployed}:predict", "post"): Operation(
        _PREDICT, "Predict (Vertex AI)", "Instances", "Predictions"
    ),
    ("/v2/models/{name}/infer", "post"): Operation(_PREDICT, _OIP, "InferRequest", "InferAnswer"),
    ("/v2/models/{name}/versions/{version}/infer", "post"): Operation(
        _PREDICT, f"{_OIP}, one version", "InferRequest", "InferAnswer"
    ),
    ("/v2", "get"): Operation(_ABOUT, "What the server is", answer="Anything"),
    ("/v2/models", "get"): Operation(_ABOUT, "Which models it has", answer="Anything"),
    ("/v2/models/{name}", "get"): Operation(_ABOUT, "What the model takes and returns", answer="Anything"),
    ("/v1/models", "get"): Operation(_ABOUT, "Which models it has (KServe v1)", answer="Anything"),
    ("/v1/models/{name}", "get"): Operation(
        _HEALTH, "Whether the model can answer (KServe v1)", answer="Anything"
    ),
    ("/v2/models/{name}/ready", "get"): Operation(_HEALTH, "Whether the model can answer", answer="Anything"),
    ("/v2/health/live", "get"): Operation(_HEALTH, "Whether the server lives", answer="Anything"),
    ("/v2/health/ready", "get"): Operation(_HEALTH, "Whether a request would be answered", answer="Anything"),
    ("/health-check", "get"): Operation(_HEALTH, "In which state the server is (Cog)", answer="Anything"),
}


def document(model: Model, prefix: str = "") -> Json:
    """Describe every route that predicts, and those that tell of the model and its health.

    `prefix` is what a proxy in front has cut off of their paths.
    """
    paths: dict[str, Json] = {}
    for (pattern, method), operation in OPERATIONS.items():
        paths.setdefault(pattern, {})[method] = _operation(model, pattern, method, operation)
    return {
        "openapi": VERSION,
        "info": _info(model, prefix),
        **({"servers": [{"url": prefix}]} if prefix else {}),
        "paths": paths,
        "components": {"schemas": schemas(model)},
    }


def _info(model: Model, prefix: str) -> Json:
    return {
        "title": model.bill.name,
        "version": model.bill.version,
        "description": f"Served by lading {model.bill.lading}. A form to try it: {prefix}/docs",
    }


def schemas(model: Model) -> dict[str, Json]:
    """Return the schemas that operations name."""
    body = example.body(model.bill, model.schema)
    named: Mapping[str, Json] = {}
    if model.takes_json:
        described = routine_schema.read(model.backend.facts)
        invocation, predictions, named = described.body, described.answer, described.named
        wrapped: Json = {
            "type": "object",
            "properties": {"instances": {"type": "array"}},
            "required": ["instances"],
        }
        instances: Json = {"anyOf": [_ref("Invocation"), wrapped]}
    else:
        named = {**json_schema.of_data(model.schema), **_forms(model), "Tensor": _TENSOR}
        instances = {"oneOf": [_ref(_form_name(key)) for key in KEYS], "examples": [body]}
        invocation = _invocation(model, instances)
        predictions = json_schema.of_predictions(model.schema.outputs)
    return {
        "Invocation": invocation,
        "Instances": instances,
        "Parameters": json_schema.of_params(model.schema),
        "Predictions": _predictions(model, predictions),
        **platforms.azure(model, invocation, predictions),
        **platforms.cog(model, invocation, predictions),
        "InferRequest": _infer_request(model),
        "InferAnswer": _INFER_ANSWER,
        "Anything": {},
        **named,
        "ErrorResponse": _object({"message": {"type": "string"}}),
        "Error": _object({name: {"type": "string"} for name in ("error", "error_code", "message")}),
    }


def _predictions(model: Model, predictions: Json) -> Json:
    """Describe the answer of `/invocations`: bare, where a routine has a language model's parameters."""
    wrapped = _object({"predictions": predictions})
    parameters = (model.routine.parameters if model.routine is not None else None) or ()
    is_unified = model.takes_json and not set(UNIFIED).isdisjoint(parameters)
    return {"anyOf": [wrapped, predictions]} if is_unified else wrapped


_DATA: Mapping[str, Sequence[str]] = {
    "dataframe_split": ("Split",),
    "dataframe_records": ("Records",),
    "instances": ("Rows", "Records"),
    "inputs": ("Mapping", "Rows", "Records", "Tensors"),
    "input_data": ("Split", "Mapping", "Rows", "Records"),
    "data": ("Rows", "Records", "Split", "Mapping"),
}


def _form_name(key: str) -> str:
    return f"By_{key}"


def _forms(model: Model) -> dict[str, Json]:
    """Describe a body with one of the keys; what stands beside it is passed over, but for parameters."""
    known: dict[str, Json] = {"signature_name": {"const": SIGNATURE}}
    both: Json = {}
    if model.schema.params:
        known.update({"params": _ref("Parameters"), "parameters": _ref("Parameters")})
        both = {"not": {"required": ["params", "parameters"]}}
    forms = {}
    for key, ways in _DATA.items():
        described = [_TENSORS if one == "Tensors" else _ref(one) for one in ways]
        data = described[0] if len(described) == 1 else {"anyOf": described}
        others: Json = {other: {"not": {}} for other in KEYS if other != key}
        properties = {key: data, **known, **others}
        forms[_form_name(key)] = {"type": "object", "properties": properties, "required": [key], **both}
    return forms


def _invocation(model: Model, instances: Json) -> Json:
    """Describe what `/invocations` takes: one of the forms, or MLflow's for language models, all one row."""
    none = {**instances, "properties": {name: {"not": {}} for name in UNIFIED}}
    prompts = [one.name for one in model.schema.columns if model.schema.named and one.name in UNIFIED]
    if not prompts:
        return none
    asked = {**json_schema.of_record(model.schema), "anyOf": [{"required": [name]} for name in prompts]}
    return {"anyOf": [none, asked], "examples": none.pop("examples")}


def _infer_request(model: Model) -> Json:
    """Describe the Open Inference Protocol's body, with what the model's metadata lists as an example."""
    tensors = []
    for one in model.schema.describe():
        shape = [1 if size < 0 else size for size in one["shape"]]
        count = 1
        for size in shape:
            count *= size
        value: Any = {"BOOL": False, "BYTES": "text"}.get(one["datatype"], 0)
        tensors.append({**one, "shape": shape, "data": [value] * min(count, 10_000)})
    return {
        **_object({"inputs": {"type": "array", "items": _TENSOR, "minItems": 1}}),
        "examples": [{"inputs": tensors}] if tensors else [],
    }


_TENSOR: Json = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
        "datatype": {"enum": _DATATYPES},
        "data": {"type": "array"},
    },
    "required": ["name", "shape", "datatype", "data"],
}
_TENSORS: Json = {"type": "array", "items": {"$ref": "#/components/schemas/Tensor"}, "minItems": 1}
_INFER_ANSWER: Json = {
    "type": "object",
    "properties": {
        "model_name": {"type": "string"},
        "model_version": {"type": "string"},
        "id": {},
        "outputs": {"type": "array", "items": {"type": "object"}},
    },
    "required": ["model_name", "outputs"],
}


def _operation(model: Model, pattern: str, method: str, operation: Operation) -> Json:
    described: Json = {
        "tags": [operation.tag],
        "summary": operation.summary,
        "operationId": pattern.strip("/").translate(str.maketrans("/{}:-", "_____"))
        + ("_put" if method == "put" else ""),
        "responses": {"200": {"description": "the answer", "content": _json(operation.answer)}},
    }
    places = [part.partition("}")[0] for part in pattern.split("{")[1:]]
    if places:
        described["parameters"] = [_path_parameter(model, name) for name in places]
    if operation.body:
        described["requestBody"] = {"required": True, "content": _json(operation.body)}
        statuses = [one for one in _ERRORS if operation.is_cog or one not in _OF_COG]
        if model.routine is not None and operation.body in {"Invocation", "Score"}:
            facts = model.backend.facts
            described["requestBody"]["content"].update(routine_schema.requests(facts, _ref("Invocation")))
            described["responses"]["200"]["content"].update(routine_schema.responses(facts))
            if beside := routine_schema.query(facts):
                described["parameters"] = [*described.get("parameters", ()), *beside]
            described["description"] = routine_schema.read(facts).description
        if not model.takes_json and operation.body in {"Invocation", "Score", "Instances"}:
            described["requestBody"]["content"].update(_FILES)
    else:
        statuses = [404, 503] if places else [503]
    if operation.is_cog:
        later = {
            "description": "it is being predicted (`Prefer: respond-async`)",
            "content": _json(operation.answer),
        }
        described["responses"]["202"] = later
    for status in statuses:
        described["responses"][str(status)] = {
            "description": _ERRORS[status],
            "content": _json(operation.error),
        }
    return described


def _path_parameter(model: Model, name: str) -> Json:
    description, given = _PLACES[name]
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": {"type": "string", "minLength": 1, "pattern": "^[^/:]+$"},
        "example": given or (model.bill.version if name == "version" else model.bill.name),
    }


def _json(schema: str) -> Json:
    return {"application/json": {"schema": _ref(schema)}}


def _ref(schema: str) -> Json:
    return {"$ref": f"#/components/schemas/{schema}"}


def _object(properties: Mapping[str, Any]) -> Json:
    return {"type": "object", "properties": dict(properties), "required": list(properties)}
