"""ONNX graphs as files of their own: inputs, outputs, weights elsewhere, operators of one's own."""

import os

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from lading.core.errors import ModelError
from lading.core.signature import Field
from lading.model import inspect, is_known
from lading_runtime.loaders.onnx import load


def value(name, kind=TensorProto.FLOAT, shape=("n", 2)):
    return helper.make_tensor_value_info(name, kind, shape)


def save(path, nodes=None, inputs=None, *, outputs=None, weights=(), domains=(), **more):
    nodes = nodes or [helper.make_node("Add", ["x", "x"], ["y"])]
    graph = helper.make_graph(nodes, "g", inputs or [value("x")], outputs or [value("y")], list(weights))
    opsets = [helper.make_opsetid("", 17), *(helper.make_opsetid(one, 1) for one in domains)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="by hand")
    onnx.save(model, path, **more)
    return model


def large(path):
    """Save a graph whose weights lie in `weights.bin` beside it."""
    weights = numpy_helper.from_array(np.ones((2, 3), np.float32), "w")
    more = {"save_as_external_data": True, "location": "weights.bin", "size_threshold": 0}
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    save(path, nodes, weights=[weights], outputs=[value("y", shape=("n", 3))], **more)


def test_a_graph_tells_inputs_outputs_and_operators_versions(tmp_path):
    save(tmp_path / "model.bin")
    facts = inspect(tmp_path / "model.bin")
    assert (facts.format, facts.loader, facts.loader_options) == ("onnx", "onnx", {"file": "model.bin"})
    assert facts.signature.inputs == (Field("tensor", "x", dtype="float32", shape=(-1, 2)),)
    assert facts.notes == ("opset 17", "written by by hand")
    assert [one.text.partition("=")[0] for one in facts.requirements] == ["onnxruntime"]
    assert not facts.risks


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (TensorProto.INT8, Field("tensor", "x", dtype="int8", shape=(-1, 2))),
        (TensorProto.BFLOAT16, Field("tensor", "x", dtype="float32", shape=(-1, 2))),
        (TensorProto.STRING, Field("tensor", "x", dtype="str", shape=(-1, 2))),
        (TensorProto.FLOAT8E4M3FN, Field("any", "x")),
    ],
)
def test_types_are_numpys_as_far_as_it_has_them(code, expected, tmp_path):
    save(tmp_path / "m.onnx", [helper.make_node("Identity", ["x"], ["y"])], [value("x", code)])
    assert inspect(tmp_path / "m.onnx").signature.inputs == (expected,)


def test_sequences_are_anything_and_what_is_optional_need_not_be_given(tmp_path):
    tensor = helper.make_tensor_type_proto(TensorProto.FLOAT, ["n"])
    sequence = helper.make_value_info("s", helper.make_sequence_type_proto(tensor))
    maybe = helper.make_value_info("o", helper.make_optional_type_proto(tensor))
    save(tmp_path / "m.onnx", inputs=[value("x"), sequence, maybe])
    _, one, other = inspect(tmp_path / "m.onnx").signature.inputs
    assert one == Field("any", "s")
    assert other == Field("tensor", "o", required=False, dtype="float32", shape=(-1,))


def test_weights_beside_the_graph_belong_to_it(tmp_path):
    large(tmp_path / "model.onnx")
    facts = inspect(tmp_path)
    assert [one.path for one in facts.files] == ["model.onnx", "weights.bin"]
    assert facts.loader_options["file"] == "model.onnx"
    with pytest.raises(
        ModelError, match=r"has weights in 'weights\.bin' beside it[\s\S]*point to the folder"
    ):
        inspect(tmp_path / "model.onnx")


def test_weights_that_lack_or_are_cut_are_told(tmp_path):
    large(tmp_path / "model.onnx")
    (tmp_path / "weights.bin").write_bytes(b"1234")
    with pytest.raises(ModelError, match=r"weights\.bin: has 4 bytes, and model\.onnx reads 24"):
        inspect(tmp_path)
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(ModelError, match=r"names weights in 'weights\.bin', which is not there"):
        inspect(tmp_path)


