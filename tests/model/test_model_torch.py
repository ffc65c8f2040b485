"""Files of PyTorch and safetensors: what they tell, without PyTorch; what of them could run code."""

import io
import json
import pickle
import tarfile
import zipfile
from pathlib import Path

import pytest

from lading.core.errors import ModelError
from lading.core.signature import Field
from lading.model import inspect
from lading.model.torch_walk import LEGACY_MAGIC

SAMPLES = Path(__file__).with_name("samples")
CODE = SAMPLES / "nets.py"


def risks(facts):
    return sorted({one.name for one in facts.risks})


@pytest.fixture
def rewritten(tmp_path):
    """Copy a zip, with entries changed, added or, by None, left out."""

    def rewritten(name, changes, comment=b""):
        with (
            zipfile.ZipFile(SAMPLES / name) as given,
            zipfile.ZipFile(tmp_path / name, "w") as copy,
        ):
            prefix = given.namelist()[0].partition("/")[0]
            changes = {key.replace("*", prefix): value for key, value in changes.items()}
            for one in given.namelist():
                data = changes.pop(one, given.read(one))
                if callable(data):
                    data = data(given.read(one))
                if data is not None:
                    copy.writestr(one, data)
            for one, data in changes.items():
                copy.writestr(one, data)
            copy.comment = comment
        return tmp_path / name

    return rewritten


def test_a_traced_program_tells_its_inputs_with_the_types_that_it_was_traced_with():
    facts = inspect(SAMPLES / "traced.pt")
    assert (facts.format, facts.loader) == ("torchscript", "torch_program")
    assert facts.signature.inputs == (Field("tensor", "input", dtype="float32", shape=(-1, -1)),)
    assert facts.examples[0].inputs == {"inputs": {"input": [[0.0] * 4] * 2}}
    assert not facts.risks


def test_a_scripted_program_tells_its_method_as_it_was_written():
    facts = inspect(SAMPLES / "scripted.pt")
    assert facts.flavour == "torchscript Net"
    assert facts.notes == ("forward(x: Tensor, scale: float=1.) -> Tensor", "scripted")
    assert facts.loader_options["inputs"] == ["x"]
    assert facts.signature is None
    assert not facts.risks


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ('torch.save(x, "/tmp/there")', "aten::save"),
        ('(x).save("/tmp/there")', "aten::save"),
        ('ops.aten.from_file("/etc/passwd")', "aten::from_file"),
        ('getattr(torch, "sa" "ve")(x, "/tmp/there")', "getattr"),
        ("ops.strange.do(x)", "strange::do"),
        ("__torch__.torch.classes.strange.Thing(x)", "strange.Thing"),
    ],
)
def test_operators_that_touch_files_or_are_foreign_are_risks(line, name, rewritten):
    path = rewritten(
        "scripted.pt", {"*/code/__torch__/nets.py": lambda data: data + f"    _9 = {line}\n".encode()}
    )
    assert risks(inspect(path)) == [name]


def test_operators_of_torchvision_bring_it_along(rewritten):
    changed = {"*/code/__torch__/nets.py": lambda data: data + b"    _9 = ops.torchvision.nms(x, x, 0.5)\n"}
    facts = inspect(rewritten("scripted.pt", changed))
    assert facts.loader_options["imports"] == ["torchvision"]
    assert "torchvision" in {one.text.partition("=")[0] for one in facts.requirements}
    assert not facts.risks


def test_an_exported_program_tells_inputs_outputs_and_the_version():
    facts = inspect(SAMPLES / "two.pt2")
    assert facts.framework_version == "2.13.0"
    assert "torch==2.13.0" in {one.text for one in facts.requirements}
    inputs = [(one.name, one.dtype, one.shape) for one in facts.signature.inputs]
    assert inputs == [("numbers", "float32", (-1, 4)), ("word", "int64", (-1,))]
    assert [(one.dtype, one.shape) for one in facts.signature.outputs] == [
        ("float32", (-1, 2)),
        ("int64", (-1,)),
    ]
    assert not facts.risks


def test_an_exported_program_of_dicts_has_their_keys_for_names():
    facts = inspect(SAMPLES / "dict.pt2")
    assert [(one.name, one.shape) for one in facts.signature.inputs] == [("size", (-1, 4)), ("age", (-1, 1))]
    assert [one.name for one in facts.signature.outputs] == ["score", "best"]
    assert facts.loader_options["outputs"] == ["score", "best"]
    assert not facts.risks


