"""The OpenAPI document: true to the routes, to what the model takes, and to what JSON Schema allows."""

import json
import re

import jsonschema
import pytest

from lading_runtime.front import example, json_schema
from lading_runtime.front.app import ROUTES
from lading_runtime.front.openapi import OPERATIONS
from lading_runtime.front.schema import read
from models import train

EVERY = {
    "inputs": [
        {"name": "flag", "type": "boolean", "required": True},
        {"name": "small", "type": "integer", "required": True},
        {"name": "whole", "type": "long", "required": True},
        {"name": "single", "type": "float", "required": True},
        {"name": "real", "type": "double", "required": True},
        {"name": "word", "type": "string", "required": False},
        {"name": "blob", "type": "binary", "required": True},
        {"name": "when", "type": "datetime", "required": True},
        {"name": "list", "type": "array", "items": {"type": "long"}, "required": True},
        {
            "name": "thing",
            "type": "object",
            "properties": {
                "a": {"type": "double", "required": True},
                "b": {"type": "string", "required": False},
            },
            "required": True,
        },
        {"name": "map", "type": "map", "values": {"type": "boolean"}, "required": True},
    ],
    "outputs": [{"type": "long", "required": True}],
    "params": [{"name": "top", "type": "integer", "default": 3, "shape": None}],
}


@pytest.fixture(scope="module")
def flowers(serve, bare_model, iris_signature):
    with serve(bare_model, signature=iris_signature) as served:
        yield served


@pytest.fixture(scope="module")
def document(flowers):
    return json.loads(flowers.get("/openapi.json")[1])


def validator(document, name):
    return jsonschema.Draft202012Validator(
        {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    )


def test_every_operation_is_a_route_of_the_server():
    for pattern, method in OPERATIONS:
        assert method.upper() in ROUTES.table[pattern]


def test_every_route_that_predicts_is_an_operation():
    others = ("/v2/repository/", "/shutdown", ":explain")
    posts = {pattern for pattern, methods in ROUTES.table.items() if "POST" in methods}
    left = posts - {pattern for pattern, _ in OPERATIONS}
    # Vertex AI's own default for health, which some deployments give to predictions too
    left.discard("/v1/endpoints/{endpoint}/deployedModels/{deployed}")
    assert not [one for one in left if not any(other in one for other in others)]


def test_cogs_clients_find_input_and_output_where_they_look(flowers, document, iris):
    row = iris.head(1).to_dict(orient="records")[0]
    validator(document, "Input").validate(row)
    (example,) = document["components"]["schemas"]["Input"]["examples"]
    validator(document, "PredictionRequest").validate({"input": example})
    status, answer = flowers.post({"input": example}, "/predictions")
    assert (status, answer["status"]) == (200, "succeeded")
    validator(document, "PredictionResponse").validate(answer)
    validator(document, "Output").validate(answer["output"])
    named = [one["operationId"] for path in document["paths"].values() for one in path.values()]
    assert len(set(named)) == len(named)


def test_every_reference_in_the_document_leads_somewhere(document):
    named = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document)))
    assert named <= document["components"]["schemas"].keys()
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_its_examples_fit_its_schemas_and_are_answered(flowers, document):
    schemas = document["components"]["schemas"]
    (example,) = schemas["Invocation"]["examples"]
    validator(document, "Invocation").validate(example)
    assert len(flowers.predictions(example)) == 1
    (example,) = schemas["InferRequest"]["examples"]
    validator(document, "InferRequest").validate(example)
    status, answer = flowers.post(example, "/v2/models/iris/infer")
    assert status == 200
    validator(document, "InferAnswer").validate(answer)


def test_the_example_of_a_model_that_tells_only_its_columns_names_is_answered(serve):
    with serve(train()) as served:  # which refuses null
        schemas = json.loads(served.get("/openapi.json")[1])["components"]["schemas"]
        for name, path in {"Invocation": "/invocations", "ServiceInput": "/score"}.items():
            assert served.post(schemas[name]["examples"][0], path)[0] == 200


