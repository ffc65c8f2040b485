"""A model in, Azure ML's `/swagger.json` out: the OpenAPI document's schemas, in the words of older versions.

As azureml-inference-server-http 1.5.1 has it (server/swagger2_template.json, swagger3_template.json).
"""

# JSON values may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from lading_runtime.front import openapi
from lading_runtime.front.json_schema import Json
from lading_runtime.front.model import Model

NEWEST = "3.1.0"
_REFERENCE = "#/components/schemas/"
# what versions before 3.1 know of JSON Schema and mean the same by
_SAME = {
    "type", "format", "title", "description", "default", "enum", "required", "minItems", "maxItems",
    "uniqueItems", "minLength", "maxLength", "pattern", "minimum", "maximum", "multipleOf",
    "minProperties", "maxProperties",
}  # fmt: skip
_JSON = "application/json"
_FILES = {
    "2.0": ("swagger.json", "swagger2.json"),
    "3.0.3": ("swagger3.json",),
    NEWEST: ("swagger3.1.json",),
}
_SHORT = {"2.0": "2.0", "3.0.3": "3.0", NEWEST: "3.1"}
_BEARER: list[Json] = [{"Bearer": []}]
_HEALTH = "Simple health check endpoint to ensure the service is up at any given point."
_HEALTHY = "If service is up and running, this response will be returned with the content 'Healthy'"
_SCORED = "The service processed the input correctly and provided a result prediction, if applicable."
_PAYLOAD = "The input payload for executing the real-time machine learning service."
_ERROR: Json = {"type": "object", "properties": {"message": {"type": "string"}}}
_KEY: Json = {
    "type": "apiKey",
    "name": "Authorization",
    "in": "header",
    "description": "For example: Bearer abc123",
}


def documents(model: Model) -> Mapping[str, Callable[[], Json]]:
    """Return what makes the document in each version that there is: Swagger 2.0, OpenAPI 3.0.3 and 3.1.0.

    A file of the author's beside the script comes before. 2.0 cannot describe every decorated function.
    """
    told = model.backend.facts.get("swagger")
    known = [one for one in _FILES if told is None or _SHORT[one] in told["versions"]]
    own = {version: file for version in _FILES if (file := _authors(model, version)) is not None}
    made = {version: partial(document, model, version) for version in known}
    return {**made, **{version: partial(_read, file) for version, file in own.items()}}


def _authors(model: Model, version: str) -> str | None:
    """Return the file that the author has written, where there is one."""
    code = model.bill.code or {}
    entry = str(code.get("entry") or "").partition(":")[0]
    folder = os.environ.get("AML_APP_ROOT") or os.path.dirname(os.path.join(str(code.get("path")), entry))  # noqa: PTH118, PTH120
    places = [os.path.join(folder, name) for name in _FILES[version]]  # noqa: PTH118
    return next((one for one in places if entry and os.path.isfile(one)), None)  # noqa: PTH113


def _read(file: str) -> Json:
    with open(file, encoding="utf-8") as stream:  # noqa: PTH123
        found: Json = json.load(stream)
    return found


def document(model: Model, version: str) -> Json:
    """Describe `/score` in Swagger 2.0, or OpenAPI 3.0.3 or 3.1.0."""
    is_old = version == "2.0"
    name = os.environ.get("SERVICE_NAME") or model.bill.name
    info = {
        "title": name,
        "description": f"API specification for the Azure Machine Learning service {name}",
        "version": os.environ.get("SERVICE_VERSION") or model.bill.version,
    }
    prefix = os.environ.get("SERVICE_PATH_PREFIX", "").strip("/")
    paths = {(f"/{prefix}" if prefix else "") + path: one for path, one in _paths(is_2=is_old).items()}
    schemas = _schemas(model, version)
    if is_old:
        head = {"swagger": version, "schemes": ["https"] if model.is_azures else ["http", "https"]}
        media = {"consumes": [_JSON], "produces": [_JSON]}
        key = {"Bearer": _KEY}
        return {
            **head,
            "info": info,
            **media,
            "paths": paths,
            "securityDefinitions": key,
            "definitions": schemas,
        }
    components = {"schemas": schemas, "securitySchemes": {"Bearer": _KEY}}
    return {"openapi": version, "info": info, "security": _BEARER, "paths": paths, "components": components}


def _schemas(model: Model, version: str) -> dict[str, Json]:
    """Return the schemas: a decorated function says its own, a script nothing."""
    told = model.backend.facts.get("swagger")
    if told is not None:
        return {"ServiceInput": told["input"], "ServiceOutput": told["output"], "ErrorResponse": _ERROR}
    if model.routine is not None and model.routine.is_azures:
        anything: Json = {"type": "object", "example": {}}
        return {"ServiceInput": anything, "ServiceOutput": anything, "ErrorResponse": _ERROR}
    described = {**openapi.schemas(model), "ErrorResponse": _ERROR}
    schemas = {name: described[name] for name in _needed(described)}
    if version != NEWEST:
        schemas = {name: older(one, is_2=version == "2.0") for name, one in schemas.items()}
    return schemas


