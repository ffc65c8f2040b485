"""Model packages as Azure ML has them: composed of assets, packed, and kept as environments."""

import json

import joblib
import pytest

from lading import settings
from lading.core.assets import Asset, AssetDraft, AssetReference
from lading.core.errors import RegistryError, SpecError
from lading.core.spec import Example, Route
from lading.pipeline import assets, azure, packages, packaging
from lading.pipeline.context import Context
from lading.spec.azureml import deployment, environment, package
from models import IRIS, rows, train

SCORE = """\
import glob, json, os, joblib

def init():
    global model
    (path,) = glob.glob(os.environ["AZUREML_MODEL_DIR"] + "/model/*.joblib")
    model = joblib.load(path)

def run(raw):
    return model.predict(json.loads(raw)["data"]).tolist()
"""
CONDA = "channels: [conda-forge]\ndependencies: [python=3.11, pip, {pip: [scikit-learn]}]\n"
ONLINE = """\
base_environment_source: {type: environment_asset, resource_id: azureml:sk@latest}
target_environment: Sklearn_Pkg
inferencing_server:
  type: azureml_online
  code_configuration: {code: src, scoring_script: score.py}
model_configuration: {mode: Copy}
environment_variables: {THREADS: 1}
"""
_MODELS = "/var/azureml-app/azureml-models"
NATIVE = "target_environment: {}\ninferencing_server: {{type: lading}}\nmodel_configuration: {{mode: copy}}\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The files of an author: a folder with a model, one with a scoring script, and an environment."""
    folder = tmp_path_factory.mktemp("moe")
    (folder / "model").mkdir()
    joblib.dump(train(), folder / "model/iris.joblib")
    (folder / "src").mkdir()
    (folder / "src/score.py").write_text(SCORE)
    (folder / "src/.amlignore").write_text("secret.txt\n")
    (folder / "src/secret.txt").write_text("token")
    (folder / "conda.yml").write_text(CONDA)
    return folder


@pytest.fixture(scope="module")
def environ(tmp_path_factory):
    """Variables that name a configuration, which declares a registry."""
    config = tmp_path_factory.mktemp("config") / "config.toml"
    shared = tmp_path_factory.mktemp("shared")
    config.write_text(f'[registries]\nteam = "{shared}"\nremote = "registry.example.com/ml"\n')
    return {"LADING_CONFIG": str(config)}


@pytest.fixture(scope="module")
def context(lading, environ, folder):
    """A workspace where they are registered."""
    with Context(settings.load(environ, home=lading.home)) as context:
        path = folder / "model"
        assets.create(context, AssetDraft("model", "iris", document={"type": "custom_model"}, path=path))
        file = AssetDraft("model", "flat-iris", document={"type": "custom_model"}, path=path / "iris.joblib")
        assets.create(context, file)
        text = "name: sk\nimage: debian:bookworm\nconda_file: conda.yml\n"
        assets.create(context, environment.parse(text, folder / "environment.yml"))
        yield context


def compose(context, folder, text, model="iris:1"):
    return packaging.compose(context, package.parse(text, folder / "package.yml"), model)


def test_a_package_is_composed_of_what_its_references_mean_now(context, folder):
    made = compose(context, folder, ONLINE, "azureml:iris@latest")
    spec = made.spec
    assert (spec.name, spec.server, spec.mode, spec.entry) == (
        "sklearn_pkg",
        "azureml_online",
        "copy",
        "score.py",
    )
    assert str(spec.base) == "debian:bookworm"
    assert json.loads(spec.requirements.read_text())["dependencies"][0] == "python=3.11"
    assert spec.environment_variables == {"THREADS": "1"}
    assert [(one.role, one.reference) for one in spec.used] == [
        ("model", "azureml:iris:1"),
        ("environment", "azureml:sk:1"),
    ]
    given = spec.server_settings
    assert (given.model_name, given.model_version, given.model_folder) == ("iris", "1", "model")
    assert (spec.model.name, [one.name for one in spec.model.iterdir()]) == ("model", ["iris.joblib"])
    source = made.package.base_environment_source
    assert source.resource_id == "azureml:sk:1"


def test_a_single_file_has_no_folder(context, folder):
    spec = compose(context, folder, ONLINE, "flat-iris:1").spec
    assert spec.model.name == "iris.joblib"
    assert spec.server_settings.model_folder is None


