"""MLflow's grammar of signatures: what it writes is read whole, what is wrong is told, all at once.

`tests/signature/mlflow_reads.json` is what MLflow 3.17.2 makes of documents, null where it refuses them.
"""

import json
from pathlib import Path

import pytest
from hypothesis import given

from lading.core import grammar
from lading.core.datatypes import NAMES, numpy_name
from lading.core.errors import ModelError
from lading.core.signature import Field, Signature
from signatures import signatures

READS = json.loads((Path(__file__).parents[1] / "signature" / "mlflow_reads.json").read_text("utf-8"))


@given(signatures)
def test_a_signature_is_read_as_it_was_written(signature):
    assert grammar.read(signature.to_json()) == signature
    # as in MLmodel, where each part is a text
    assert grammar.read({key: json.dumps(one) for key, one in signature.to_json().items()}) == signature


def stricter(document):
    """Tell whether we refuse, knowing better, what MLflow reads; see docs/decisions/0049."""
    rows = [row for part in document.values() for row in part]
    names = [row.get("name") for row in rows]
    tensors = [row.get("tensor-spec", {}) for row in rows]
    return (
        any(one is not None and names.count(one) > 1 for one in names)
        or any(type(one) in {bool, float} for one in names)
        or any(isinstance(row.get("required"), str) for row in rows)
        or any(None in one.get("shape", []) for one in tensors)
        or any("dtype" in one and numpy_name(one["dtype"]) is None for one in tensors)
        or any(row.get("default") != row.get("default") for row in rows)
    )


def looser(document):
    """Tell whether we read what MLflow cannot: any type beside tensors, as ONNX has it, and times of null."""
    rows = [row for part in document.values() for row in part]
    kinds = {row.get("type") for row in rows}
    times = [row["default"] for row in rows if row.get("type") == "datetime" and "default" in row]
    return kinds == {"tensor", "any"} or None in times or [None] in times


def plain(signature):
    """Write a signature as MLflow's own is compared here: nothing is false, and names are texts."""
    parts = {key: [dict(row) for row in part] for key, part in signature.items() if part}
    for row in [row for part in parts.values() for row in part]:
        if "name" in row:
            row["name"] = str(row["name"])
        if "tensor-spec" not in row:
            row["required"] = bool(row.get("required"))
    return parts


@pytest.mark.parametrize("part", ["inputs", "outputs", "params"])
def test_documents_are_read_as_mlflow_reads_them(part):
    cases = [case for case in READS if part in case[0]]
    assert len(cases) > 10
    for document, theirs in cases:
        try:
            ours = grammar.read(document)
        except ModelError:
            assert theirs is None or stricter(document), document
        else:
            assert (theirs is not None) != looser(document), document
            # a map of vectors MLflow writes as one, and then reads as a vector
            if theirs is not None and '{"type": "sparkml_vector"}' not in json.dumps(document):
                assert plain(ours.to_json()) == plain(theirs), document
                assert grammar.read(ours.to_json()) == ours


def test_every_issue_is_told_with_its_place():
    document = {
        "inputs": [
            {"type": "lnog", "name": "a"},
            {"type": "object", "name": "b", "properties": {"x": {"type": "array", "items": {}}, "y": 1}},
            {"type": "tensor", "tensor-spec": {"dtype": "U10", "shape": [None]}},
            "c",
            {"type": "long", "name": 1.5, "required": "no", "nullable": True},
        ],
        "params": [
            {"name": "p", "type": "binary", "default": "x"},
            {"name": "q", "type": "long", "default": "1"},
        ],
        "output": [],
    }
    with pytest.raises(ModelError) as caught:
        grammar.read(document)
    told = [f"{issue.where}: {issue.what}" for issue in caught.value.issues]
    assert [line[: line.index(":", line.index("]") if "]" in line else 0)] for line in told] == [
        "signature.output",
        "signature.inputs[3]",
        "signature.inputs[0].type",
        "signature.inputs[1].properties.x.items",
        "signature.inputs[1].properties.y",
        "signature.inputs[2].tensor-spec.dtype",
        "signature.inputs[2].tensor-spec.shape",
        "signature.inputs[4].nullable",
        "signature.inputs[4].name",
        "signature.inputs[4].required",
        "signature.params[0].type",
        "signature.params[1].default",
    ]
    fixes = [issue.fix for issue in caught.value.issues]
    assert fixes[:3] == ["did you mean 'outputs'?", None, "did you mean 'long'?"]
    assert "expected one of" in told[2]
    assert "expected long" in told[-1]


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        (
            [{"type": "long", "name": "a"}, {"type": "long"}],
            "got the names 'a', null, expected a name for all",
        ),
        ([{"type": "long", "name": "a"}] * 2, "got the name 'a' 2 times"),
        ([{"type": "long", "required": False}], "optional and has no name"),
        ([{"type": "object", "properties": {}}], r"got properties \{\}, expected an object of at least one"),
        ([{"type": "object", "properties": {1: {"type": "long"}}}], "got the name 1, expected a text"),
        ("[{", "no JSON"),
        ({}, "expected a list of objects"),
    ],
)
def test_what_cannot_be_held_to_is_refused(inputs, expected):
    with pytest.raises(ModelError, match=expected):
        grammar.read({"inputs": inputs})


def test_nesting_without_end_is_refused():
    one = {"type": "long"}
    for _ in range(500):
        one = {"type": "array", "items": one}
    with pytest.raises(ModelError, match="more than 100 deep"):
        grammar.read({"inputs": [one]})


def test_defaults_become_what_mlflow_keeps():
    rows = [
        {"name": "when", "type": "datetime", "default": "2024-02"},
        {"name": "rate", "dtype": "double", "default": 1},
        {"name": "stop", "type": "string", "default": ["a"], "shape": [-1]},
    ]
    assert grammar.read({"params": rows}) == Signature(
        params=(
            Field("datetime", "when", default="2024-02-01"),
            Field("double", "rate", default=1.0),
            Field("string", "stop", shape=(-1,), default=["a"]),
        )
    )


def test_numpys_spellings_have_numpys_names():
    import numpy as np

    spelled = [
        *NAMES - {"float128", "complex256"},
        "<f4",
        ">i2",
        "|b1",
        "?",
        "double",
        "l",
        "Q",
        "M8[ms]",
        "U",
        "S",
    ]
    spelled += ["<U0", "int", "uint", "half", "m8", "O"]
    for text in spelled:
        assert numpy_name(text) == np.dtype(text).name, text
    for text in ("string", "U10", "", "float31", "i4,f4", "int32[ns]", None, 5):
        assert numpy_name(text) is None