def _needed(described: Mapping[str, Json]) -> list[str]:
    """List what `/score` is described by, and all that these name."""
    found = ["ServiceInput", "ServiceOutput", "ErrorResponse"]
    for name in found:
        for other in re.findall(rf"'\$ref': '{_REFERENCE}([^']+)'", repr(described[name])):
            if other not in found:
                found.append(other)
    return found


def _paths(*, is_2: bool) -> Json:
    root = "#/definitions/" if is_2 else _REFERENCE

    def content(schema: Json, kind: str) -> Json:
        return {"schema": schema} if is_2 else {"content": {kind: {"schema": schema}}}

    def operation(name: str, about: str, answer: Json) -> Json:
        error = content({"$ref": f"{root}ErrorResponse"}, _JSON)
        failed = {"description": "The service failed to execute due to an error.", **error}
        return {"operationId": name, "description": about, "responses": {"200": answer, "default": failed}}

    text: Json = {"type": "string"}
    healthy = content(text if is_2 else {**text, "example": "Healthy"}, "text/plain")
    healthy |= {"description": _HEALTHY, **({"examples": {_JSON: "Healthy"}} if is_2 else {})}
    scored = {"description": _SCORED, **content({"$ref": f"{root}ServiceOutput"}, _JSON)}
    told = {"description": "The Swagger specification.", **content(text, "text/plain")}
    score = operation("RunMLService", "Run web service's model and get the prediction output", scored)
    score["security"] = _BEARER
    payload = {"description": _PAYLOAD, **content({"$ref": f"{root}ServiceInput"}, _JSON)}
    if is_2:
        score["parameters"] = [{"name": "serviceInputPayload", "in": "body", **payload}]
    else:
        score["requestBody"] = payload
    number: Json = {"type": "integer", "enum": [2, 3]}
    swagger = operation("GetSwaggerSpec", "Get the Swagger specification.", told)
    version = {"name": "version", "in": "query", "required": False}
    swagger["parameters"] = [{**version, **(number if is_2 else {"schema": number})}]
    health = operation("ServiceHealthCheck", _HEALTH, healthy)
    return {"/": {"get": health}, "/score": {"post": score}, "/swagger.json": {"get": swagger}}


def older(schema: Any, *, is_2: bool) -> Json:
    """Say a schema of draft 2020-12 as OpenAPI 3.0.3 or Swagger 2.0 do; what these lack is left out."""
    if not isinstance(schema, Mapping):  # true and false
        return {}
    if "$ref" in schema:
        name = str(schema["$ref"])
        return {"$ref": name.replace(_REFERENCE, "#/definitions/") if is_2 else name}
    said = {key: value for key, value in schema.items() if key in _SAME}
    is_nullable = _settle_type(said)
    _say_otherwise(schema, said)
    if "properties" in schema:
        said["properties"] = {name: older(one, is_2=is_2) for name, one in schema["properties"].items()}
    if "additionalProperties" in schema:
        more = schema["additionalProperties"]
        said["additionalProperties"] = more if isinstance(more, bool) else older(more, is_2=is_2)
    if said.get("type") == "array":
        said["items"] = older(schema.get("items", {}), is_2=is_2)
    ways = [*schema.get("anyOf", ()), *schema.get("oneOf", ())]
    kept = [older(one, is_2=is_2) for one in ways if one != {"type": "null"}]
    is_nullable |= len(kept) < len(ways)
    if len(kept) == 1 or (is_2 and kept):
        # Swagger 2.0 has no alternatives: the first stands for all
        said = {**kept[0], **said}
    elif kept:
        said["anyOf"] = kept
    return {**said, "x-nullable" if is_2 else "nullable": True} if is_nullable else said


def _say_otherwise(schema: Mapping[str, Any], said: Json) -> None:
    """Say what older versions have other words for."""
    if "const" in schema:
        said["enum"] = [schema["const"]]
    if schema.get("examples"):
        said["example"] = schema["examples"][0]
    if schema.get("contentEncoding") == "base64":
        said["format"] = "byte"
    for key, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if key in schema:
            said |= {bound: schema[key], key: True}


def _settle_type(said: Json) -> bool:
    """Leave one type, or none where there are several; tell whether null is one of them."""
    kinds = said.get("type")
    if not isinstance(kinds, list):
        return False
    others = [one for one in kinds if one != "null"]
    if len(others) == 1:
        said["type"] = others[0]
    else:
        del said["type"]
    return len(others) < len(kinds)