def test_local_code_becomes_an_asset_without_what_amlignore_names(context, folder):
    made = compose(context, folder, ONLINE)
    assert made.spec.code.name == "src"
    assert [one.name for one in made.spec.code.iterdir()] == ["score.py"]
    code = made.package.inferencing_server.code_configuration.code
    assert code == "azureml:src:1"
    again = compose(context, folder, ONLINE.replace("code: src", "code: azureml:src:1"))
    assert again.spec.code == made.spec.code


@pytest.mark.parametrize(
    ("mount", "path"),
    [(".", _MODELS), ("a/b", f"{_MODELS}/a/b"), ("/mnt/models", "/mnt/models")],
)
def test_a_mount_path_begins_where_azure_lays_models(mount, path, context, folder):
    text = ONLINE.replace("{mode: Copy}", f"{{mount_path: {mount}}}")
    spec = compose(context, folder, text).spec
    assert spec.server_settings.mount_path == path
    assert spec.mode == "download"


def test_what_is_missing_is_told_in_the_words_of_the_file(context, folder):
    with pytest.raises(SpecError) as caught:
        compose(context, folder, "target_environment: x\ninferencing_server: {type: azureml_online}\n")
    assert str(caught.value).startswith(
        "inferencing_server.code_configuration: is missing: iris:1 is a custom_model, which a scoring script"
    )
    with pytest.raises(SpecError) as caught:
        compose(
            context,
            folder,
            "target_environment: x\ninferencing_server: {type: custom, "
            "inference_configuration: {scoring_route: {path: /x}}}\n",
        )
    assert [one.where for one in caught.value.issues] == [
        "base_environment_source",
        "inferencing_server.inference_configuration.liveness_route",
        "inferencing_server.inference_configuration.readiness_route",
        "inferencing_server.inference_configuration.scoring_route",
    ]


def test_a_model_or_environment_that_is_not_there_is_told(context, folder):
    with pytest.raises(RegistryError, match="did you mean 'iris'"):
        compose(context, folder, ONLINE, "irsi:1")
    with pytest.raises(RegistryError, match="its versions: 1"):
        compose(context, folder, ONLINE, "iris:7")
    with pytest.raises(RegistryError, match="environment 'nothing"):
        compose(context, folder, ONLINE.replace("sk@latest", "nothing:1"))


def test_a_server_of_ones_own_has_the_routes_of_its_environment(context, folder):
    text = """\
        name: own
        image: debian:bookworm
        inference_config:
          liveness_route: {port: 8501, path: /live}
          readiness_route: {port: 8501, path: /ready}
          scoring_route: {port: 8501, path: /score}
        """
    assets.create(context, environment.parse(text, folder / "own.yml"))
    text = """\
target_environment: x
base_environment_source: {resource_id: own:1}
inferencing_server:
  type: custom
  inference_configuration: {entry_script: "serve --port 8501 'a b'", scoring_route: {path: /v1}}
"""
    given = compose(context, folder, text).spec.server_settings
    assert given.command == ("serve", "--port", "8501", "a b")
    assert (given.liveness, given.scoring) == (Route(8501, "/live"), Route(8501, "/v1"))


INPUTS = """\
target_environment: azureml://registries/remote/environments/x
inferencing_server: {type: lading}
inputs:
- type: uri_folder
  mode: ReadOnlyMount
  mount_path: words
  path: {input_path_type: path_version, resource_name: iris, resource_version: 1}
- {type: uri_file, mode: Copy, mount_path: /data/flat, path: "azureml:flat-iris@latest"}
- {type: uri_file, path: {input_path_type: url, url: "file://FOLDER/conda.yml"}}
"""


def test_inputs_are_brought_whichever_way_they_are_named(context, folder):
    made = compose(context, folder, INPUTS.replace("FOLDER", str(folder)))
    found = [(one.path, one.mode, one.source.name, one.sources) for one in made.spec.inputs]
    assert found == [
        ("/var/azureml-app/words", "download", "model", ()),
        ("/data/flat", "copy", "iris.joblib", ()),
        ("/var/azureml-app/inputs/conda.yml", "download", "conda.yml", ()),
    ]
    assert [one.reference for one in made.spec.used[1:]] == ["azureml:iris:1", "azureml:flat-iris:1"]
    assert made.package.inputs[1].path.resource_id == "azureml:flat-iris:1"
    # what lies in no registry is pushed beside the image
    assert made.spec.model_sources == ("oci://registry.example.com/ml/packages/x",)


