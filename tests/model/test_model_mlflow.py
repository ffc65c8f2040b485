"""MLflow model folders, as mlflow 2 and 3 write them."""

from __future__ import annotations

import importlib.metadata
import json
import pickle
import zipfile
from pathlib import Path

import cloudpickle
import joblib
import pytest
from sklearn.linear_model import LinearRegression

from lading.core.errors import ModelError
from lading.core.signature import Field, Signature
from lading.image import examples
from lading.model import inspect, shims

COLUMNS = (
    '[{"type": "double", "name": "a", "required": true}, {"type": "long", "name": "b", "required": false}]'
)
SKLEARN = """\
flavors:
  python_function:
    env:
      conda: conda.yaml
      virtualenv: python_env.yaml
    loader_module: mlflow.sklearn
    model_path: model.pkl
    predict_fn: predict
    python_version: 3.11.7
  sklearn:
    code: null
    pickled_model: model.pkl
    serialization_format: cloudpickle
    sklearn_version: 1.7.2
mlflow_version: 3.6.0
model_id: null
signature:
  inputs: '%s'
  outputs: '[{"type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1]}}]'
  params: null
saved_input_example_info:
  artifact_path: input_example.json
  pandas_orient: split
  serving_input_path: serving_input_example.json
  type: dataframe
utc_time_created: '2026-11-20 13:04:38.282852'
""".replace("%s", COLUMNS)
PYFUNC = """\
flavors:
  python_function:
    cloudpickle_version: 3.1.2
    code: code
    env: {conda: conda.yaml, virtualenv: python_env.yaml}
    loader_module: mlflow.pyfunc.model
    python_model: python_model.pkl
    python_version: 3.11.7
    streamable: false
mlflow_version: 3.6.0
"""
CONDA = """\
channels: [conda-forge]
dependencies:
- python=3.10.13
- pip<=23.2.1
- pip:
  - mlflow==3.6.0
name: mlflow-env
"""


@pytest.fixture
def folder(write):
    """Write a whole model of the sklearn flavour."""
    write("m/MLmodel", SKLEARN)
    write("m/model.pkl", cloudpickle.dumps(LinearRegression().fit([[1.0, 2.0]], [1.0])))
    write("m/requirements.txt", "mlflow==3.6.0\nscikit-learn==1.7.2\n")
    write("m/python_env.yaml", "python: 3.11.9\ndependencies:\n- -r requirements.txt\n")
    write("m/conda.yaml", CONDA)
    write("m/input_example.json", json.dumps({"columns": ["a", "b"], "data": [[1.0, 2]]}))
    example = {"dataframe_split": {"columns": ["a", "b"], "data": [[1.0, 2]]}}
    return write("m/serving_input_example.json", json.dumps(example)).parent


def change(folder, old, new):
    text = (folder / "MLmodel").read_text()
    assert old in text
    (folder / "MLmodel").write_text(text.replace(old, new))


def test_the_sklearn_flavour_is_loaded_without_mlflow(folder):
    facts = inspect(folder)
    assert (facts.format, facts.flavour, facts.loader) == (
        "mlflow",
        "mlflow sklearn LinearRegression",
        "pickle",
    )
    assert facts.loader_options == {"file": "model.pkl", "method": "predict", "serialization": "cloudpickle"}
    assert (facts.framework, facts.framework_version) == ("scikit-learn", "1.7.2")
    assert "mlflow is not needed to serve it" in facts.notes
    assert facts.risks == ()
    assert len(facts.files) == 7


def test_the_signature_is_mlflows(folder):
    inputs = (Field("double", "a"), Field("long", "b", required=False))
    assert inspect(folder).signature == Signature(inputs, (Field("tensor", dtype="int64", shape=(-1,)),))


def test_without_a_signature_the_estimator_tells_it(folder):
    change(folder, "signature:", "nothing:")
    assert inspect(folder).signature.inputs == (Field("tensor", dtype="float64", shape=(-1, 2)),)


