"""What a loaded routine tells of itself in, the parts of an OpenAPI document that are about it out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from lading_runtime.front.json_schema import Json
from lading_runtime.front.messages import invalid
from lading_runtime.front.tensors import Tensor, named, nested

_FILE: Json = {"type": "string", "format": "binary"}
_SIMPLE = {"string", "number", "integer", "boolean"}
_FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")


class Described(NamedTuple):
    """Schemas of the body and of the answer, and those that they name, which are components of their own."""

    body: Json
    answer: Json
    named: Mapping[str, Json]
    description: str


def read(facts: Mapping[str, Any]) -> Described:
    """Read the schemas; what they name is moved to where an OpenAPI document has it."""
    told = facts.get("schema") or {}
    schemas: list[Json] = []
    named: dict[str, Json] = {}
    for key in ("input", "output"):
        # a reference is text wherever it stands, and no other text of a schema begins so
        moved = json.dumps(told.get(key) or {}).replace('"#/$defs/', '"#/components/schemas/Routine.')
        schema = json.loads(moved)
        named.update({f"Routine.{name}": one for name, one in schema.pop("$defs", {}).items()})
        schemas.append(schema)
    answer = schemas[1]
    if answer and told.get("stream"):
        answer = {"type": "array", "items": answer}
    if answer and not told.get("batch"):
        # a row for each that was asked about
        answer = {"anyOf": [answer, {"type": "array", "items": answer}]}
    return Described(schemas[0], answer, named, str(told.get("description") or ""))


def tensors(facts: Mapping[str, Any]) -> list[Json]:
    """List the parameters as the Open Inference Protocol's metadata lists inputs."""
    return list((facts.get("schema") or {}).get("tensors") or ())


def outputs(facts: Mapping[str, Any]) -> list[Json]:
    """List what a routine's hint says of its answer, as the protocol's metadata lists outputs."""
    return list((facts.get("schema") or {}).get("outputs") or ())


def texts(facts: Mapping[str, Any]) -> frozenset[str]:
    """Name the parameters, and the members of records in them, that are texts, whatever a text looks like."""
    body = (facts.get("schema") or {}).get("input") or {}
    definitions = body.get("$defs") or {}
    records = [body, *definitions.values()]
    return frozenset(
        name for record in records for name, one in (record.get("properties") or {}).items() if _is_text(one)
    )


def _is_text(schema: Json) -> bool:
    """Tell whether a schema takes a string, and no number or truth value that could be meant."""
    kinds = {str(one.get("type")) for one in schema.get("anyOf") or [schema]}
    return "string" in kinds and kinds <= {"string", "null"}


def parted(facts: Mapping[str, Any], tensors: Sequence[Tensor]) -> tuple[Sequence[Tensor], dict[str, Any]]:
    """Part the tensor of a routine that takes one from those that are called as its other parameters."""
    told = facts.get("schema") or {}
    main, *others = told.get("parameters") or [""]
    names = {one.name for one in tensors}
    if main not in names or len(names) == 1 or not names <= {main, *others}:
        return tensors, {}
    properties = (told.get("input") or {}).get("properties") or {}
    params: dict[str, Any] = {}
    for one in tensors:
        if one.name == main:
            continue
        values = one.listed()
        is_list = properties.get(one.name, {}).get("type") == "array"
        if not is_list and any(value != values[0] for value in values):
            raise invalid(f"{named(one.name)}: got {len(values)} values, expected one")
        params[one.name] = nested(one.shape, values) if is_list or not values else values[0]
    return [one for one in tensors if one.name == main], params


def requests(facts: Mapping[str, Any], schema: Json) -> dict[str, Json]:
    """Return the media types that a routine takes, each with what it looks like."""
    media = (facts.get("schema") or {}).get("media") or ()
    body = read(facts).body
    uploaded = _uploaded(body)
    form = schema if uploaded == body else uploaded
    return {
        kind: {"schema": form if kind in _FORMS else _FILE} for kind in media if kind != "application/json"
    }


def _uploaded(schema: Any) -> Any:  # noqa: ANN401 - whatever a schema has
    """Describe a form: what is base64 in JSON is a file there, as it is."""
    if isinstance(schema, list):
        return [_uploaded(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("contentEncoding") == "base64":
        return {**_FILE, **{key: schema[key] for key in ("description",) if key in schema}}
    return {key: _uploaded(one) for key, one in schema.items()}


def query(facts: Mapping[str, Any]) -> list[Json]:
    """List the parameters that a URL's query may have, where a body leaves them out: those of one value."""
    told = facts.get("schema") or {}
    if "parameters" not in told:
        return []
    found = []
    for name, one in (told.get("input", {}).get("properties") or {}).items():
        kinds = [kind for kind in one.get("anyOf") or [one] if kind.get("type") != "null"]
        if len(kinds) == 1 and kinds[0].get("type") in _SIMPLE and "contentEncoding" not in kinds[0]:
            about = {"description": one["description"]} if "description" in one else {}
            more = {"default": one["default"]} if one.get("default") is not None else {}
            found.append({"name": name, "in": "query", **about, "schema": {**kinds[0], **more}})
    return found


def responses(facts: Mapping[str, Any]) -> dict[str, Json]:
    """Return the media types that a routine answers with besides JSON."""
    told = facts.get("schema") or {}
    found: dict[str, Json] = {}
    if told.get("stream"):
        # of any type: to OpenAPI 3.1 it is a text, to those who read ahead an event
        found["text/event-stream"] = {"schema": {"description": "an item's JSON as each event's `data`"}}
    if told.get("output_media"):
        found[str(told["output_media"])] = {"schema": _FILE}
    return found
