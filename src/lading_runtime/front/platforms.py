"""A model in, the schemas that the documents of single platforms name out: Azure ML's and Cog's."""

# JSON values may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

from typing import Any

from lading_runtime.front import example, json_schema
from lading_runtime.front.json_schema import Json
from lading_runtime.front.model import Model
from lading_runtime.front.webhooks import EVENTS

_INPUT = "input_data"
_STATUSES = ["starting", "processing", "succeeded", "canceled", "failed"]


def azure(model: Model, invocation: Json, predictions: Json) -> dict[str, Json]:
    """Describe what `/score` takes, in the form of Azure's own clients and in any, and returns."""
    if model.takes_json:
        described = {"ServiceInput": {**invocation, "examples": [example.body(model.bill, model.schema)]}}
        return {**described, "Score": _ref("Invocation"), "ServiceOutput": predictions}
    body = _azure_example(model)
    service_input: Json = {
        "type": "object",
        "properties": {_INPUT: _azure_form(model, body[_INPUT]), **_params(model, "params")},
        "required": [_INPUT],
        "examples": [body],
    }
    return {
        "ServiceInput": service_input,
        "Score": {"anyOf": [_ref("ServiceInput"), _ref("Instances"), _ref("Rows"), _ref("Records")]},
        "ServiceOutput": predictions,
    }


def _azure_example(model: Model) -> Json:
    """Return the example's row under Azure's key, columns that have names split as pandas does."""
    body = example.body(model.bill, model.schema)
    if model.schema.columns and model.schema.named:
        row = example.record(body, model.schema)
        return {_INPUT: {"columns": list(row), "index": [0], "data": [list(row.values())]}}
    values = body if not isinstance(body, dict) else next((v for k, v in body.items() if k != "params"), [])
    is_split = isinstance(values, dict) and "data" in values
    return {_INPUT: values["data"] if is_split else values}


def _azure_form(model: Model, values: Any) -> Json:
    forms = json_schema.of_forms(model.schema)
    if not (model.schema.columns and model.schema.named):
        rows = forms.get("inputs" if isinstance(values, dict) else "instances")
        return rows or forms.get("inputs") or {}
    split = forms["dataframe_split"]
    index: Json = {"type": "array", "items": {"type": "integer"}}
    # pandas.DataFrame:split is what inference-schema says of a frame
    properties = {**split["properties"], "index": index}
    return {**split, "properties": properties, "format": "pandas.DataFrame:split"}


def cog(model: Model, invocation: Json, predictions: Json) -> dict[str, Json]:
    """Describe what Cog's `/predictions` takes and returns, under the names that its clients look for."""
    output: Json = predictions
    if not model.takes_json:
        # of one row given by its columns, the one prediction
        items = predictions.get("items")
        output = {"anyOf": [items, predictions]} if items else {}
    request: Json = {
        "type": "object",
        "properties": {"id": {"type": "string", "minLength": 1, "maxLength": 200}, "input": _ref("Input")},
        "required": ["input"],
    }
    if model.settings.webhooks:
        request["properties"]["webhook"] = {"type": "string", "format": "uri"}
        filtered = {"type": "array", "items": {"enum": list(EVENTS)}}
        request["properties"]["webhook_events_filter"] = filtered
    response: Json = {
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "input": {"type": "object"},
            "output": {"anyOf": [_ref("Output"), {"type": "null"}]},
            "error": {"type": ["string", "null"]},
            "logs": {"type": "string"},
            "status": _ref("Status"),
            "metrics": {"type": "object", "properties": {"predict_time": {"type": "number"}}},
            **{f"{name}_at": {"type": ["string", "null"]} for name in ("created", "started", "completed")},
        },
        "required": ["status"],
    }
    return {
        "Input": _cog_input(model, invocation),
        "Output": output,
        "Status": {"type": "string", "enum": _STATUSES},
        "PredictionRequest": request,
        "PredictionResponse": response,
    }


def _cog_input(model: Model, invocation: Json) -> Json:
    """Describe an input: a routine's arguments, a row with the parameters beside it, or tensors."""
    schema = model.schema
    if model.takes_json:
        return invocation if invocation.get("type") == "object" else {"type": "object"}
    if schema.columns and schema.named:
        row = json_schema.of_record(schema)
        parameters = json_schema.of_params(schema)["properties"]
        properties = {**row["properties"], **parameters}
        return {**row, "properties": properties, "examples": [_cog_example(model)]}
    forms = json_schema.of_forms(schema)
    if schema.tensors and schema.tensors[0].name:
        named = forms["inputs"]
        return {"type": "object", **named["anyOf"][1]} if "anyOf" in named else named
    return {
        "type": "object",
        "properties": {"instances": forms["instances"], **_params(model, "params")},
        "required": ["instances"],
    }


def _cog_example(model: Model) -> Json:
    return example.record(example.body(model.bill, model.schema), model.schema)


def _params(model: Model, key: str) -> dict[str, Json]:
    return {key: _ref("Parameters")} if model.schema.params else {}


def _ref(schema: str) -> Json:
    return {"$ref": f"#/components/schemas/{schema}"}