def test_the_requirements_file_is_preferred_to_conda(folder):
    assert inspect(folder).requirements_file == folder / "requirements.txt"
    brought = {one.text for one in inspect(folder).requirements}
    assert brought == {"scikit-learn", "cloudpickle"}, "MLflow does not list what it requires itself"
    (folder / "requirements.txt").unlink()
    assert inspect(folder).requirements_file == folder / "conda.yaml"
    (folder / "conda.yaml").unlink()
    facts = inspect(folder)
    assert facts.requirements_file is None
    assert "the model lists no requirements" in facts.notes


def test_what_only_the_conda_file_tells_pip_is_said_not_to_be_heeded(folder):
    assert not [one for one in inspect(folder).notes if "heeded" in one]
    more = "- pip:\n  - --extra-index-url https://me:hunter2@feed.example/simple\n  - My_Lib==1\n"
    (folder / "conda.yaml").write_text(CONDA.replace("- pip:\n", more))
    (note,) = [one for one in inspect(folder).notes if "heeded" in one]
    assert note.startswith(
        "conda.yaml names '--extra-index-url https://***@feed.example/simple', 'My_Lib==1'"
    )
    (folder / "requirements.txt").write_text(
        "--extra-index-url https://me:hunter2@feed.example/simple\nmy-lib\nmlflow\n"
    )
    assert not [one for one in inspect(folder).notes if "heeded" in one]


def test_what_python_env_lists_itself_is_preferred_as_mlflow_prefers_it(folder):
    (folder / "python_env.yaml").write_text("python: 3.11.9\ndependencies:\n- scikit-learn==1.7.2\n")
    assert inspect(folder).requirements_file == folder / "python_env.yaml"
    (folder / "python_env.yaml").write_text("python: 3.11.9\n")
    assert inspect(folder).requirements_file == folder / "requirements.txt"


def test_a_model_may_call_its_environments_otherwise(folder):
    change(folder, "conda: conda.yaml", "conda: env/c.yaml")
    change(folder, "virtualenv: python_env.yaml", "virtualenv: env/p.yaml")
    (folder / "env").mkdir()
    (folder / "conda.yaml").rename(folder / "env/c.yaml")
    (folder / "python_env.yaml").unlink()
    (folder / "env/p.yaml").write_text("python: 3.11.8\ndependencies:\n- numpy\n")
    facts = inspect(folder)
    assert (facts.python, facts.requirements_file) == ("3.11.8", folder / "env/p.yaml")
    (folder / "env/p.yaml").unlink()
    (folder / "requirements.txt").unlink()
    facts = inspect(folder)
    assert (facts.python, facts.requirements_file) == ("3.10.13", folder / "env/c.yaml")


def test_before_mlflow_2_a_model_names_its_conda_file_alone(folder):
    change(folder, "env:\n      conda: conda.yaml\n      virtualenv: python_env.yaml", "env: env.yaml")
    (folder / "conda.yaml").rename(folder / "env.yaml")
    (folder / "requirements.txt").unlink()
    assert inspect(folder).requirements_file == folder / "env.yaml"


def test_an_environment_outside_of_the_model_is_not_read(folder):
    change(folder, "virtualenv: python_env.yaml", "virtualenv: ../p.yaml")
    (folder.parent / "p.yaml").write_text("python: 3.11.8\ndependencies:\n- numpy\n")
    assert inspect(folder).requirements_file == folder / "requirements.txt"


def test_python_is_told_by_the_environment_then_by_the_model(folder):
    assert inspect(folder).python == "3.11.9"
    (folder / "python_env.yaml").unlink()
    assert inspect(folder).python == "3.10.13"
    (folder / "conda.yaml").unlink()
    assert inspect(folder).python == "3.11.7"


def test_the_example_is_what_a_client_sends(folder):
    (example,) = inspect(folder).examples
    assert example.inputs == {"dataframe_split": {"columns": ["a", "b"], "data": [[1.0, 2]]}}
    assert example.outputs is None