@pytest.mark.parametrize("form", ["dataframe_split", "dataframe_records", "instances", "inputs"])
def test_what_the_schema_allows_in_each_form_is_answered(flowers, document, iris, form):
    rows = iris.head(3)
    bodies = {
        "dataframe_split": {"columns": list(iris), "data": rows.to_numpy().tolist()},
        "dataframe_records": rows.to_dict(orient="records"),
        "instances": rows.to_dict(orient="records"),
        "inputs": rows.to_dict(orient="list"),
    }
    body = {form: bodies[form]}
    validator(document, "Invocation").validate(body)
    answer = {"predictions": flowers.predictions(body)}
    validator(document, "Predictions").validate(answer)


def test_all_that_is_answered_is_allowed(flowers, document, iris):
    rows = iris.head(2).to_numpy().tolist()
    records = [{**one, "more": "x"} for one in iris.head(2).to_dict(orient="records")]
    turned = iris[list(iris)[::-1]].head(2)
    split = {"columns": list(turned), "index": [0, 1], "data": turned.to_numpy().tolist()}
    tensors = [
        {"name": name, "datatype": "FP64", "shape": [2], "data": list(iris[name].head(2))} for name in iris
    ]
    forms = [
        *({key: rows} for key in ("instances", "inputs", "input_data", "data")),
        *({key: records} for key in ("instances", "dataframe_records", "inputs", "input_data", "data")),
        *({key: iris.head(2).to_dict(orient="list")} for key in ("inputs", "input_data", "data")),
        *({key: split} for key in ("dataframe_split", "input_data", "data")),
        {"dataframe_split": {"data": rows}},
        {"inputs": tensors},
        {"instances": rows, "params": {"a": 1}, "parameters": None, "signature_name": "serving_default"},
    ]
    allowed = {name: validator(document, name) for name in ("Invocation", "Instances", "Score")}
    paths = {"Invocation": "/invocations", "Instances": "/v1/models/iris:predict", "Score": "/score"}
    for body in forms:
        for name, path in paths.items():
            allowed[name].validate(body)
            assert flowers.post(body, path)[0] == 200, (path, body)
    allowed["Score"].validate(rows)
    assert flowers.post(rows, "/score")[0] == 200
    for refused in ({"instances": rows, "inputs": rows}, {"other": rows}, {"instances": rows[0]}, rows):
        assert not allowed["Invocation"].is_valid(refused)
        assert flowers.post(refused)[0] == 400
    assert not allowed["Invocation"].is_valid({"instances": []})
    assert "text/csv" in document["paths"]["/invocations"]["post"]["requestBody"]["content"]


def test_what_the_model_refuses_the_schema_does_not_allow(document, iris):
    check = validator(document, "Invocation")
    record = iris.head(1).to_dict(orient="records")[0]
    for wrong in ({**record, iris.columns[0]: "wide"}, {iris.columns[0]: 1.0}):
        assert not check.is_valid({"dataframe_records": [wrong]})


def test_every_type_of_a_signature_has_its_schema_and_an_example_that_fits():
    schema = read(EVERY)
    record = json_schema.of_record(schema)
    made = example.made_up(schema)["dataframe_records"][0]
    jsonschema.Draft202012Validator(record, format_checker=jsonschema.FormatChecker()).validate(made)
    assert "word" not in record["required"]
    for name, wrong in {
        "flag": 1,
        "small": 1 << 31,
        "whole": 1.5,
        "list": ["a"],
        "thing": {},
        "map": {"a": 1},
    }.items():
        assert not jsonschema.Draft202012Validator(record).is_valid({**made, name: wrong}), name
    assert json_schema.of_params(schema)["properties"]["top"]["default"] == 3
    optional = {**EVERY, "inputs": [{**one, "required": False} for one in EVERY["inputs"]]}
    nulls = dict.fromkeys(("list", "thing", "map"))
    jsonschema.Draft202012Validator(json_schema.of_record(read(optional))).validate({**made, **nulls})


def test_the_page_has_a_field_for_each_input_and_may_ask_this_server_alone(flowers, iris):
    status, body, headers = flowers.get("/docs")
    assert status == 200
    text = body.decode()
    facts = json.loads(re.search(r'id="model">(.*?)</script>', text)[1])
    assert [one["name"] for one in facts["fields"]] == list(iris)
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "img-src blob:" in policy
    assert not re.search(r"(src|href)=.(https?:)?//", text)