@pytest.mark.parametrize("location", ["/etc/passwd", "../weights.bin", "a/../../b", "C:\\weights", ""])
def test_weights_outside_of_the_folder_are_refused(location, tmp_path):
    weight = helper.make_tensor("w", TensorProto.FLOAT, [1], b"\0\0\0\0", raw=True)
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value=location)
    branch = helper.make_graph([helper.make_node("Constant", [], ["c"], value=weight)], "b", [], [value("c")])
    node = helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch)
    (tmp_path / "model").mkdir()
    graph = helper.make_graph([node], "g", [value("x")], [value("y")])
    (tmp_path / "model" / "m.onnx").write_bytes(helper.make_model(graph).SerializeToString())
    with pytest.raises(ModelError, match="which is not beside it"):
        inspect(tmp_path / "model")


def test_operators_of_ones_own_are_a_risk_and_functions_of_the_file_are_not(tmp_path):
    node = helper.make_node("Fast", ["x"], ["y"], domain="com.acme")
    save(tmp_path / "m.onnx", [node], domains=["com.acme"])
    (risk,) = inspect(tmp_path / "m.onnx").risks
    assert (risk.name, risk.where) == ("com.acme", "m.onnx")
    model = onnx.load(tmp_path / "m.onnx")
    inner = [helper.make_node("Add", ["a", "a"], ["b"])]
    model.functions.append(
        helper.make_function("com.acme", "Fast", ["a"], ["b"], inner, [helper.make_opsetid("", 17)])
    )
    onnx.save(model, tmp_path / "m.onnx")
    assert not inspect(tmp_path / "m.onnx").risks


def test_operators_of_onnxruntimes_extensions_bring_them(tmp_path):
    node = helper.make_node("StringLower", ["x"], ["y"], domain="ai.onnx.contrib")
    save(tmp_path / "m.onnx", [node], domains=["ai.onnx.contrib"])
    facts = inspect(tmp_path / "m.onnx")
    assert facts.loader_options["extensions"]
    assert facts.requirements[-1].text == "onnxruntime-extensions"
    assert not facts.risks


@pytest.mark.parametrize("data", [b"\x08\x01\x12\x04abcd", b"\x08\x08", b"\x08", b"\x0a\x03abc", b""])
def test_other_protocol_buffers_are_no_graphs(data, tmp_path):
    (tmp_path / "frozen.pb").write_bytes(data)
    assert not is_known(tmp_path / "frozen.pb")


def test_what_has_any_number_of_dimensions_is_told_no_shape(tmp_path):
    save(tmp_path / "m.onnx", inputs=[value("x", shape=None)], outputs=[value("y", shape=None)])
    facts = inspect(tmp_path / "m.onnx")
    assert facts.signature is None
    assert facts.notes[-1] == "of any number of dimensions: x: float32"
    save(tmp_path / "m.onnx", outputs=[value("y", shape=None)])
    facts = inspect(tmp_path / "m.onnx")
    assert [one.name for one in facts.signature.inputs] == ["x"]
    assert not facts.signature.outputs


def test_texts_are_lowered_where_the_system_lacks_the_graphs_locale(tmp_path, monkeypatch):
    lowered = helper.make_node(
        "StringNormalizer", ["x"], ["y"], case_change_action="LOWER", locale="xx_YY.UTF-8"
    )
    save(
        tmp_path / "m.onnx",
        [lowered],
        [value("x", TensorProto.STRING, ["n"])],
        outputs=[value("y", TensorProto.STRING, ["n"])],
    )
    options = inspect(tmp_path / "m.onnx").loader_options
    assert options["locale"]
    monkeypatch.delenv("LOCPATH", raising=False)
    loaded = load(str(tmp_path), options)
    assert loaded._session.run(None, {"x": np.array(["ÉA", "ß"], object)})[0].tolist() == ["éa", "ß"]
    assert "LOCPATH" not in os.environ