@pytest.mark.parametrize(
    ("info", "logged", "sent"),
    [
        (
            "type: dataframe",
            {"columns": ["a"], "data": [[1]]},
            {"dataframe_split": {"columns": ["a"], "data": [[1]]}},
        ),
        ("type: dataframe", [[1]], {"dataframe_split": {"data": [[1]]}}),
        ("type: ndarray", [[1, 2]], {"inputs": [[1, 2]]}),
        ("type: json_object", [[1, 2]], {"inputs": [[1, 2]]}),
        ("type: json_object", {"messages": []}, {"messages": []}),
        (
            "{type: dataframe, params: 'true'}",
            {"inputs": {"data": [[1]]}, "params": {"n": 1}},
            {"dataframe_split": {"data": [[1]]}, "params": {"n": 1}},
        ),
        ("type: sparse_matrix_csr", {"data": [1]}, None),
    ],
)
def test_older_examples_are_wrapped_as_the_server_expects(info, logged, sent, folder, write):
    listed = info.strip("{}").replace(", ", "\n  ")
    change(folder, "  serving_input_path: serving_input_example.json\n  type: dataframe", f"  {listed}")
    write("m/input_example.json", json.dumps(logged))
    assert [one.inputs for one in inspect(folder).examples] == ([] if sent is None else [sent])


def test_predict_fn_is_the_method_and_says_nothing_of_the_signature(folder):
    change(folder, "predict_fn: predict", "predict_fn: predict_proba")
    change(folder, "signature:", "nothing:")
    facts = inspect(folder)
    assert facts.loader_options["method"] == "predict_proba"
    assert facts.signature is None


def test_a_missing_format_is_pickle(folder):
    change(folder, "    serialization_format: cloudpickle\n", "")
    assert inspect(folder).loader_options["serialization"] == "pickle"


def test_a_joblib_file_inside_is_loaded_by_joblib(folder):
    joblib.dump(LinearRegression().fit([[1.0]], [1.0]), folder / "model.pkl")
    assert inspect(folder).loader_options["serialization"] == "joblib"


def test_an_evil_pickle_inside_is_a_risk(folder, write):
    write("m/model.pkl", b"cos\nsystem\n(S'true'\ntR.")
    assert [risk.name for risk in inspect(folder).risks] == ["os.system"]


def test_another_flavour_is_loaded_by_mlflow_and_its_pickles_are_walked(write):
    write("m/MLmodel", PYFUNC)
    write("m/code/mine.py", "")
    write("m/python_model.pkl", cloudpickle.dumps(lambda rows: rows))
    folder = write("m/artifacts/data.pkl", b"cos\nsystem\n(S'true'\ntR.").parent.parent
    facts = inspect(folder)
    names = {risk.name for risk in facts.risks}
    assert (facts.flavour, facts.loader) == ("mlflow python_function", "python_model")
    assert inspect(folder, loader="mlflow").loader == "pyfunc"
    assert {"os.system", "cloudpickle.cloudpickle._make_function"} <= names
    assert "mlflow is not needed to serve it" in facts.notes
    assert "python_function is loaded by mlflow" in inspect(folder, loader="mlflow").notes
    assert facts.code == folder / "code"


def test_a_pickle_that_cannot_be_followed_is_a_risk_of_its_own(write):
    write("m/MLmodel", PYFUNC.replace("code: code", "code: null"))
    folder = write("m/python_model.pkl", b"\x80\x04\x82\x01.").parent
    (risk,) = inspect(folder).risks
    assert (risk.name, risk.where) == ("python_model.pkl", "python_model.pkl:2")


def test_pickles_are_found_by_name_and_by_what_they_do(write):
    write("m/MLmodel", PYFUNC.replace("code: code", "code: null"))
    write("m/artifacts/a.pkl", b"no pickle")
    folder = write("m/artifacts/b.bin", b"N0cos\nsystem\n(S'true'\ntR.").parent.parent
    assert [risk.name for risk in inspect(folder).risks] == ["artifacts/a.pkl", "os.system"]


def test_a_model_of_code_is_a_risk(write):
    body = PYFUNC.replace("code: code", "code: null").replace(
        "python_model: python_model.pkl", "model_code_path: /a/b/agent.py"
    )
    folder = write("m/MLmodel", body).parent
    assert [risk.name for risk in inspect(folder).risks] == ["agent.py"]


