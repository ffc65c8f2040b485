"""References to assets are resolved wherever they lead, and files are had, whole or not at all."""

from dataclasses import replace

import pytest

from lading.core.assets import AssetDraft
from lading.core.errors import IntegrityError, LadingError, SpecError
from lading.pipeline import assets
from lading.pipeline.context import Context
from lading.settings import Place, Settings
from lading.workspace import UnknownAssetError


@pytest.fixture
def context(tmp_path):
    shared = {"team": Place(folder=tmp_path / "team")}
    settings = Settings(
        tmp_path / "home", registries=shared, workspaces={"old": Place(folder=tmp_path / "old")}
    )
    with Context(settings) as one:
        yield one


def write(folder, content="a"):
    (folder / "model").mkdir(parents=True, exist_ok=True)
    (folder / "model" / "a.bin").write_text(content)
    (folder / "model" / "run.sh").write_text("#!/bin/sh\n")
    (folder / "model" / "run.sh").chmod(0o755)
    return AssetDraft("model", "iris-model", path=folder / "model", document={"type": "custom_model"})


def test_the_version_that_a_label_meant_is_recorded(context, tmp_path):
    assets.create(context, write(tmp_path))
    assets.create(context, write(tmp_path, "b"))
    found = assets.resolve(context, "azureml:iris-model@latest", "model")
    assert str(found.reference) == "azureml:iris-model:2"
    assets.share(context, found, "team")
    found = assets.resolve(context, "azureml://registries/team/models/iris-model/labels/latest", "model")
    assert str(found.reference) == "azureml://registries/team/models/iris-model/versions/2"


def test_an_arm_id_leads_to_a_declared_workspace_or_to_the_name_here_with_a_note(context, tmp_path):
    told = []
    context.events = lambda event: told.append(event.text)
    assets.create(context, write(tmp_path))
    arm = "/subscriptions/0/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces"
    text = f"azureml:{arm}/unknown/models/iris-model/versions/1"
    told.clear()
    assert str(assets.resolve(context, text, "model").reference) == "azureml:iris-model:1"
    assert "workspace 'unknown' is not declared" in told[0]
    with pytest.raises(UnknownAssetError, match="is not in workspace 'old'"):
        assets.resolve(context, f"azureml:{arm}/old/models/iris-model/versions/1", "model")
    with pytest.raises(SpecError, match="nothing can be created there"):
        assets.place_of(context, assets.AssetReference.parse(text, "model"), writing=True)


def test_files_lie_as_in_azureml_model_dir_and_the_model_is_the_one_thing_in_it(context, tmp_path):
    assets.create(context, write(tmp_path))
    found = assets.resolve(context, "iris-model:1", "model")
    folder = assets.materialise(context, found)
    assert sorted(one.name for one in (folder / "model").iterdir()) == ["a.bin", "run.sh"]
    assert (folder / "model/run.sh").stat().st_mode & 0o100
    assert assets.root(folder, found.asset) == folder / "model"
    assert assets.materialise(context, found) == folder
    single = replace(write(tmp_path), name="single", path=tmp_path / "model/a.bin")
    assets.create(context, single)
    found = assets.resolve(context, "single:1", "model")
    folder = assets.materialise(context, found)
    assert assets.root(folder, found.asset) == folder / "a.bin"


def test_a_damaged_file_is_never_downloaded_and_nothing_half_is_left(context, tmp_path):
    assets.create(context, write(tmp_path))
    found = assets.resolve(context, "iris-model:1", "model")
    blob = context.store.path(found.asset.files[0].digest)
    blob.chmod(0o644)
    blob.write_bytes(b"x")
    with pytest.raises(IntegrityError):
        assets.download(context, found, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_file_that_was_changed_is_not_packaged(context, tmp_path):
    assets.create(context, write(tmp_path))
    found = assets.resolve(context, "iris-model:1", "model")
    folder = assets.materialise(context, found)
    (folder / "model" / "run.sh").write_text("changed")
    assert (assets.materialise(context, found) / "model" / "run.sh").read_text() == "#!/bin/sh\n"
    (folder / "model" / "a.bin").write_text("x")  # a link to the blob
    with pytest.raises(IntegrityError, match="were changed"):
        assets.materialise(context, found)


def test_what_cannot_be_kept_leaves_nothing_behind(context, tmp_path):
    draft = write(tmp_path)
    (tmp_path / "model" / "away").symlink_to("/etc/passwd")
    with pytest.raises(LadingError):
        assets.create(context, draft)
    assert not list(context.store.digests())


def test_an_environment_in_a_file_of_another_is_the_same_version_for_the_same_content(context):
    draft = AssetDraft("environment", document={"image": "debian:bookworm"})
    one, other = assets.anonymous(context, draft), assets.anonymous(context, draft)
    assert one.asset == other.asset
    assert one.asset.name == "CliV2AnonymousEnvironment"
    assert (
        assets.anonymous(context, replace(draft, document={"image": "x/y:1"})).asset.version
        != one.asset.version
    )


@pytest.mark.parametrize(
    ("kind", "paths", "said"),
    [
        ("mlflow_model", {"a/MLmodel": "flavors: {}\n"}, "name its folder: model/a"),
        ("mlflow_model", {"MLmodel": "flavors: [\n"}, "MLmodel is no YAML"),
        ("mlflow_model", {"MLmodel": "run_id: x\n"}, "has no 'flavors'"),
        ("triton_model", {"1/model.onnx": "x"}, "is a model, where a Triton repository holds models"),
        ("triton_model", {"m/model.onnx": "x"}, "'m' has no version"),
        ("triton_model", {"model.onnx": "x"}, "is no Triton model repository"),
    ],
)
def test_a_model_that_is_not_of_its_type_is_refused(context, tmp_path, kind, paths, said):
    for path, text in paths.items():
        (tmp_path / "model" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "model" / path).write_text(text)
    draft = AssetDraft("model", "m", document={"type": kind}, path=tmp_path / "model")
    with pytest.raises(SpecError, match=said):
        assets.create(context, draft)


@pytest.mark.parametrize(
    ("kind", "paths"),
    [
        ("mlflow_model", ["MLmodel"]),
        ("triton_model", ["m/1/model.onnx", "m/config.pbtxt", "ensemble/config.pbtxt"]),
    ],
)
def test_a_model_of_its_type_is_kept(context, tmp_path, kind, paths):
    for path in paths:
        (tmp_path / "model" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "model" / path).write_text("flavors: {python_function: {}}\n")
    draft = AssetDraft("model", "m", document={"type": kind}, path=tmp_path / "model")
    assert assets.create(context, draft).how == "created"
