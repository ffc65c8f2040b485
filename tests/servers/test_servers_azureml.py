from pathlib import Path

import pytest

from lading.core.errors import SpecError
from lading.core.model import ModelFacts, Requirement
from lading.core.signature import Field
from lading.core.spec import PackageSpec, ServerSettings
from lading.servers import find
from lading.servers.azureml_requests import as_input_data

APP = "/var/azureml-app"
MLFLOW = ModelFacts(Path("m"), "mlflow", "mlflow sklearn", "pyfunc")


def needs(facts, name="azureml_online", **settings):
    return find(name).needs(PackageSpec(name="iris", server_settings=ServerSettings(**settings)), facts)


def scripted(tmp_path, name="onlinescoring"):
    (folder := tmp_path / name / "sub").mkdir(parents=True)
    (folder / "score.py").touch()
    return ModelFacts(tmp_path, "python", "python", "routine", code=folder.parent, entry="sub/score.py")


def test_a_script_in_a_subfolder_is_the_apps_root(tmp_path):
    found = needs(scripted(tmp_path))
    assert found.code_path == f"{APP}/onlinescoring"
    assert found.variables == {
        "AML_APP_ROOT": f"{APP}/onlinescoring/sub",
        "AZUREML_ENTRY_SCRIPT": "score.py",
        "AZUREML_MODEL_DIR": f"{APP}/azureml-models/iris/1",
    }
    assert found.command == ("--entry_script", f"{APP}/onlinescoring/sub/score.py", "--port", "5001")


@pytest.mark.parametrize(
    ("settings", "folder", "path"),
    [
        ({}, "/azureml-models/iris/1", "/azureml-models/iris/1"),
        (
            {"model_name": "My-Model", "model_version": "7", "model_folder": "model"},
            "/azureml-models/My-Model/7",
            "/azureml-models/My-Model/7/model",
        ),
    ],
)
def test_a_folder_keeps_its_name_and_a_file_lies_flat(tmp_path, settings, folder, path):
    found = needs(scripted(tmp_path), **settings)
    assert (found.variables["AZUREML_MODEL_DIR"], found.model_path) == (APP + folder, APP + path)


def test_a_model_is_mounted_where_it_is_asked_to_be(tmp_path):
    found = needs(scripted(tmp_path), model_mount_path="/models", model_folder="m")
    assert (found.variables["AZUREML_MODEL_DIR"], found.model_path) == ("/models/iris/1", "/models/iris/1/m")


def test_code_never_lies_where_the_models_lie(tmp_path):
    assert needs(scripted(tmp_path, "azureml-models")).code_path == f"{APP}/code"


def test_an_mlflow_model_gets_a_script_that_compiles_on_old_pythons():
    found = needs(MLFLOW, model_folder="model")
    script = "/var/mlflow_resources/mlflow_score_script.py"
    assert found.variables["MLFLOW_MODEL_FOLDER"] == "model"
    assert found.command[1] == script
    compile(found.files[script], script, "exec", flags=0x400)  # ast.PyCF_ONLY_AST


@pytest.mark.parametrize(
    ("text", "added"),
    [
        ("mlflow==2.8.1", False),
        ("  - mlflow-skinny>=2", False),
        ("mlflow[extras]", False),
        ("mlflow-export-import", True),
        ("scikit-learn", True),
    ],
)
def test_mlflow_is_added_where_the_model_does_not_bring_it(text, added, tmp_path):
    (tmp_path / "requirements.txt").write_text(f"numpy\n{text}\n")
    of_file = ModelFacts(
        Path("m"), "mlflow", "mlflow", "pyfunc", requirements_file=tmp_path / "requirements.txt"
    )
    listed = ModelFacts(
        Path("m"), "mlflow", "mlflow", "pyfunc", requirements=(Requirement(text.strip(" -"), "mlflow"),)
    )
    for facts in (of_file, listed):
        assert ("mlflow-skinny" in needs(facts).requirements) == added


def test_without_a_script_the_way_out_is_named():
    with pytest.raises(SpecError) as caught:
        needs(ModelFacts(Path("m.pkl"), "sklearn", "sklearn", "pickle"))
    assert "expected a scoring script with init() and run()" in str(caught.value)


def test_a_script_without_init_is_told_to_have_one(tmp_path):
    facts = ModelFacts(Path("m"), "python", None, None, code=tmp_path, entry="score.py:run")
    with pytest.raises(SpecError, match=r"define init\(\) in score.py"):
        needs(facts)


COLUMNS = (Field("long", "a"), Field("string", "b"))
NAMED = (
    Field("tensor", "a", dtype="float32", shape=(-1, 2)),
    Field("tensor", "b", dtype="int64", shape=(-1,)),
)
FRAME = {"columns": ["a", "b"], "index": [0, 1], "data": [[1, "x"], [2, "y"]]}


@pytest.mark.parametrize(
    ("inputs", "fields", "expected"),
    [
        ({"dataframe_split": {"columns": ["a", "b"], "data": FRAME["data"]}}, COLUMNS, FRAME),
        ({"dataframe_split": {"data": FRAME["data"]}}, COLUMNS, FRAME),
        ({"dataframe_records": [{"a": 1, "b": "x"}, {"b": "y", "a": 2}]}, COLUMNS, FRAME),
        ({"inputs": {"a": [1, 2], "b": ["x", "y"]}}, COLUMNS, FRAME),
        ({"instances": FRAME["data"]}, COLUMNS, FRAME),
        (FRAME["data"], COLUMNS, FRAME),
        ([[1.0, 2.0]], (), [[1.0, 2.0]]),
        ({"inputs": {"a": [[1, 2]], "b": [3]}}, NAMED, {"a": [[1, 2]], "b": [3]}),
        ({"instances": [{"a": [1, 2], "b": 3}]}, NAMED, {"a": [[1, 2]], "b": [3]}),
        ({"input_data": [1]}, COLUMNS, [1]),
        ({"messages": ["hi"]}, (), {"messages": ["hi"]}),
    ],
)
def test_recorded_examples_are_asked_as_input_data(inputs, fields, expected):
    assert as_input_data(inputs, fields) == {"input_data": expected}


def test_params_travel_beside_the_data():
    inputs = {"inputs": [[1]], "params": {"k": 2}}
    assert as_input_data(inputs, ()) == {"input_data": [[1]], "params": {"k": 2}}
