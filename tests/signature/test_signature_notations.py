"""A signature in each notation: what is written without a loss is read back, and what is lost is told."""

import json

import jsonschema
import pytest
from hypothesis import given

from lading.core.errors import ModelError
from lading.core.signature import Field, Signature
from lading.signature import NOTATIONS, texts
from lading_runtime.front import json_schema as served
from lading_runtime.front import schema as front
from signatures import columns, signatures, tensors, types

ROW = (Field("double", "size"), Field("long", "count", required=False), Field("string", "colour"))


def roundabout(name, signature):
    """Write a signature, as JSON, and read it again."""
    written = NOTATIONS[name].write(signature)
    return written, NOTATIONS[name].read(json.loads(json.dumps(written.value)), "document")


@pytest.mark.parametrize("name", NOTATIONS)
@given(signature=signatures)
def test_what_is_written_without_losses_is_read_back(name, signature):
    written, read = roundabout(name, signature)
    if not written.losses:
        assert read.value == signature
        assert not {one for one in read.losses if "BYTES" not in one.what}
    elif name != "mlflow":  # whose own reader loses what its grammar is taken to say here
        assert read.value != signature, written.losses


@given(signatures)
def test_json_schema_and_mlflow_lose_nothing(signature):
    for name in ("mlflow", "json-schema"):
        written, read = roundabout(name, signature)
        told = [one for one in written.losses if "every tensor is required" not in one.what]
        assert (told, read.value, read.losses) == ([], signature, ())


def test_mlmodel_has_texts():
    written = texts(Signature(ROW))
    assert NOTATIONS["mlflow"].read(written, "signature").value == Signature(ROW)
    assert written["params"] is None


