"""The groups of assets, used as `az ml` is used."""

import pytest

from running import Inside


@pytest.fixture
def bare(tmp_path, monkeypatch, capsys):
    return Inside(tmp_path / "home", monkeypatch, capsys)


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "files"
    (made / "model").mkdir(parents=True)
    (made / "model" / "a.bin").write_bytes(b"a")
    (made / "model.yml").write_text("$schema: x\nname: iris-model\npath: ./model\ntags: {a: b}\n")
    return made


def test_a_model_is_created_shown_labelled_archived_and_downloaded(bare, folder, tmp_path):
    made = bare.json("model", "create", "-f", folder / "model.yml", "--set", "tags.c=d", "description=words")
    assert (made["id"], made["how"], made["tags"]) == (
        "azureml:iris-model:1",
        "created",
        {"a": "b", "c": "d"},
    )
    (folder / "model" / "b").write_bytes(b"b")
    second = bare.json("model", "create", "-n", "iris-model", "-p", folder / "model", "--tags", "x=y", "z=1")
    assert (second["version"], second["tags"]) == ("2", {"x": "y", "z": "1"})
    bare("model", "label", "champion", "iris-model:1")
    shown = bare.json("model", "show", "azureml:iris-model@champion")
    assert (shown["version"], shown["labels"]) == ("1", ["champion"])
    bare("model", "archive", "-n", "iris-model", "-v", "2")
    assert [one["version"] for one in bare.json("model", "list", "-n", "iris-model")] == ["1"]
    assert len(bare.json("model", "list", "-n", "iris-model", "--include-archived")) == 2
    bare("model", "restore", "-n", "iris-model", "-v", "2")
    bare("model", "update", "iris-model@latest", "--set", "stage=Production", "--remove", "tags.x")
    shown = bare.json("model", "show", "-n", "iris-model", "-l", "latest")
    assert (shown["version"], shown["stage"], shown["tags"]) == ("2", "Production", {"z": "1"})
    bare("model", "download", "-n", "iris-model", "-v", "2", "-p", tmp_path / "got")
    assert (tmp_path / "got/iris-model/model/b").read_bytes() == b"b"
    bare("model", "delete", "iris-model:2")
    assert "its versions: 1" in bare.fails(8, "model", "show", "iris-model:2")
    assert bare.json("list") == []


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["model", "create", "-f", "model.yml", "--type", "mlflow_model"], 2, "has no MLmodel in its folder"),
        (
            ["model", "create", "-f", "model.yml", "--type", "triton_model"],
            2,
            "is no Triton model repository",
        ),
        (["model", "create", "-f", "model.yml", "--set", "tpye=x"], 2, "did you mean 'type'?"),
        (["model", "create", "-p", "model"], 2, "has no name"),
        (["model", "show"], 2, "nothing is named"),
        (["model", "show", "-n", "x", "y:1"], 2, "two are named"),
        (["model", "show", "nope"], 8, "model 'nope': is not in the workspace"),
        (["model", "show", "azureml://registries/R/models/m/versions/1"], 2, "registry 'R': is not declared"),
        (["model", "update", "x:1", "--set", "type=y"], 8, "is not in the workspace"),
        (["model", "delete", "-n", "x"], 2, "no version is named"),
        (["model", "list", "-w", "nowhere"], 2, "workspace 'nowhere': is not declared"),
    ],
)
def test_a_mistake_with_an_asset_has_its_status_and_its_words(bare, folder, arguments, status, said):
    assert said in bare.fails(status, *arguments, cwd=folder)


CONDA = "dependencies: [python=3.11, {pip: [scikit-learn]}]\n"


def test_an_environment_is_created_shown_and_listed(bare, folder):
    (folder / "conda.yaml").write_text(CONDA)
    (folder / "env.yml").write_text("name: my-env\nimage: debian:bookworm\nconda_file: conda.yaml\n")
    made = bare.json("environment", "create", "-f", folder / "env.yml")
    assert (made["id"], made["image"]) == ("azureml:my-env:1", "debian:bookworm")
    again = bare.json(
        "environment", "create", "-n", "my-env", "-i", "debian:bookworm", "-c", folder / "conda.yaml"
    )
    assert (again["how"], again["version"]) == ("reused", "1")
    assert bare.json("environment", "show", "my-env@latest")["conda_file"]["dependencies"][0] == "python=3.11"
    assert [one["name"] for one in bare.json("environment", "list")] == ["my-env"]
    said = bare.fails(2, "environment", "create", "-f", folder / "conda.yaml")
    assert "It looks like you are trying to specify a conda file" in said


def test_a_registry_is_declared_shown_and_forgotten(bare, tmp_path):
    assert (
        bare.json("registry", "create", "-n", "team", "--at", "localhost:5000/ml")["at"]
        == "localhost:5000/ml"
    )
    assert bare.json("registry", "list") == [{"name": "team", "at": "localhost:5000/ml"}]
    assert "declared already, at localhost:5000/ml" in bare.fails(
        2, "registry", "create", "-n", "team", "--at", "x.y"
    )
    (tmp_path / "registry.yml").write_text("name: other\nat: ./there\nlocation: eastus\n")
    bare("registry", "create", "-f", tmp_path / "registry.yml", cwd=tmp_path)
    assert bare.json("registry", "show", "-n", "other")["at"] == str(tmp_path / "there")
    bare("registry", "delete", "-n", "team")
    assert "known: other" in bare.fails(2, "registry", "show", "-n", "team")
    assert "at: is missing" in bare.fails(2, "registry", "create", "-n", "x")


def test_a_model_is_shared_through_a_registry_and_had_from_it_elsewhere(bare, folder, tmp_path, registry):
    bare("model", "create", "-f", folder / "model.yml")
    bare("registry", "create", "-n", "team", "--at", f"{registry.host}/ml-{tmp_path.name}")
    bare("model", "share", "iris-model:1", "--registry-name", "team", "--share-with-version", "9")
    other = bare.elsewhere(tmp_path / "other")
    other("registry", "create", "-n", "team", "--at", f"{registry.host}/ml-{tmp_path.name}")
    assert [one["id"] for one in other.json("model", "list", "--registry-name", "team")] == [
        "azureml://registries/team/models/iris-model/versions/9"
    ]
    other("model", "download", "azureml://registries/team/models/iris-model/labels/latest", "-p", tmp_path)
    assert (tmp_path / "iris-model/model/a.bin").read_bytes() == b"a"
    other("model", "create", "-n", "two", "-p", folder / "model", "--registry-name", "team")
    place = f"{registry.host}/ml-{tmp_path.name}"
    assert [one["name"] for one in other.json("model", "list", "-w", place)] == ["iris-model", "two"]
    arm = "/subscriptions/0/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/old"
    said = other.run("model", "show", f"azureml:{arm}/models/two/versions/1", "-w", place)
    assert (said.returncode, "workspace 'old' is not declared" in said.stderr) == (0, True)
