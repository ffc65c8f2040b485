"""A downloaded MLflow model is linked to, which MLflow 3.17 refuses: it is given what the link leads to."""

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from lading.core.model import ModelFacts
from lading.core.spec import PackageSpec
from lading.servers import find
from lading_runtime.loaders import pyfunc

MODEL = "/opt/lading/model"
FACTS = ModelFacts(Path("model"), "mlflow", "mlflow sklearn", "pyfunc")


@pytest.fixture
def loaded(monkeypatch):
    """Return the paths that a stand-in for MLflow is asked to load."""
    paths = []
    package, module = ModuleType("mlflow"), ModuleType("mlflow.pyfunc")
    module.load_model = paths.append
    package.pyfunc = module
    monkeypatch.setitem(sys.modules, "mlflow", package)
    monkeypatch.setitem(sys.modules, "mlflow.pyfunc", module)
    return paths


def test_the_native_server_loads_what_a_link_leads_to(loaded, tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "model").symlink_to(tmp_path / "there")
    pyfunc.load(str(tmp_path / "model"), {})
    assert loaded == [str(tmp_path / "there")]


@pytest.mark.parametrize("server", ["azureml_online", "azureml_batch", "mlflow", "bentoml", "cog"])
def test_every_script_that_loads_one_resolves_its_links(server):
    files = find(server).needs(PackageSpec(mode="download"), FACTS).files
    texts = [data.decode() for path, data in files.items() if path.endswith(".py")]
    assert any("os.path.realpath(" in text for text in texts)


@pytest.mark.parametrize(("mode", "uri"), [("copy", MODEL), ("download", None)])
def test_mlserver_is_told_by_a_variable_where_it_lies(mode, uri):
    needs = find("mlserver").needs(PackageSpec(name="m", mode=mode), FACTS)
    settings = json.loads(needs.files["/opt/lading/serving/mlserver/m/model-settings.json"])
    assert settings["parameters"].get("uri") == uri
    assert ("MLSERVER_MODEL_URI" in needs.entrypoint[-1]) == (mode == "download")
