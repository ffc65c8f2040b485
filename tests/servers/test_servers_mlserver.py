"""MLServer's files, and what it cannot serve."""

import json
from pathlib import Path

import pytest

from lading.core.errors import SpecError
from lading.core.model import ModelFacts
from lading.core.signature import Field, Signature
from lading.core.spec import PackageSpec, ServerSettings
from lading.model import as_files
from lading.servers import find

SERVER = find("mlserver")
PICKLE = ModelFacts(
    Path("model.joblib"), "sklearn", "sklearn", "pickle", {"file": "model.joblib", "method": "predict_proba"}
)


def test_its_files_name_the_model_and_its_runtime():
    spec = PackageSpec(
        name="team/iris", version="3", server_settings=ServerSettings(configuration={"debug": "true"})
    )
    files = {
        path.rpartition("/")[2]: json.loads(data) for path, data in SERVER.needs(spec, PICKLE).files.items()
    }
    assert files["settings.json"]["debug"] is True
    assert files["model-settings.json"] == {
        "name": "iris",
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {
            "uri": "/opt/lading/model/model.joblib",
            "version": "3",
            "extra": {"predict_fn": "predict_proba"},
        },
    }


def test_a_model_without_a_runtime_is_refused():
    with pytest.raises(SpecError, match="got a model of format 'python'"):
        SERVER.needs(PackageSpec(), ModelFacts(Path("score.py"), "python", "python", "routine"))


@pytest.mark.parametrize(
    ("name", "data", "implementation"),
    [
        ("model.ubj", b"{L", "mlserver_xgboost.XGBoostModel"),
        ("model.bst", b"binf", "mlserver_xgboost.XGBoostModel"),
        ("model.bst", b"tree\nversion=v4", "mlserver_lightgbm.LightGBMModel"),
        ("model.txt", b"tree\nversion=v4", "mlserver_lightgbm.LightGBMModel"),
        ("model.cbm", b"CBM1", "mlserver_catboost.CatboostModel"),
    ],
)
def test_a_boosters_file_has_the_runtime_of_its_library(tmp_path, name, data, implementation):
    (tmp_path / name).write_bytes(data)
    needs = SERVER.needs(PackageSpec(name="trees"), as_files(tmp_path / name))
    settings = json.loads(needs.files["/opt/lading/serving/mlserver/trees/model-settings.json"])
    assert settings["implementation"] == implementation
    assert settings["parameters"] == {"uri": f"/opt/lading/model/{name}"}
    assert needs.requirements[1] == implementation.partition(".")[0].replace("_", "-")


def test_a_text_that_is_no_booster_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(SpecError, match="a pickled estimator or a booster"):
        SERVER.needs(PackageSpec(), as_files(tmp_path / "notes.txt"))


@pytest.mark.parametrize(("inputs", "outputs"), [("ab", ""), ("", "ab"), ("ab", "ab")])
def test_a_signature_that_says_half_has_a_runtime_that_does_not_fail_on_it(inputs, outputs):
    signed = Signature(tuple(map(Field, inputs)), tuple(map(Field, outputs)))
    needs = SERVER.needs(
        PackageSpec(name="iris"), ModelFacts(Path("m"), "mlflow", "mlflow", "pyfunc", signature=signed)
    )
    folder = "/opt/lading/serving/mlserver/iris"
    settings = json.loads(needs.files[f"{folder}/model-settings.json"])
    module, _, name = settings["implementation"].rpartition(".")
    assert (f"{folder}/{module}.py" in needs.files) == (not (inputs and outputs))
    assert (module, name) == ("mlserver_mlflow", "MLflowRuntime") or b"class Runtime" in needs.files[
        f"{folder}/{module}.py"
    ]
    assert needs.routes["readiness"] == "/v2/models/iris/ready"
