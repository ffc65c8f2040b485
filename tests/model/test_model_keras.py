"""Models of Keras and TensorFlow: what their files tell, without either; what of them could run code."""

import contextlib
import json
import shutil
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lading.core.errors import ModelError
from lading.core.model import ModelFile
from lading.core.signature import Field
from lading.model import hdf5, inspect, saved_model

SAMPLES = Path(__file__).with_name("samples")
ROWS = Field("tensor", "rows", dtype="float32", shape=(-1, 4))


def risks(facts):
    return sorted({one.name for one in facts.risks})


@pytest.fixture
def keras(tmp_path):
    """Write a model of Keras whose config is another."""

    def keras(change, name="chain.keras"):
        with zipfile.ZipFile(SAMPLES / name) as given, zipfile.ZipFile(tmp_path / name, "w") as copy:
            for one in given.namelist():
                data = given.read(one)
                if one == "config.json":
                    document = json.loads(data)
                    change(document)
                    data = json.dumps(document)
                copy.writestr(one, data)
        return tmp_path / name

    return keras


def test_a_model_of_keras_tells_its_inputs_and_version_and_runs_on_the_lightest_backend():
    facts = inspect(SAMPLES / "chain.keras")
    assert (facts.format, facts.loader, facts.flavour) == ("keras", "keras", "keras Sequential")
    assert facts.framework_version == "3.15.1"
    assert facts.signature.inputs == (ROWS,)
    assert facts.loader_options["backend"] == "jax"
    assert facts.modules == ("jax", "keras")
    assert {one.text.partition("=")[0] for one in facts.requirements} == {"keras", "h5py", "jax", "packaging"}
    assert not facts.risks


def test_several_inputs_are_in_the_order_of_the_network():
    facts = inspect(SAMPLES / "both.keras")
    assert [(one.name, one.shape) for one in facts.signature.inputs] == [
        ("left", (-1, 2)),
        ("right", (-1, 3)),
    ]


def test_a_model_in_hdf5_tells_the_same_and_its_backend():
    facts = inspect(SAMPLES / "chain.h5")
    assert (facts.format, facts.framework_version) == ("keras", "3.15.1")
    assert facts.signature.inputs == (ROWS,)
    assert facts.loader_options["backend"] == "tensorflow"
    assert not facts.risks


@pytest.mark.parametrize("name", ["keras2.h5", "keras2.keras"])
def test_what_keras_2_saved_is_served_by_it(name):
    facts = inspect(SAMPLES / name)
    assert [one.text for one in facts.requirements] == ["keras==2.15.0", "tensorflow==2.15.*"]
    assert facts.signature.inputs == (Field("tensor", "dense_input", dtype="float32", shape=(-1, 4)),)
    assert facts.loader_options["backend"] == "tensorflow"
    assert not facts.risks


@pytest.mark.parametrize(
    ("name", "layer"), [("lambda.keras", "keras.layers.Lambda"), ("lambda.h5", "Lambda")]
)
def test_byte_code_in_a_layer_is_a_risk(name, layer):
    facts = inspect(SAMPLES / name)
    assert risks(facts) == sorted([layer, "lambda"])
    assert facts.loader_options["unsafe"]
    assert facts.loader_options["backend"] == "tensorflow"


@pytest.mark.parametrize(
    ("named", "risk"),
    [
        ({"module": "os", "class_name": "system", "config": {}}, "os.system"),
        ({"module": "builtins", "class_name": "function", "config": "exec"}, "builtins.exec"),
        ({"module": "keras.utils", "class_name": "function", "config": "get_file"}, "keras.utils.get_file"),
        (
            {"module": "keras.models", "class_name": "function", "config": "load_model"},
            "keras.models.load_model",
        ),
        ({"module": "keras.layers", "class_name": "function", "config": "get"}, "keras.layers.get"),
        ({"module": "keras.layers", "class_name": "TFSMLayer", "config": {}}, "keras.layers.TFSMLayer"),
        (
            {"module": "keras.layers", "class_name": "TorchModuleWrapper", "config": {}},
            "keras.layers.TorchModuleWrapper",
        ),
        ({"module": "mine", "class_name": "Net", "config": {}, "registered_name": "mine>Net"}, "mine.Net"),
        ({"module": None, "class_name": "Net", "config": {}, "registered_name": "mine>Net"}, "mine>Net"),
    ],
)
def test_what_a_config_names_outside_of_keras_is_a_risk(named, risk, keras):
    path = keras(lambda config: config["config"]["layers"].append(named))
    assert risk in risks(inspect(path))


@pytest.mark.parametrize(
    "named",
    [
        {"module": "keras.src.ops.numpy", "class_name": "Add", "config": {}, "registered_name": "Add"},
        {"module": "keras.quantizers", "class_name": "AbsMaxQuantizer", "config": {}},
        {"module": "keras.src.layers.core.masking", "class_name": "Masking", "config": {}},
        {"module": "keras.activations", "class_name": "function", "config": "gelu"},
    ],
)
def test_what_keras_itself_has_is_no_risk(named, keras):
    assert not inspect(keras(lambda config: config["config"]["layers"].append(named))).risks


