"""`lading package` and `lading model package`, but for the packing itself."""

import pytest

from lading import settings
from lading.core.assets import AssetDraft
from lading.pipeline import assets
from lading.pipeline.context import Context
from running import Inside

WHOLE = {"digest": "x", "model": "azureml:m:1", "inferencing_server": {"type": "lading"}}


@pytest.fixture
def here(tmp_path, monkeypatch, capsys):
    """A workspace with a model, and a folder with a package's file."""
    lading = Inside(tmp_path / "home", monkeypatch, capsys)
    (tmp_path / "model.txt").write_text("weights")
    lading("model", "create", "-n", "words", "--path", tmp_path / "model.txt")
    return lading, tmp_path


def write(folder, text):
    path = folder / "package.yml"
    path.write_text(text)
    return path


def test_every_mistake_of_a_file_is_told_with_its_place(here):
    lading, folder = here
    path = write(folder, "target_environment: {{NAME}}\ninferencing_server: {tpye: lading}\n")
    said = lading.fails(2, "package", "create", "-f", path, "-m", "words:1")
    assert "package.yml:1:21: target_environment: got the placeholder '{{NAME}}'" in said
    assert "package.yml:2:22: inferencing_server.tpye: unknown key\n  fix: did you mean 'type'?" in said


def test_overrides_alone_may_say_it_and_a_model_is_asked_for_as_azure_does(here):
    lading, _ = here
    sets = ["--set", "target_environment=pkg", "inferencing_server.type=lading"]
    said = lading.fails(8, "package", "create", "-m", "wrods:1", *sets)
    assert "model 'wrods:1': is not in the workspace\n  fix: did you mean 'words'?" in said
    said = lading.fails(8, "model", "package", "-n", "words", "-v", "3", *sets)
    assert "its versions: 1" in said
    said = lading.fails(2, "model", "package", "-n", "words")
    assert "give -f package.yml" in said


def test_a_sample_that_is_no_json_is_refused_before_anything_is_packed(here):
    lading, folder = here
    path = write(folder, "target_environment: pkg\ninferencing_server: {type: lading}\n")
    (folder / "sample.json").write_text("{")
    said = lading.fails(2, "package", "create", "-f", path, "-m", "words:1", "-r", folder / "sample.json")
    assert "sample.json: is no JSON" in said


def test_an_environment_is_no_package(here):
    lading, folder = here
    with Context(settings.load(home=folder / "home")) as context:
        assets.create(context, AssetDraft("environment", "plain", document={"image": "debian:bookworm"}))
    assert lading.json("package", "list") == []
    said = lading.fails(2, "package", "show", "plain:1")
    assert "azureml:plain:1: is an environment, and no package" in said


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"image": "debian:bookworm", "package": {"digest": "x"}}, None),
        ({"image": "x", "package": {**WHOLE, "model_configuration": 5}}, None),
        ({"image": "x", "inference_config": {"scoring_route": 5}, "package": WHOLE}, None),
        ({}, "azureml:odd:1: has neither an image nor a build context"),
        (
            {"image": "debian:bookworm", "conda_file": {"dependencies": [{"pip": ["-r /etc/passwd"]}]}},
            "azureml:odd:1: its conda_file includes another file: '-r /etc/passwd'",
        ),
    ],
)
def test_an_environment_that_others_wrote_does_no_harm(here, document, said):
    lading, folder = here
    with Context(settings.load(home=folder / "home")) as context:
        assets.create(context, AssetDraft("environment", "odd", document=document))
    assert lading.json("package", "list") == []
    if said:
        sets = ["--set", "target_environment=p", "base_environment_source.resource_id=azureml:odd:1"]
        script = folder / "code/score.py"
        script.parent.mkdir()
        script.write_text("def init(): pass\n\n\ndef run(data): return data\n")
        code = "{code: code, scoring_script: score.py}"
        path = write(folder, f"inferencing_server: {{type: lading, code_configuration: {code}}}\n")
        assert said in lading.fails(2, "package", "create", "-f", path, "-m", "words:1", *sets)


def test_an_empty_reference_is_told_as_one(here):
    lading, _ = here
    assert "environment '': is no reference" in lading.fails(2, "package", "show", "")


def test_routes_of_an_environment_that_are_none_are_told(here):
    lading, folder = here
    document = {"image": "debian:bookworm", "inference_config": {"scoring_route": "x"}}
    with Context(settings.load(home=folder / "home")) as context:
        assets.create(context, AssetDraft("environment", "odd", document=document))
    sets = ["target_environment=p", "inferencing_server.type=custom"]
    sets.append("base_environment_source.resource_id=azureml:odd:1")
    said = lading.fails(2, "package", "create", "-m", "words:1", "--set", *sets)
    assert "environment odd:1: its inference_config has other than routes of a port and a path" in said


def test_a_text_of_others_commands_no_terminal(here):
    lading, folder = here
    with Context(settings.load(home=folder / "home")) as context:
        assets.create(
            context, AssetDraft("environment", "odd", description="a\x1b[2Jb", document={"image": "x"})
        )
    said = lading("environment", "show", "odd:1")
    assert "a\\x1b[2Jb" in said
    assert "\x1b" not in said


def test_nothing_of_azure_is_called(here):
    lading, _ = here
    assert "add --dry-run" in lading.fails(9, "deploy", "azureml", "iris:1")
    assert "is not in the store" in lading.fails(8, "deploy", "app-service", "iris:1", "-n", "x", "--dry-run")


def test_a_model_that_is_code_is_packaged_where_its_author_is_trusted(here):
    lading, folder = here
    (folder / "echo").mkdir()
    (folder / "echo/echo.py").write_text("")
    (folder / "echo/requirements.txt").write_text("mlflow\n")
    flavor = "{loader_module: mlflow.pyfunc.loaders.code_model, model_code_path: /home/me/echo.py}"
    (folder / "echo/MLmodel").write_text(f"flavors: {{python_function: {flavor}}}\n")
    lading("model", "create", "-n", "echo", "--type", "mlflow_model", "--path", folder / "echo")
    asked = ["-m", "echo:1", "--set", "target_environment=pkg", "inferencing_server.type=lading", "--offline"]
    assert "if you trust this one: --allow-unsafe echo.py" in lading.fails(3, "package", "create", *asked)
    # the base is what is missing then, of which nothing is in a fresh cache
    assert "not in the cache" in lading.fails(8, "package", "create", *asked, "--allow-unsafe", "echo.py")