@pytest.mark.parametrize(
    ("flavour", "framework", "key"),
    [
        ("xgboost", "xgboost", "xgb_version"),
        ("pytorch", "torch", "pytorch_version"),
        ("onnx", "onnx", "onnx_version"),
    ],
)
def test_the_framework_is_the_flavours(flavour, framework, key, write):
    body = PYFUNC.replace("code: code", "code: null") + f"  {flavour}:\n    {key}: 2.1.0\n"
    body = body.replace("mlflow_version: 3.6.0\n", "")
    facts = inspect(write("m/MLmodel", body).parent)
    assert (facts.framework, facts.framework_version, facts.loader) == (framework, "2.1.0", "pyfunc")


def listed(facts):
    assert {one.origin for one in facts.requirements} == {"mlflow"}
    return [one.text for one in facts.requirements]


@pytest.mark.parametrize(
    ("flavour", "lines", "expected"),
    [
        ("lightgbm", ["lgb_version: 4.5.0"], ["lightgbm==4.5.0", "mlflow==3.6.0"]),
        ("xgboost", ["xgb_version: 2.1.0"], ["mlflow==3.6.0", "xgboost==2.1.0"]),
        ("pytorch", ["pytorch_version: 2.4.1+cu121"], ["mlflow==3.6.0", "torch==2.4.1"]),
        ("onnx", ["onnx_version: 1.16.2"], ["mlflow==3.6.0", "onnx==1.16.2", "onnxruntime"]),
        ("spark", ["pyspark_version: 3.5"], ["mlflow==3.6.0", "pyspark==3.5"]),
        ("prophet", ["prophet_version: 1.1; os_name"], ["mlflow==3.6.0", "prophet"]),
        ("statsmodels", ["other: 1"], ["mlflow==3.6.0", "statsmodels"]),
    ],
)
def test_without_a_list_the_model_itself_tells_what_it_needs(flavour, lines, expected, write):
    body = PYFUNC.replace("    code: code\n", "").replace("    cloudpickle_version: 3.1.2\n", "")
    body = body.replace("mlflow_version", f"  {flavour}:\n    {lines[0]}\nmlflow_version")
    assert listed(inspect(write("m/MLmodel", body).parent)) == expected


def test_without_a_list_a_python_model_needs_what_pickled_it(write):
    folder = write("m/MLmodel", PYFUNC.replace("code: code", "code: null")).parent
    assert listed(inspect(folder)) == ["cloudpickle==3.1.2", "mlflow==3.6.0"]


def test_without_a_list_sklearn_is_served_by_what_its_pickle_names(folder):
    for name in ("requirements.txt", "conda.yaml"):
        (folder / name).unlink()
    found = {one.text.partition("=")[0]: one.text for one in inspect(folder).requirements}
    # what the pickle says of itself, not what stands beside it
    assert found["scikit-learn"] == f"scikit-learn=={importlib.metadata.version('scikit-learn')}"
    assert "numpy" in found
    assert "mlflow" not in found


def test_without_a_list_a_flavour_not_known_here_asks_for_one(write):
    body = PYFUNC.replace("code: code", "code: null") + "x: 1\n"
    folder = write("m/MLmodel", body.replace("mlflow_version", "  crate:\n    x: 1\nmlflow_version")).parent
    with pytest.raises(ModelError, match="does not tell which libraries flavour 'crate' needs") as caught:
        inspect(folder)
    assert "requirements.txt" in caught.value.issues[0].fix
    write("m/requirements.txt", "crate\n")
    assert inspect(folder).requirements == ()


def test_what_is_missing_in_an_example_is_null_and_the_infinite_is_kept(folder, write):
    text = '{"dataframe_split": {"columns": ["a", "b"], "data": [[NaN, 2], [-Infinity, 2]]}}'
    write("m/serving_input_example.json", text)
    (example,) = inspect(folder).examples
    assert example.inputs["dataframe_split"]["data"] == [[None, 2], [float("-inf"), 2]]
    assert json.loads(examples.encode(example))["inputs"] == example.inputs


