"""`lading signature`: what it prints is pasted into lading.yaml, and read there as it was."""

import json
import subprocess
from pathlib import Path

import onnx.parser
import pytest
import yaml
from hypothesis import example, given

from lading import spec
from lading.core.signature import Field, Signature
from lading.pipeline.signatures import as_text
from lading.signature import NOTATIONS
from models import write_iris
from running import LADING, Inside
from signatures import signatures


@pytest.fixture
def bare(tmp_path, monkeypatch, capsys):
    return Inside(tmp_path / "home", monkeypatch, capsys)


@pytest.fixture
def rows(tmp_path):
    (tmp_path / "rows.csv").write_text("size,count,name\n1.5,1,a\n2,3,\n")
    (tmp_path / "out.json").write_text("[0.5, 1.5]")
    return tmp_path / "rows.csv"


@given(signatures)
@example(Signature((Field("long", "\x85"), Field("double", "größe"), Field("string", "yes"))))
def test_what_is_printed_is_read_in_a_spec_as_it_was(signature):
    if signature != Signature():
        text = as_text(NOTATIONS["mlflow"].write(signature).value)
        assert spec.parse(text, Path("lading.yaml")).signature == signature


def test_a_routine_is_inspected_with_what_its_hints_say(bare, tmp_path):
    (tmp_path / "score.py").write_text("def predict(text: str, top: int = 3) -> list[str]: ...\n")
    told = bare.json("inspect", tmp_path / "score.py")["signature"]
    assert [(one["name"], one["type"]) for one in told["inputs"]] == [("text", "string"), ("top", "long")]


def test_a_signature_is_inferred_of_data(bare, rows):
    told = bare.json(
        "signature", "infer", rows, "--outputs", rows.parent / "out.json", "--params", '{"top": 3}'
    )
    assert told["signature"] == {
        "inputs": [
            {"name": "size", "type": "double", "required": True},
            {"name": "count", "type": "long", "required": True},
            {"name": "name", "type": "string", "required": False},
        ],
        "outputs": [{"type": "double", "required": True}],
        "params": [{"name": "top", "type": "long", "default": 3, "shape": None}],
    }
    assert [note.partition(":")[0] for note in told["notes"]] == ["count"]
    assert (
        yaml.safe_load(bare("signature", "infer", rows))["signature"]["inputs"] == told["signature"]["inputs"]
    )


def test_a_signature_is_inferred_of_hints_and_of_models(bare, tmp_path):
    (tmp_path / "score.py").write_text("def predict(size: float, top: int = 3) -> str: ...\n")
    told = bare.json("signature", "infer", f"{tmp_path}/score.py:predict")
    assert told["signature"]["inputs"][1] == {"name": "top", "type": "long", "required": False}
    assert bare.json("signature", "show", tmp_path / "score.py") == told
    write_iris(tmp_path / "model.joblib")
    of_model = bare.json("signature", "infer", tmp_path / "model.joblib")
    assert len(of_model["signature"]["inputs"]) == 4
    (tmp_path / "lading.yaml").write_text("model: model.joblib\n")
    written = bare.json("signature", "convert", tmp_path / "lading.yaml", "--to", "mlflow")
    assert written["value"] == of_model["signature"]
    (tmp_path / "lading.yaml").write_text("model: model.joblib\nsignature: {inputs: [{type: any}]}\n")
    assert bare.json("signature", "show", tmp_path / "lading.yaml")["signature"]["inputs"] == [
        {"type": "any", "required": None}
    ]


def test_a_document_is_written_in_another_notation_with_its_losses(bare, rows, tmp_path):
    document = tmp_path / "signature.yaml"
    document.write_text(bare("signature", "infer", rows))
    for notation in NOTATIONS:
        written = bare.json("signature", "convert", document, "--to", notation)
        (tmp_path / "written.json").write_text(json.dumps(written))
        back = bare.json("signature", "convert", tmp_path / "written.json", "--to", "mlflow")
        assert (back["value"] == yaml.safe_load(document.read_text())["signature"]) == (not written["losses"])
        if notation != "torchscript":  # what is bare is known by its keys
            (tmp_path / "bare.json").write_text(json.dumps(written["value"]))
            assert (
                bare.json("signature", "convert", tmp_path / "bare.json", "--to", "mlflow")["value"]
                == back["value"]
            )
    (tmp_path / "schema.txt").write_text("forward(Tensor x, int top) -> int")
    told = bare.json("signature", "convert", tmp_path / "schema.txt", "--to", "mlflow")
    assert [one["where"] for one in told["losses"]] == ["inputs.x"]


@pytest.mark.parametrize(
    ("arguments", "status", "expected"),
    [
        (["infer", "none.csv"], 2, "there is no such file"),
        (["infer", "rows.csv", "--params", "{"], 2, "--params: no JSON"),
        (["infer", "rows.csv", "--params", '{"a": null}'], 2, "--params.a: got None"),
        (["infer", "none.py:predict"], 3, "none.py"),
        (["show", "none:1"], 8, "is not in the store"),
        (["convert", "wrong.json", "--to", "oip"], 3, "wrong.json.inputs[0].type: got 'lnog'"),
        (["convert", "wrong.json", "--to", "oip", "--from", "oip"], 3, "expected an object of 'name'"),
    ],
)
def test_what_is_wrong_is_told(arguments, status, expected, bare, rows):
    (rows.parent / "wrong.json").write_text('{"inputs": [{"type": "lnog"}]}')
    run = bare.run("signature", *arguments, cwd=rows.parent)
    assert (run.returncode, expected in run.stderr) == (status, True), run.stderr


def test_a_document_may_come_through_a_pipe(bare, rows):
    document = bare("signature", "infer", rows)
    command = [*LADING, "signature", "convert", "/dev/stdin", "--to", "oip", "--json"]
    run = subprocess.run(command, input=document, capture_output=True, text=True, check=True)
    assert [one["datatype"] for one in json.loads(run.stdout)["value"]["inputs"]] == [
        "FP64",
        "INT64",
        "BYTES",
    ]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("api.json", '{"openapi": "3.1.0", "paths": {}}', "is a description of a server"),
        ("config.json", '{"input": [{"name": "x", "data_type": "TYPE_FP32", "dims": [4]}]}', "Triton"),
        ("config.pbtxt", 'name: "m"', "Triton"),
    ],
)
def test_what_is_kin_to_a_signature_is_told_from_it(bare, tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    run = bare.run("signature", "convert", tmp_path / name, "--to", "mlflow")
    assert run.returncode == 2
    assert said in run.stderr


def test_what_a_source_tells_and_a_signature_does_not_keep_is_lost(bare, tmp_path):
    (tmp_path / "score.py").write_text("def predict(size: float, top: int = 3) -> float: ...\n")
    told = bare.json("signature", "convert", f"{tmp_path}/score.py:predict", "--to", "mlflow")
    assert told["losses"] == [{"where": "inputs.top", "what": "its default 3 is not kept"}]
    graph = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 17]> g (float[batch, 2] x) => (float[batch, 2] y) { y = Abs(x) }'
    )
    onnx.save(graph, tmp_path / "m.onnx")
    told = bare.json("signature", "convert", tmp_path / "m.onnx", "--to", "onnx")
    assert [one["where"] for one in told["losses"]] == ["inputs.x", "outputs.y"]
    assert "'batch'" in told["losses"][0]["what"]