def plain(schema):
    """Leave out what the server's own schemas have no need of."""
    if isinstance(schema, list):
        return [plain(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: plain(one) if key != "properties" else {name: plain(inner) for name, inner in one.items()}
        for key, one in schema.items()
        if not key.startswith("x-") and not (key == "format" and one != "date-time")
    }


@given(columns())
def test_a_schema_of_columns_is_the_servers_own(inputs):
    signature = Signature(inputs)
    ours = plain(NOTATIONS["json-schema"].write(signature).value["properties"]["inputs"])
    theirs = front.read(signature.to_json())
    assert ours == (served.of_record(theirs) if theirs.named else served.of_row(theirs.columns))


@given(tensors())
def test_a_schema_of_tensors_is_the_servers_own(inputs):
    signature = Signature(inputs)
    ours = plain(NOTATIONS["json-schema"].write(signature).value["properties"]["inputs"])
    theirs = [served.of_tensor(one) for one in front.read(signature.to_json()).tensors]
    assert (list(ours["properties"].values()) if inputs[0].name is not None else [ours]) == theirs


@given(signatures)
def test_metadata_of_the_protocol_is_the_servers_own(signature):
    ours = NOTATIONS["oip"].write(signature).value
    theirs = front.read(signature.to_json())
    halves = {"FP16": "FP32"}  # which the server widens
    told = [{**one, "datatype": halves.get(one["datatype"], one["datatype"])} for one in ours["inputs"]]
    assert told == [{**one, "shape": list(one["shape"])} for one in theirs.describe()]
    assert [one["name"] for one in ours["outputs"]] == [one["name"] for one in theirs.describe_outputs()]


@given(types)
def test_a_schema_is_one(typed):
    field = Field(typed["type"], "a", nested={key: one for key, one in typed.items() if key != "type"})
    jsonschema.Draft202012Validator.check_schema(NOTATIONS["json-schema"].write(Signature((field,))).value)


def test_a_schema_holds_records_to_the_signature():
    params = (Field("long", "top", default=3),)
    schema = NOTATIONS["json-schema"].write(Signature(ROW, (Field("long"),), params)).value
    validator = jsonschema.Draft202012Validator(schema)
    right = {"inputs": {"size": 1.5, "count": 2, "colour": "red"}, "params": {"top": 1}, "outputs": [1]}
    assert not list(validator.iter_errors(right))
    for wrong in ({"size": "1"}, {"count": 1.5}, {"count": 1 << 63}, {"colour": 1}):
        assert list(validator.iter_errors({"inputs": {**right["inputs"], **wrong}})), wrong
    assert list(validator.iter_errors({"inputs": {"size": 1.0}}))
    assert list(validator.iter_errors({"inputs": right["inputs"], "params": {"top": "x"}}))


def test_a_schema_of_another_hand_is_read_and_its_losses_told():
    document = {
        "title": "Flower",
        "type": "object",
        "required": ["size", "kind", "seen"],
        "properties": {
            "size": {"type": "number", "minimum": 0},
            "kind": {"enum": ["a", "b"]},
            "seen": {"type": "string", "format": "date-time"},
            "tags": {"type": "array", "items": {"type": "string"}, "default": []},
            "weight": {"anyOf": [{"type": "number"}, {"type": "null"}]},
            "place": {"$ref": "#/$defs/Place"},
            "more": {"type": "object", "additionalProperties": {"type": "integer"}},
            "either": {"oneOf": [{"type": "string"}, {"type": "integer"}]},
            "tree": {"$ref": "#/$defs/Tree"},
            "photo": {"type": "string", "format": "byte"},
            "count": {"type": "integer", "nullable": True},
        },
        "$defs": {
            "Place": {
                "type": "object",
                "properties": {"y": {"type": "number"}, "x": {"type": "number"}},
                "required": ["x"],
            },
            "Tree": {"type": "object", "properties": {"left": {"$ref": "#/$defs/Tree"}}},
        },
    }
    read = NOTATIONS["json-schema"].read(document, "flower.json")
    kinds = {one.name: (one.type, one.required) for one in read.value.inputs}
    assert kinds == {
        "size": ("double", True),
        "kind": ("string", True),
        "seen": ("datetime", True),
        "tags": ("array", False),
        "weight": ("double", False),
        "place": ("object", False),
        "more": ("map", False),
        "either": ("any", False),
        "tree": ("object", False),
        "photo": ("binary", False),
        "count": ("long", False),
    }
    place = next(one for one in read.value.inputs if one.name == "place")
    assert place.nested["properties"] == {
        "x": {"type": "double", "required": True},
        "y": {"type": "double", "required": False},
    }
    told = {str(one) for one in read.losses}
    assert "inputs.size: minimum 0 is not held to" in told
    assert "inputs.kind: enum is not held to" in told
    assert "inputs.tags: a column has no default" in told
    assert "inputs.either: it is one of several types, and may be any value" in told


def test_a_graph_of_onnx_says_what_it_loses():
    tensor = Field("tensor", "x", dtype="float32", shape=(-1, 3))
    written, read = roundabout("onnx", Signature((tensor,), (Field("any", "probabilities"),)))
    assert written.value["input"] == [
        {"name": "x", "type": {"tensorType": {"elemType": 1, "shape": {"dim": [{}, {"dimValue": "3"}]}}}}
    ]
    assert [str(one) for one in written.losses] == [
        "outputs.probabilities: a column of type any is written as a tensor of one column"
    ]
    assert read.value.inputs == (tensor,)
    row = {"name": "m", "type": {"sequenceType": {}}}
    named = {"dimParam": "batch"}
    other = {"name": "y", "type": {"tensor_type": {"elem_type": 16, "shape": {"dim": [named]}}}}
    told = NOTATIONS["onnx"].read({"output": [row, other]}, "g")
    assert [one.type for one in told.value.outputs] == ["any", "any"]
    assert [one.where for one in told.losses] == ["outputs.m", "outputs.y", "outputs.y"]


def test_tensorflow_servings_metadata_is_read():
    document = {
        "model_spec": {"name": "m"},
        "metadata": {
            "signature_def": {
                "signature_def": {
                    "serving_default": {
                        "inputs": {
                            "x": {
                                "dtype": "DT_FLOAT",
                                "tensor_shape": {
                                    "dim": [{"size": "-1"}, {"size": "2"}],
                                    "unknown_rank": False,
                                },
                                "name": "serving_default_x:0",
                            }
                        },
                        "outputs": {"y": {"dtype": "DT_STRING", "tensor_shape": {"unknown_rank": True}}},
                        "method_name": "tensorflow/serving/predict",
                    }
                }
            }
        },
    }
    read = NOTATIONS["saved-model"].read(document, "m")
    assert read.value == Signature(
        (Field("tensor", "x", dtype="float32", shape=(-1, 2)),),
        (Field("tensor", "y", dtype="str", shape=(-1,)),),
    )
    assert [one.where for one in read.losses] == ["outputs.y"]


def test_a_text_in_a_schema_of_torchscript_is_no_argument():
    read = NOTATIONS["torchscript"].read('forward(str a="x, y(", int b=1) -> str', "forward")
    assert [(one.name, one.type) for one in read.value.inputs] == [("a", "string"), ("b", "long")]
    assert str(read.losses[0]) == 'inputs.a: its default "x, y(" is not kept'


def test_a_schema_of_torchscript_is_read():
    text = (
        "forward(__torch__.Net self, Tensor x, Tensor? mask=None, int[] sizes=[1, 2], Dict(str, float) w, *, "
        "str name) -> (Tensor, Dict(str, Tensor[]))"
    )
    read = NOTATIONS["torchscript"].read(text, "forward")
    assert [(one.name, one.type, one.required) for one in read.value.inputs] == [
        ("x", "any", True),
        ("mask", "any", False),
        ("sizes", "array", False),
        ("w", "map", True),
        ("name", "string", True),
    ]
    assert [one.type for one in read.value.outputs] == ["any", "map"]
    assert {one.where for one in read.losses} >= {"inputs.x", "inputs.mask", "outputs.0"}


@pytest.mark.parametrize(
    ("name", "document", "expected"),
    [
        ("oip", {"inputs": [{"name": "a", "datatype": "FP33", "shape": [1]}]}, "got datatype 'FP33'"),
        ("oip", {"inputs": [{"name": "a"}], "outputs": 1}, "expected a list of tensors"),
        ("oip", {"inputs": [{"name": "a", "datatype": "FP32", "shape": [-2]}]}, "where -1 is any length"),
        ("onnx", {"input": [{"name": "a"}]}, "which is no tensor"),
        ("saved-model", {"inputs": {"a": 1}}, "which is no tensor"),
        ("torchscript", "forward", "expected forward"),
        ("json-schema", [], "expected a JSON Schema"),
    ],
)
def test_what_is_no_signature_is_refused(name, document, expected):
    with pytest.raises(ModelError, match=expected):
        NOTATIONS[name].read(document, "document")


def told(schema):
    """Read a schema of columns; return them, and what is lost."""
    read = NOTATIONS["json-schema"].read(schema, "schema")
    return read.value.inputs, [str(one) for one in read.losses]


def test_a_schema_that_holds_itself_twice_is_read_at_once():
    reference = {"anyOf": [{"$ref": "#/$defs/A%20Tree"}, {"type": "null"}]}
    tree = {"type": "object", "properties": {"left": reference, "right": reference}}
    fields, losses = told({"$ref": "#/$defs/A%20Tree", "$defs": {"A Tree": tree}})
    assert [(one.name, one.type) for one in fields] == [("left", "any"), ("right", "any")]
    assert losses == [
        f"inputs.{side}: #/$defs/A%20Tree holds itself, and may be any value" for side in ("left", "right")
    ]


@pytest.mark.parametrize(
    ("column", "loss"),
    [
        ({"type": ["integer", "null"]}, "inputs.a: null is not taken"),
        (
            {"type": "object", "additionalProperties": {"type": ["integer", "null"]}},
            "inputs.a.*: null is not",
        ),
        ({"type": "array", "items": [{"type": "integer"}]}, "inputs.a: its items have types of their own"),
        ({"type": "integer", "format": "uint8"}, "inputs.a: format 'uint8' is not held to"),
        (False, "inputs.a: False is no schema"),
    ],
)
def test_what_a_column_of_a_schema_cannot_say_is_told(column, loss):
    _, losses = told({"type": "object", "properties": {"a": column}})
    assert losses[0].startswith(loss)


def test_what_a_schema_holds_all_of_its_columns_to_is_told():
    _, losses = told({"properties": {"a": {}}, "required": ["b"], "additionalProperties": False, "if": {}})
    assert losses == [
        "inputs: if {} is not held to",
        "inputs: columns besides those that are named are passed over",
        "inputs: that 'b' has to be there is not held to",
    ]


def test_an_object_of_several_parts_has_the_columns_of_all():
    base = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    more = {"properties": {"b": {"type": "string"}}}
    fields, losses = told({"allOf": [{"$ref": "#/$defs/Base"}, more], "$defs": {"Base": base}})
    assert [(one.name, one.type, one.required) for one in fields] == [
        ("a", "long", True),
        ("b", "string", False),
    ]
    assert losses == []


@pytest.mark.parametrize("wrong", [{"required": 5}, {"enum": 5}, {"properties": [1]}, {"anyOf": {}}])
def test_a_keyword_that_is_not_what_it_has_to_be_is_an_issue(wrong):
    with pytest.raises(ModelError, match="which no schema has"):
        told({"type": "object", "properties": {"a": {}}, **wrong})