@pytest.mark.parametrize("path", ["../secret.json", "absent.json"])
@pytest.mark.parametrize("key", ["serving_input_path", "artifact_path"])
def test_an_example_that_is_not_in_the_folder_is_refused(key, path, folder, write):
    write("secret.json", "{}")
    if key == "artifact_path":
        change(folder, "  serving_input_path: serving_input_example.json\n", "")
    change(
        folder,
        "artifact_path: input_example.json"
        if key == "artifact_path"
        else "serving_input_path: serving_input_example.json",
        f"{key}: {path}",
    )
    with pytest.raises(ModelError, match="which is not in the folder"):
        inspect(folder)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("flavors:", "flavours:", "no flavour 'python_function'"),
        ("flavors:", "flavors: [1]\nx:", "no flavour 'python_function'"),
        ("python_function:", "crate:", "no flavour 'python_function'"),
        ("pickled_model: model.pkl", "pickled_model: other.pkl", "'other.pkl', which is not in the folder"),
        ("pickled_model: model.pkl", "pickled_model: ../../secret.pkl", "which is not in the folder"),
        ("cloudpickle", "telepathy", "serialization_format 'telepathy'"),
        ("flavors:", "flavors: }{", "MLmodel:1: no YAML"),
        ('"type": "double"', '"type": "dubble"', "got 'dubble', expected one of"),
        ('"type": "double"', '"type" "double"', "signature.inputs: no JSON"),
    ],
)
def test_a_broken_mlmodel_says_what_is_wrong(old, new, expected, folder):
    change(folder, old, new)
    with pytest.raises(ModelError, match=expected):
        inspect(folder)


@pytest.mark.parametrize(
    "text", ["", "just text", "[1, 2]", "a: " + "[" * 5000, "\x00", "!!python/object/apply:os.system ['x']"]
)
def test_an_mlmodel_that_is_no_mapping_is_a_model_error(text, write):
    with pytest.raises(ModelError, match="MLmodel"):
        inspect(write("m/MLmodel", text).parent)


def test_a_broken_example_is_a_model_error(folder, write):
    write("m/serving_input_example.json", "{")
    with pytest.raises(ModelError, match=r"serving_input_example\.json: no JSON"):
        inspect(folder)


def test_code_that_is_not_there_is_a_model_error(write):
    with pytest.raises(ModelError, match="code folder 'code'"):
        inspect(write("m/MLmodel", PYFUNC).parent)


def node(module, cls, loader="ObjectNode", content=None):
    return {"__class__": cls, "__module__": module, "__loader__": loader, "content": content}


def skops(path, tree, **more):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("schema.json", json.dumps({**tree, "protocol": 2, "_skops_version": "0.16.0"}))
        for name, data in more.items():
            archive.writestr(name, data)


@pytest.fixture
def skops_folder(folder):
    change(folder, "pickled_model: model.pkl", "pickled_model: model.skops")
    change(
        folder,
        "serialization_format: cloudpickle",
        "serialization_format: skops\n    skops_trusted_types: [os.system]",
    )
    return folder


def test_skops_lists_the_types_that_it_may_load(skops_folder):
    tree = node("sklearn.tree._tree", "Tree", "TreeNode")
    skops(
        skops_folder / "model.skops",
        node("sklearn.ensemble._forest", "RandomForestClassifier", content={"trees": [tree]}),
    )
    facts = inspect(skops_folder)
    assert facts.risks == ()
    assert facts.flavour == "mlflow sklearn RandomForestClassifier"
    assert facts.loader_options == {
        "file": "model.skops",
        "method": "predict",
        "serialization": "skops",
        "trusted_types": ["sklearn.ensemble._forest.RandomForestClassifier", "sklearn.tree._tree.Tree"],
    }


@pytest.mark.parametrize(
    ("evil", "name"),
    [
        (node("os", "system", "FunctionNode"), "os.system"),
        (node("builtins", "eval", "TypeNode"), "builtins.eval"),
        (node("functools", "partial", "PartialNode"), "functools.partial"),
        (node("operator", "methodcaller", "OperatorFuncNode"), "operator.methodcaller"),
        (node("numpy", "ndarray", "MethodNode", {"func": "tofile", "obj": 1}), "numpy.ndarray.tofile"),
        (node("mypkg", "Mine"), "mypkg.Mine"),
    ],
)
def test_what_mlflow_trusts_of_skops_is_no_reason_to_trust_it(evil, name, skops_folder):
    skops(
        skops_folder / "model.skops",
        node("sklearn.linear_model._base", "LinearRegression", content={"x": evil}),
    )
    assert name in {risk.name for risk in inspect(skops_folder).risks}


