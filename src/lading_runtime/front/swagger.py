"""A model in, Azure ML's `/swagger.json` out: the OpenAPI document's schemas, in the words of older versions.

As azureml-inference-server-http 1.5.1 has it (server/swagger2_template.json, swagger3_template.json).
"""

# JSON values may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import re
from collections.abc import Mapping
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
_ERROR: Json = {"type": "object", "properties": {"message": {"type": "string"}}}
_KEY: Json = {
    "type": "apiKey",
    "name": "Authorization",
    "in": "header",
    "description": "For example: Bearer abc123",
}


def document(model: Model, version: str) -> Json:
    """Describe `/score` in Swagger 2.0, or OpenAPI 3.0.3 or 3.1.0."""
    is_old = version == "2.0"
    described = {**openapi.schemas(model), "ErrorResponse": _ERROR}
    schemas = {name: described[name] for name in _needed(described)}
    if version != NEWEST:
        schemas = {name: older(one, is_2=is_old) for name, one in schemas.items()}
    info = {
        "title": model.bill.name,
        "description": f"API specification for the Azure Machine Learning service {model.bill.name}",
        "version": model.bill.version,
    }
    if is_old:
        head: Json = {"swagger": version, "info": info, "schemes": ["http", "https"]}
        return {**head, **_paths(is_2=True), "securityDefinitions": {"Bearer": _KEY}, "definitions": schemas}
    components = {"schemas": schemas, "securitySchemes": {"Bearer": _KEY}}
    return {"openapi": version, "info": info, **_paths(is_2=False), "components": components}


def _needed(described: Mapping[str, Json]) -> list[str]:
    """List what `/score` is described by, and all that these name."""
    found = ["ServiceInput", "ServiceOutput", "ErrorResponse"]
    for name in found:
        for other in re.findall(rf"'\$ref': '{_REFERENCE}([^']+)'", repr(described[name])):
            if other not in found:
                found.append(other)
    return found


def _paths(*, is_2: bool) -> Json:
    def content(schema: Json, kind: str) -> Json:
        return {"schema": schema} if is_2 else {"content": {kind: {"schema": schema}}}

    root = "#/definitions/" if is_2 else _REFERENCE
    json = "application/json"
    failed = {
        "description": "The service failed to execute due to an error.",
        **content({"$ref": f"{root}ErrorResponse"}, json),
    }

    def operation(name: str, description: str, answer: Json) -> Json:
        answers = {"200": {"description": description, **answer}, "default": failed}
        return {"operationId": name, "description": description, "responses": answers}

    score = operation(
        "RunMLService",
        "Run the model and get the prediction output",
        content({"$ref": f"{root}ServiceOutput"}, json),
    )
    payload = {"$ref": f"{root}ServiceInput"}
    if is_2:
        score["parameters"] = [
            {"name": "serviceInputPayload", "in": "body", "required": True, "schema": payload}
        ]
        score |= {"consumes": [json], "produces": [json]}
    else:
        score["requestBody"] = {"required": True, **content(payload, json)}
    score["security"] = [{"Bearer": []}]
    health = operation("ServiceHealthCheck", "Whether the service is up", content({"type": "object"}, json))
    return {"paths": {"/": {"get": health}, "/score": {"post": score}}}


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