def test_a_vocabulary_that_is_a_file_is_a_risk(keras):
    layer = {"module": "keras.layers", "class_name": "StringLookup", "config": {"vocabulary": "/etc/passwd"}}
    facts = inspect(keras(lambda config: config["config"]["layers"].append(layer)))
    assert risks(facts) == ["StringLookup"]
    assert facts.loader_options["backend"] == "tensorflow"


def test_layers_of_ones_own_are_shipped_as_code(keras, write):
    code = write("mine.py", "import keras\n\n\nclass Net(keras.layers.Layer):\n    pass\n")
    layer = {"module": "mine", "class_name": "Net", "config": {}, "registered_name": "mine>Net"}
    folder = keras(lambda config: config["config"]["layers"].append(layer)).parent / "model"
    folder.mkdir()
    (folder.parent / "chain.keras").rename(folder / "chain.keras")
    facts = inspect(folder, code=code)
    assert facts.format == "keras"
    assert facts.loader_options["imports"] == ["mine"]
    assert not facts.risks


def test_weights_alone_in_hdf5_say_what_they_lack(write):
    with zipfile.ZipFile(SAMPLES / "chain.keras") as archive:
        path = write("model.weights.h5", archive.read("model.weights.h5"))
    with pytest.raises(ModelError, match="weights alone") as caught:
        inspect(path)
    assert "--code" in caught.value.issues[0].fix
    routine = write("serve.py", "def predict(x):\n    return x\n")
    assert inspect(path, code=routine).format == "python"


def test_a_cut_file_of_hdf5_is_told(write):
    path = write("model.h5", (SAMPLES / "chain.h5").read_bytes()[:900])
    with pytest.raises(ModelError, match="no HDF5 file that can be read"):
        inspect(path)


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_hdf5_that_was_changed_is_read_or_refused(data, tmp_path_factory):
    whole = bytearray((SAMPLES / "chain.h5").read_bytes()[:6000])
    for at in data.draw(st.lists(st.integers(8, len(whole) - 1), min_size=1, max_size=4)):
        whole[at] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("hdf5") / "model.h5"
    path.write_bytes(whole)
    with contextlib.suppress(ModelError):
        assert all(isinstance(one, str) for one in hdf5.texts(path, "model.h5").values())


def test_a_savedmodel_tells_its_signature_and_version():
    facts = inspect(SAMPLES / "doubled")
    assert (facts.format, facts.loader) == ("savedmodel", "tensorflow")
    assert facts.framework_version == "2.21.0"
    assert [one.text for one in facts.requirements] == ["tensorflow==2.21.0"]
    inputs = [(one.name, one.dtype, one.shape) for one in facts.signature.inputs]
    assert inputs == [("count", "int64", (-1,)), ("numbers", "float32", (-1, 3))]
    outputs = [(one.name, one.dtype, one.shape) for one in facts.signature.outputs]
    assert outputs == [("best", "int64", (-1,)), ("scores", "float32", (-1, 2))]
    assert not facts.risks


@pytest.mark.parametrize(("old", "new"), [(b"MatMul", b"PyFunc"), (b"ArgMax", b"SaveV2")])
def test_operators_that_call_code_or_touch_files_are_risks(old, new, tmp_path):
    shutil.copytree(SAMPLES / "doubled", tmp_path / "model")
    path = tmp_path / "model" / "saved_model.pb"
    path.write_bytes(path.read_bytes().replace(old, new))
    assert risks(inspect(tmp_path / "model")) == [new.decode()]


def test_a_signature_is_asked_for_by_its_name(tmp_path):
    shutil.copytree(SAMPLES / "doubled", tmp_path / "model")
    path = tmp_path / "model" / "saved_model.pb"
    path.write_bytes(path.read_bytes().replace(b"serving_default", b"with_other_name"))
    facts = inspect(tmp_path / "model", entry="saved_model.pb:with_other_name")
    assert (facts.format, facts.loader_options["signature"]) == ("savedmodel", "with_other_name")
    with pytest.raises(ModelError, match="no signature 'best'") as caught:
        inspect(tmp_path / "model", entry="saved_model.pb:best")
    assert caught.value.issues[0].fix == "it has with_other_name"


def test_a_graph_without_its_folder_says_what_it_needs(tmp_path):
    shutil.copytree(SAMPLES / "doubled", tmp_path / "model")
    with pytest.raises(ModelError, match="has no variables beside it"):
        inspect(tmp_path / "model" / "saved_model.pb")
    shutil.rmtree(tmp_path / "model" / "variables")
    with pytest.raises(ModelError, match="has no variables beside it"):
        inspect(tmp_path / "model")


def test_a_graph_that_holds_no_variables_needs_none_beside_it(tmp_path):
    shutil.copytree(SAMPLES / "doubled", tmp_path / "model")
    shutil.rmtree(tmp_path / "model" / "variables")
    path = tmp_path / "model" / "saved_model.pb"
    path.write_bytes(path.read_bytes().replace(b"VarHandleOp", b"Placeholder"))
    assert inspect(tmp_path / "model").format == "savedmodel"


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_graph_that_was_changed_is_read_or_refused(data, tmp_path_factory):
    whole = bytearray((SAMPLES / "doubled" / "saved_model.pb").read_bytes())
    for at in data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=4)):
        whole[at] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("graph") / "saved_model.pb"
    path.write_bytes(whole)
    with contextlib.suppress(ModelError):
        assert saved_model.look(ModelFile("saved_model.pb", path, len(whole))).tags is not None