def test_a_broken_skops_file_is_a_model_error(skops_folder, write):
    for data in (b"", b"PK\x03\x04", b"not a zip", pickle.dumps(1)):
        write("m/model.skops", data)
        with pytest.raises(ModelError, match="no skops file"):
            inspect(skops_folder)
    with zipfile.ZipFile(skops_folder / "model.skops", "w") as archive:
        archive.writestr("schema.json", "[" * 100_000)
    with pytest.raises(ModelError, match="no skops file"):
        inspect(skops_folder)


FROM_CODE = """\
flavors:
  python_function:
    config: {scale: 2}
    loader_module: mlflow.pyfunc.model
    model_code_path: /home/anna/work/model.py
    python_version: 3.11.7
mlflow_version: 3.6.0
"""
USES = {
    "import mlflow\nmlflow.models.set_model(print)": "python_model",
    "from mlflow.models import set_model as give\nfrom mlflow.pyfunc import PythonModel as P\ngive(P())": (
        "python_model"
    ),
    "import mlflow.pyfunc as p\nclass M(p.PythonModel):\n  pass": "python_model",
    "import mlflow\nmlflow.models.set_model(mlflow.deployments.get_deploy_client)": "pyfunc",
    "from mlflow.tracking import MlflowClient\nMlflowClient()": "pyfunc",
    "import mlflow\ndef f():\n  mlflow.start_span('x')": "pyfunc",
    "def broken(": "pyfunc",
}


@pytest.mark.parametrize(("text", "loader"), USES.items())
def test_a_model_that_is_code_is_loaded_without_mlflow_where_it_asks_little_of_it(write, text, loader):
    write("m/MLmodel", FROM_CODE)
    write("m/requirements.txt", "mlflow==3.6.0\n")
    folder = write("m/model.py", text).parent
    facts = inspect(folder)
    assert facts.loader == loader
    if loader == "python_model":
        assert facts.loader_options["code_file"] == "model.py"
        assert facts.loader_options["config"] == {"scale": 2}
        assert [one.text for one in facts.requirements] == ["pandas<3"]
        (folder / "MLmodel").write_text(f"{FROM_CODE}mlflow_version: 3.17.2\n")
        assert [one.text for one in inspect(folder).requirements] == ["pandas<4"]


def test_what_type_hints_and_chat_models_leave_out_is_not_required(write):
    hinted = {
        "type": "object",
        "properties": {"role": {"type": "string", "required": True}},
        "required": True,
    }
    answer = {"type": "string", "name": "id", "required": True}
    document = {
        "flavors": {"python_function": {"loader_module": "mlflow.pyfunc.loaders.chat_model"}},
        "is_signature_from_type_hint": True,
        "signature": {
            "inputs": json.dumps([{"type": "array", "items": hinted}]),
            "outputs": json.dumps([answer]),
        },
    }
    write("m/requirements.txt", "mlflow==3.6.0\n")
    signature = inspect(write("m/MLmodel", json.dumps(document)).parent).signature
    properties = signature.inputs[0].nested["items"]["properties"]
    assert properties == {"role": {"type": "string", "required": False}}
    assert not signature.outputs[0].required


def test_a_flavour_that_needs_java_says_so(write):
    flavors = "h2o: {h2o_version: 3.46.0.12}, python_function: {loader_module: mlflow.h2o}"
    write("m/requirements.txt", "mlflow\nh2o\n")
    facts = inspect(write("m/MLmodel", f"flavors: {{{flavors}}}\n").parent)
    assert facts.notes[0].endswith("needs Java: system_packages: [default-jre-headless]")


def test_a_loader_module_that_the_model_ships_is_loaded_without_mlflow(write):
    write("m/MLmodel", "flavors:\n  python_function: {code: code, data: weights, loader_module: mine}\n")
    write("m/requirements.txt", "numpy\n")
    write("m/weights/w.txt", "1")
    folder = write("m/code/mine.py", "def _load_pyfunc(path):\n    return path\n").parent.parent
    facts = inspect(folder)
    assert (facts.loader, facts.loader_options["module"]) == ("module", "mine")
    # it is the model's code, as a model from code is
    assert [(one.where, one.name) for one in facts.risks] == [("MLmodel", "mine")]
    assert "numbered" not in facts.loader_options
    with (folder / "MLmodel").open("a") as stream:
        stream.write("""signature: {inputs: '[{"type": "string"}]'}\n""")
    assert inspect(folder).loader_options["numbered"] is True
    (folder / "code" / "mine.py").write_text("import mlflow\nmlflow.get_run('x')\n")
    assert inspect(folder).loader == "pyfunc"