def test_an_exported_program_whose_input_is_an_open_number_says_so(rewritten):
    open_number = replaced(b'"as_tensor": {"name": "word"}', b'"as_sym_int": {"as_name": "word"}')
    with pytest.raises(ModelError, match="number among its inputs that is open"):
        inspect(rewritten("two.pt2", {"*/models/model.json": open_number}))


def test_an_exported_program_of_the_layout_before_tells_the_same():
    facts = inspect(SAMPLES / "old.pt2")
    assert (facts.format, facts.framework_version) == ("torch_export", "2.13.0")
    assert [(one.name, one.shape) for one in facts.signature.inputs] == [("input", (-1, 4))]
    assert not facts.risks


def replaced(old, new):
    return lambda data: data.replace(old, new)


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        (b'"torch.ops.aten.linear.default"', b'"torch.hub.load"', "torch.hub.load"),
        (b'"torch.ops.aten.linear.default"', b'"torch.ops.aten.from_file"', "torch.ops.aten.from_file"),
        (b'"expr_str": "Symbol(', b'"expr_str": "__import__(\'os\').getcwd() + Symbol(', "__import__"),
        (b'"guards_code": [', b'"guards_code": ["print(1)", ', "print(1)"),
        (b'builtins.dict\\"', b'collections.defaultdict\\"', "collections.defaultdict"),
        (b'"numbers"', b'"numbers=print()"', "numbers=print()"),
    ],
)
def test_what_an_exported_program_could_run_is_a_risk(old, new, name, rewritten):
    facts = inspect(rewritten("two.pt2", {"*/models/model.json": replaced(old, new)}))
    assert any(name in one for one in risks(facts))


class Evil:
    def __reduce__(self):
        return print, ("got you",)