def test_every_input_that_cannot_be_had_is_told(context, folder):
    text = INPUTS.replace("uri_folder", "uri_file").replace("flat-iris", "gone").replace("file:", "s3:")
    with pytest.raises(SpecError) as caught:
        compose(context, folder, text)
    assert [(one.where, one.what.partition(": ")[0]) for one in caught.value.issues] == [
        ("inputs[0].type", "got uri_file, and it is a folder"),
        ("inputs[1].path", "data 'gone@latest'"),
        ("inputs[2].path", "inputs[2]"),
    ]


@pytest.mark.network
def test_a_package_is_an_environment_that_serves_by_itself(context, environ, folder, tmp_path):
    example = Example(rows(0, 60), train().predict(IRIS.data.iloc[[0, 60]]).tolist())

    def create(target, model):
        named = package.parse(NATIVE.format(target), folder / "package.yml")
        return packages.create(context, named, model, examples=(example,))

    made = create("iris-pkg", "flat-iris@latest")
    asset = made.environment.asset
    assert (made.how, asset.name, asset.version, made.image) == ("created", "iris-pkg", "1", "iris-pkg:1")
    assert made.packed.reports[0].passed
    assert asset.document["inference_config"]["scoring_route"] == {"port": 8080, "path": "/score"}
    assert asset.document["package"]["model"] == "azureml:flat-iris:1"
    assert asset.document["image"] == f"iris-pkg@{made.packed.digest}"
    assert packages.bring(context, packages.find(context, "iris-pkg@latest")) == made.packed.digest
    again = create("iris-pkg", "flat-iris:1")
    assert (again.how, again.environment.asset.version) == ("reused", "1")

    outside = azure.look(context, "iris-pkg:1", "registry.example.com/team/iris:2")
    flags = {"deployment": "blue", "instance_type": "X", "folder": tmp_path}
    plan = azure.ml(outside, endpoint="flowers", instance_count=2, **flags)
    azure.write(plan, tmp_path)
    outer = environment.load(tmp_path / "environment.yml")
    assert outer.document["image"] == f"registry.example.com/team/iris@{made.packed.digest}"
    assert outer.document["inference_config"] == asset.document["inference_config"]
    deployed = deployment.load(tmp_path / "deployment.yml")
    assert (deployed.environment, deployed.instance_count) == ("azureml:iris-pkg:1", 2)
    assert plan.commands[0] == "lading push iris-pkg:1 registry.example.com/team/iris:2"
    assert plan.commands[1] == f"az ml environment create -f {tmp_path / 'environment.yml'}"
    with pytest.raises(SpecError, match=r"--endpoint-name: got 'a'(.|\n)*--instance-count: got 0"):
        azure.ml(outside, endpoint="a", instance_count=0, **flags)
    told = azure.app_service(outside, app="a", group="g", plan="p")
    assert told.settings["WEBSITES_PORT"] == "8080"
    noted = azure.look(context, "iris-pkg:1", "localhost:5000/iris:1").notes
    assert noted[-1] == "localhost:5000 is this machine: Azure cannot pull from it"
    outside = azure.look(context, "azureml:iris-pkg@latest", "registry.example.com/team/iris:2")
    told = azure.app_service(outside, app="a", group="g", plan="p")
    assert told.commands[0] == f"lading push {made.packed.digest} registry.example.com/team/iris:2"
    with pytest.raises(SpecError, match="is in no registry that Azure could pull from"):
        azure.look(context, "iris-pkg:1", None)

    # a full location is where the package is created, image and all
    target = "azureml://registries/team/environments/iris-pkg/versions/7"
    there = create(target, "flat-iris:1")
    assert str(there.environment.reference) == target
    assert there.packed.digest == made.packed.digest
    assert "iris-pkg" in [one.asset.name for one in packages.listed(assets.here(context))]
    shared = packages.share(context, made.environment, "team", name="Shared")
    assert shared.asset.document["image"] == f"shared@{made.packed.digest}"
    with Context(settings.load(environ, home=tmp_path / "home")) as other:
        assert packages.bring(other, packages.find(other, target)) == made.packed.digest
        assert other.store.find(str(made.packed.digest))


@pytest.mark.parametrize("place", [{}, {"workspace": "ml-prod"}, {"registry": "team"}])
def test_what_makes_a_package_again_makes_it_where_it_is(place):
    reference = AssetReference("environment", "pkg", "4", **place)
    asset = Asset("environment", "pkg", "4", document={packages.KEY: {}})
    text = packages.written(assets.Found(asset, None, reference))
    assert AssetReference.parse(text.split(" ")[1].strip(), "environment") == reference
