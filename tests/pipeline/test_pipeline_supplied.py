"""Where a model package's model is fetched from, and its inputs."""

import json

import pytest

from lading import settings
from lading.core.assets import AssetDraft
from lading.core.errors import SpecError
from lading.pipeline import assets, packaging
from lading.pipeline.context import Context
from lading.spec.azureml import package

TEXT = "target_environment: pkg\ninferencing_server: {type: lading}\n"
MODEL = {"type": "custom_model"}


@pytest.fixture
def author(tmp_path):
    """A model, and a file of words beside it."""
    (tmp_path / "m").mkdir()
    (tmp_path / "m/model.txt").write_text("a model")
    (tmp_path / "words.txt").write_text("words")
    return tmp_path


@pytest.fixture
def context(author, registry):
    (author / "config.toml").write_text(f'[registries]\nteam = "{registry.host}/team/ml"\n')
    environ = {"LADING_CONFIG": str(author / "config.toml")}
    with Context(settings.load(environ, home=author / "home")) as context:
        for name in ("m", "words"):
            path = author / {"m": "m", "words": "words.txt"}[name]
            assets.create(context, AssetDraft("model", name, document=MODEL, path=path))
        assets.create(
            context, AssetDraft("model", "m", document=MODEL, path=author / "m"), registry_name="team"
        )
        yield context


def compose(context, author, model="m:1", inputs=(), more=""):
    text = TEXT + more + f"inputs: {json.dumps(list(inputs))}\n"
    return packaging.compose(context, package.parse(text, author / "package.yml"), model).spec


def test_a_model_of_a_registry_is_fetched_from_there_and_one_of_this_machine_from_the_package(
    context, author, registry
):
    spec = compose(context, author, "azureml://registries/team/models/m/versions/1")
    (source,) = spec.model_sources
    assert source.startswith(f"oci://{registry.host}/team/ml/assets/models@sha256:")
    assert (spec.mode, compose(context, author).model_sources) == ("download", ())
    copied = compose(context, author, more="model_configuration: {mode: copy}\n")
    assert (copied.mode, copied.model_sources) == ("copy", ())


def test_inputs_are_assets_by_id_or_version_and_urls(context, author, shop):
    shop.files["/words.txt"] = b"from the web"
    given = [
        {"type": "uri_file", "mode": "copy", "path": {"resource_id": "azureml:words:1"}, "mount_path": "a"},
        {"type": "uri_folder", "path": {"resource_name": "m", "resource_version": "1"}},
        {
            "type": "uri_file",
            "mode": "download",
            "mount_path": "web",
            "path": {"url": f"{shop.url}words.txt"},
        },
    ]
    spec = compose(context, author, inputs=given)
    assert [(one.path, one.mode, one.source.name) for one in spec.inputs] == [
        ("/var/azureml-app/a", "copy", "words.txt"),
        ("/var/azureml-app/inputs/m", "download", "m"),
        ("/var/azureml-app/web", "download", "words.txt"),
    ]
    assert spec.inputs[2].source.read_bytes() == b"from the web"
    assert spec.inputs[2].sources == (f"{shop.url}words.txt",)
    assert [(one.role, one.reference) for one in spec.used] == [
        ("model", "azureml:m:1"),
        ("inputs[0]", "azureml:words:1"),
        ("inputs[1]", "azureml:m:1"),
    ]


def test_inputs_that_are_not_there_or_of_another_type_are_told_all_at_once(context, author):
    given = [
        {"type": "uri_file", "path": {"resource_id": "azureml:nothing:1"}},
        {"type": "uri_folder", "path": {"resource_id": "azureml:words:1"}},
        {"type": "uri_file", "path": {"url": "s3://bucket/words.txt"}},
    ]
    with pytest.raises(SpecError) as caught:
        compose(context, author, inputs=given)
    assert [one.where for one in caught.value.issues] == [
        "inputs[0].path",
        "inputs[1].type",
        "inputs[2].path",
    ]