def test_a_name_cannot_break_out_of_the_page(serve, bare_model):
    signature = {
        "inputs": [{"name": f"</script><b>{i}", "type": "double"} for i in range(4)],
        "outputs": [],
        "params": [],
    }
    with serve(bare_model, signature=signature) as served:
        text = served.get("/docs")[1].decode()
    assert "</script><b>" not in text
    assert (
        json.loads(re.search(r'id="model">(.*?)</script>', text)[1])["fields"][3]["name"] == "</script><b>3"
    )


def test_a_routines_parameters_forms_and_answers_are_in_the_document(serve):
    code = """
        import dataclasses
        from collections.abc import Iterator
        @dataclasses.dataclass
        class Point:
            x: float
        def walk(points: list[Point], steps: int = 3, note: bytes = b"") -> Iterator[int]:
            '''Walk about.'''
            yield 1
    """
    with serve(entry="score.py:walk", files={"score.py": code}) as served:
        document = json.loads(served.get("/openapi.json")[1])
        assert served.get("/docs")[0] == 200
    schemas = document["components"]["schemas"]
    operation = document["paths"]["/invocations"]["post"]
    assert operation["description"] == "Walk about."
    assert {"application/json", "multipart/form-data", "*/*"} <= operation["requestBody"]["content"].keys()
    events = operation["responses"]["200"]["content"]["text/event-stream"]["schema"]
    assert "type" not in events  # to a tool that reads events one by one each is an object
    assert schemas["Instances"]["anyOf"][0] == {"$ref": "#/components/schemas/Invocation"}
    assert schemas["Invocation"]["properties"]["steps"] == {"type": "integer", "default": 3}
    items = schemas["Invocation"]["properties"]["points"]["items"]
    assert items == {"$ref": "#/components/schemas/Routine.Point"}
    assert schemas["Routine.Point"]["required"] == ["x"]
    gathered = {"type": "array", "items": {"type": "integer"}}
    assert schemas["ServiceOutput"] == {"anyOf": [gathered, {"type": "array", "items": gathered}]}


def test_a_routine_answers_a_row_with_its_output_and_rows_with_a_list(serve):
    code = "def score(a: int) -> str:\n    return 'x' * a\n"
    with serve(entry="score.py:score", files={"score.py": code}) as served:
        document = json.loads(served.get("/openapi.json")[1])
        for body in ({"a": 2}, {"instances": [{"a": 1}, {"a": 2}]}, {"instances": []}):
            validator(document, "Instances").validate(body)
            status, answer = served.post(body, "/v1/models/x:predict")
            assert status == 200
            validator(document, "Predictions").validate(answer)
            validator(document, "ServiceOutput").validate(served.post(body, "/score")[1])
        output = served.post({"input": {"a": 2}}, "/predictions")[1]["output"]
        validator(document, "Output").validate(output)


def test_a_form_holds_files_as_they_are_and_a_query_what_a_body_leaves_out(serve):
    code = """
        from typing import Optional
        def weigh(note: bytes, scale: float = 2.0, unit: Optional[str] = None, more: list = []) -> dict:
            return {"weight": len(note) * scale, "unit": unit}
    """
    with serve(entry="score.py:weigh", files={"score.py": code}) as served:
        document = json.loads(served.get("/openapi.json")[1])
        operation = document["paths"]["/invocations"]["post"]
        form = operation["requestBody"]["content"]["multipart/form-data"]["schema"]
        assert form["properties"]["note"] == {"type": "string", "format": "binary"}
        assert form["properties"]["scale"] == {"type": "number", "default": 2.0}
        assert document["components"]["schemas"]["Invocation"]["properties"]["note"]["contentEncoding"]
        assert operation["parameters"] == [
            {"name": "scale", "in": "query", "schema": {"type": "number", "default": 2.0}},
            {"name": "unit", "in": "query", "schema": {"type": "string"}},
        ]
        headers = {"content-type": "application/octet-stream"}
        status, body, _ = served.ask("POST", "/invocations?scale=3&unit=g", b"abc", headers)
        assert (status, json.loads(body)["predictions"]) == (200, {"weight": 9.0, "unit": "g"})