def torch_zip(*objects):
    """Write what `torch.save` would, of things that have no tensors."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for index, one in enumerate(objects):
            archive.writestr(f"archive{index or ''}/data.pkl", pickle.dumps(one, 2))
    return stream.getvalue()


def test_pickles_in_an_exported_program_are_walked(rewritten):
    path = rewritten("two.pt2", {"*/data/sample_inputs/model.pt": torch_zip(Evil())})
    assert risks(inspect(path)) == ["builtins.print"]
    config = json.dumps({"config": {"w": {"path_name": "weight_0", "use_pickle": True}}})
    changes = {
        "*/data/weights/model_weights_config.json": config,
        "*/data/weights/weight_0": torch_zip(Evil()),
    }
    assert risks(inspect(rewritten("two.pt2", changes))) == ["builtins.print"]
    config = json.dumps({"config": {"w": {"path_name": "opaque_obj_0", "use_pickle": True}}})
    changes = {"*/data/constants/model_constants_config.json": config}
    assert risks(inspect(rewritten("two.pt2", changes))) == ["opaque_obj_0"]


@pytest.mark.parametrize("name", ["layers.pth", "legacy.pth"])
def test_a_module_of_pytorchs_own_layers_needs_no_code_and_is_no_risk(name):
    facts = inspect(SAMPLES / name)
    assert (facts.format, facts.flavour) == ("torch", "torch Sequential")
    assert facts.notes[0] == "4 tensors, 67 parameters, float32"
    assert not facts.risks
    assert not facts.missing


@pytest.mark.parametrize("code", [CODE, SAMPLES])
def test_a_module_of_the_authors_own_wants_its_code(code, tmp_path):
    alone = inspect(SAMPLES / "net.pth")
    assert risks(alone) == ["nets.Net"]
    assert alone.missing == ("nets",)
    if code.is_dir():
        code = tmp_path
        (tmp_path / "nets.py").write_text(CODE.read_text())
    facts = inspect(SAMPLES / "net.pth", code=code)
    assert facts.format == "torch"
    assert not facts.risks
    assert not facts.missing


@pytest.mark.parametrize("name", ["state.pth", "weights.safetensors"])
def test_weights_alone_say_what_they_lack(name):
    with pytest.raises(
        ModelError, match=r"holds weights alone \(9 tensors, 100 parameters, float32"
    ) as caught:
        inspect(SAMPLES / name)
    assert "--code" in caught.value.issues[0].fix


@pytest.mark.parametrize(
    ("start", "end", "where"), [(b"}X\5\0\0\0model", b"s", r"\['model'\]"), (b"]", b"a", r"\[0\]")]
)
def test_a_module_among_other_things_is_told_where_it_stands(start, end, where, tmp_path):
    with (
        zipfile.ZipFile(SAMPLES / "layers.pth") as old,
        zipfile.ZipFile(tmp_path / "checkpoint.pt", "w") as new,
    ):
        for name in old.namelist():
            data = old.read(name)
            if name.endswith("/data.pkl"):
                data = data[:2] + start + data[2:-1] + end + b"."
            new.writestr(name, data)
    with pytest.raises(ModelError, match=f"holds a module among other things, under {where}") as caught:
        inspect(tmp_path / "checkpoint.pt")
    assert "torch.save(checkpoint[" in caught.value.issues[0].fix


@pytest.mark.parametrize("name", ["state.pth", "weights.safetensors"])
def test_weights_with_a_routine_are_a_model_whose_facts_are_noted(name, write):
    routine = write("code/serving.py", "def predict(x):\n    return x\n")
    for code in (routine, routine.parent):
        facts = inspect(SAMPLES / name, code=code)
        assert facts.format == "python"
        assert any("9 tensors, 100 parameters" in one for one in facts.notes), facts.notes
        assert not facts.risks


@pytest.mark.parametrize("name", ["model.pth", "model.pkl"])
def test_what_hides_in_weights_beside_a_routine_is_a_risk(name, write):
    write(f"model/{name}", torch_zip({"weights": Evil()}))
    routine = write("serving.py", "def predict(x):\n    return x\n")
    assert risks(inspect(routine.with_name("model"), code=routine)) == ["builtins.print"]


def test_an_index_of_shards_names_what_has_to_be_there(write):
    data = (SAMPLES / "weights.safetensors").read_bytes()
    write("model/model-1.safetensors", data)
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    write("model/model.safetensors.index.json", json.dumps(index))
    routine = write("serving.py", "def predict(x):\n    return x\n")
    with pytest.raises(ModelError, match=r"names what is not there: 'model-2.safetensors'"):
        inspect(routine.with_name("model"), code=routine)
    write("model/model-2.safetensors", data)
    notes = inspect(routine.with_name("model"), code=routine).notes
    assert sum("9 tensors" in one for one in notes) == 2


@pytest.mark.parametrize("cut", [20, 400])
def test_a_cut_file_of_safetensors_is_told(cut, write):
    data = (SAMPLES / "weights.safetensors").read_bytes()
    path = write("weights.safetensors", data[:-cut])
    with pytest.raises(ModelError, match=r"broken|no pickle"):
        inspect(path)


def test_a_zip_that_readers_disagree_about_is_refused(rewritten, write):
    whole = (SAMPLES / "layers.pth").read_bytes()
    with pytest.raises(ModelError, match="something behind its directory"):
        inspect(rewritten("layers.pth", {}, comment=b"more"))
    with pytest.raises(ModelError, match="something behind its directory"):
        inspect(write("late.pth", whole + b"x"))
    with pytest.raises(ModelError, match="is no zip that can be read"):
        inspect(write("half.pth", whole[: len(whole) // 2]))
    with pytest.raises(ModelError, match=r"expected one 'data.pkl'"):
        inspect(write("two.pth", torch_zip({}, {})))


def test_a_legacy_file_that_is_a_tar_too_is_refused(write):
    name = LEGACY_MAGIC.decode("utf-8", "surrogateescape")
    data = tarfile.TarInfo(name).tobuf(tarfile.GNU_FORMAT, errors="surrogateescape")
    with pytest.raises(ModelError, match="tar archive"):
        inspect(write("model.pth", data))


def test_mlflows_pickled_modules_are_walked(write):
    document = {
        "flavors": {
            "python_function": {"loader_module": "mlflow.pytorch", "data": "data"},
            "pytorch": {"model_data": "data", "pytorch_version": "2.13.0"},
        }
    }
    write("model/MLmodel", json.dumps(document))
    path = write("model/data/model.pth", torch_zip(Evil()))
    assert risks(inspect(path.parents[1])) == ["builtins.print"]
    path.write_bytes((SAMPLES / "layers.pth").read_bytes())
    facts = inspect(path.parents[1])
    assert facts.loader == "pytorch"
    assert not facts.risks