def test_the_loader_that_saving_writes_is_no_risk_but_where_it_was_changed_or_has_company(write):
    ours = (Path(shims.__file__).parents[1] / "saving" / "shims" / "lading_object.py").read_text()
    flavor = "python_function: {code: code, data: model.pkl, loader_module: lading_object}"
    write("m/MLmodel", f"flavors:\n  {flavor}\n")
    write("m/requirements.txt", "numpy\n")
    write("m/model.pkl", pickle.dumps(1))
    folder = write("m/code/lading_object.py", ours).parent.parent
    assert inspect(folder).risks == ()
    beside = write("m/code/cloudpickle.py", "")
    assert [one.name for one in inspect(folder).risks] == ["lading_object"]
    beside.unlink()
    write("m/code/lading_object.py", f"{ours}\nprint()\n")
    assert [one.name for one in inspect(folder).risks] == ["lading_object"]


def test_files_of_spacy_are_no_pickles_where_spacy_alone_reads_them(write):
    flavors = "spacy: {data: model.spacy}, python_function: {data: model.spacy, loader_module: mlflow.spacy}"
    write("m/MLmodel", f"flavors: {{{flavors}}}\n")
    write("m/requirements.txt", "spacy\n")
    folder = write("m/model.spacy/vocab/key2row", b"\x80").parents[2]
    facts = inspect(folder)
    assert (facts.loader, facts.risks) == ("spacy", ())
    assert [risk.name for risk in inspect(folder, loader="mlflow").risks] == ["model.spacy/vocab/key2row"]


@pytest.mark.parametrize("imported", ["mlflow", "mlflow.tracking"])
def test_a_pickled_model_whose_functions_use_mlflow_is_loaded_by_it(write, imported):
    write("m/MLmodel", PYFUNC)
    write("m/code/mine.py", "")
    program = f"import {imported} as used" if imported != "mlflow" else "import mlflow\n    used = mlflow"
    scope = {"__name__": "__main__"}
    exec(f"def predict(rows):\n    {program}\n    return used.get_run(rows)\n", scope)
    folder = write("m/python_model.pkl", cloudpickle.dumps(scope["predict"])).parent
    assert inspect(folder).loader == "pyfunc"


def test_a_booster_of_lightgbms_is_text_whatever_format_mlflow_writes(write):
    settings = "{data: model.lgb, model_class: lightgbm.basic.Booster, serialization_format: skops}"
    loader = "{data: model.lgb, loader_module: mlflow.lightgbm}"
    write("m/MLmodel", f"flavors:\n  python_function: {loader}\n  lightgbm: {settings}\n")
    write("m/requirements.txt", "lightgbm\n")
    facts = inspect(write("m/model.lgb", "tree\nversion=v4\n").parent)
    assert (facts.loader, facts.loader_options) == ("lightgbm", {"file": "model.lgb"})


def test_what_a_model_was_saved_with_is_what_its_files_tell(folder, write):
    write("m/requirements.txt", "numpy==2.4.6\nmlflow==3.6.0\nflask==3.0.0\n")
    installed = importlib.metadata.version("scikit-learn")
    assert inspect(folder).saved_with == (
        "mlflow==3.6.0",
        "numpy==2.4.6",  # the pickle tells no more than a bound
        "python==3.11.7",
        f"scikit-learn=={installed}",  # the pickle knows better than MLmodel
    )


def test_a_version_that_is_none_is_not_what_a_model_was_saved_with(folder, write):
    write("m/MLmodel", SKLEARN.replace("python_version: 3.11.7", "python_version: [3]"))
    write("m/requirements.txt", "numpy==latest\nscipy==1.x\n")
    found = inspect(folder).saved_with
    assert [one.partition("==")[0] for one in found] == ["mlflow", "numpy>=2", "python", "scikit-learn"]
